"""Islands of a predicted mask: found like by flooding, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from inter2former_onnx.runtime import islands as module
from inter2former_onnx.runtime.islands import drop_islands
from support.island_oracle import SURE, islands_of, pieces_of


def check(logits: np.ndarray, clicked: np.ndarray) -> np.ndarray:
    """Hold `drop_islands` to the plain form; returns the islands."""
    before = logits.copy()
    changed, positive = drop_islands(logits, logits > 0, clicked)
    island = islands_of(logits, clicked)
    np.testing.assert_array_equal(positive, (logits > 0) & ~island)
    np.testing.assert_array_equal(changed, np.where(island, -logits, logits))
    np.testing.assert_array_equal(logits, before)  # the decoder's own array stays as it was
    assert changed.dtype == np.float32 and positive.dtype == np.bool_
    if not island.any():
        assert changed is logits
    return island


def smooth(rng: np.random.Generator, shape: tuple[int, int], passes: int) -> np.ndarray:
    """Noise, blurred so that pieces of several pixels come about."""
    noise = rng.normal(size=shape)
    for _ in range(passes):
        padded = np.pad(noise, 1, mode="edge")
        noise = sum(padded[i : i + shape[0], j : j + shape[1]] for i in range(3) for j in range(3)) / 9.0
    return (noise / (noise.std() + 1e-9)).astype(np.float32)


@pytest.mark.parametrize("passes", [0, 1, 3])
def test_random_maps(passes: int) -> None:
    rng = np.random.default_rng(passes)
    found = 0
    for _ in range(120):
        shape = (int(rng.integers(1, 30)), int(rng.integers(1, 30)))
        found += int(check(smooth(rng, shape, passes), rng.random(shape) < 0.03).any())
    assert found > 20


def drawn(rows: list[str]) -> np.ndarray:
    """Logits: a digit is itself, a dot -1."""
    return np.array([[-1.0 if cell == "." else float(cell) for cell in row] for row in rows], dtype=np.float32)


def at(logits: np.ndarray, *pixels: tuple[int, int]) -> np.ndarray:
    clicked = np.zeros(logits.shape, dtype=bool)
    for pixel in pixels:
        clicked[pixel] = True
    return clicked


def test_corners_connect_and_the_ends_of_rows_do_not() -> None:
    logits = drawn(["9..1", "1..1", ".19."])
    assert len(pieces_of(logits > 0)) == 1  # 9 1 1 down the diagonal, 9 1 1 up the other one
    assert not check(logits, at(logits, (0, 0))).any()
    wrapped = drawn(["9..1", "9..1"])  # in memory the 1 is followed by the next row's 9
    np.testing.assert_array_equal(check(wrapped, at(wrapped, (0, 0))), wrapped == 1)


def test_a_piece_as_sure_as_the_clicked_one_stays() -> None:
    logits = drawn(["44.2.1", "44.2.1"])
    np.testing.assert_array_equal(check(logits, at(logits, (0, 0))), logits == 1)  # 2 is just half of 4
    np.testing.assert_array_equal(check(logits, at(logits, (0, 5))), np.zeros_like(logits, dtype=bool))
    assert module.SURE == SURE


def test_the_surest_clicked_piece_counts_and_clicked_ones_stay() -> None:
    logits = drawn(["9.1.2.", "9.1.2."])
    np.testing.assert_array_equal(check(logits, at(logits, (0, 0), (1, 2))), logits == 2)


def test_without_a_clicked_piece_all_stays() -> None:
    logits = drawn(["9.1", "9.1"])
    assert not check(logits, at(logits)).any()
    assert not check(logits, at(logits, (0, 1))).any()  # a click that the model does not follow


def test_nothing_everything_and_one_pixel() -> None:
    for shape in ((1, 1), (1, 7), (7, 1), (5, 6)):
        everywhere = np.ones(shape, dtype=bool)
        assert not check(np.full(shape, -3, np.float32), everywhere).any()
        assert not check(np.full(shape, 3, np.float32), everywhere).any()
        assert not check(np.zeros(shape, np.float32), everywhere).any()  # a tie is background
        assert not check(np.full(shape, 3, np.float32), ~everywhere).any()


def test_all_borders_a_spiral_and_a_chessboard() -> None:
    frame = np.full((9, 9), -1, np.float32)
    frame[[0, -1]] = frame[:, [0, -1]] = 6
    frame[4, 4] = 1
    assert check(frame, at(frame, (0, 0))).sum() == 1
    spiral = drawn(["55555", "....5", "555.5", "5...5", "55555"])  # found only by following many runs
    assert not check(spiral, at(spiral, (0, 0))).any()
    spiral[2, 2] = -1  # a gap after its inner end: the rest is one piece still
    assert not check(spiral, at(spiral, (2, 0))).any()
    board = np.where(np.indices((12, 12)).sum(0) % 2, 1, -1).astype(np.float32)
    assert not check(board, at(board, (0, 1))).any()
    combs = np.where(np.arange(16)[:, None] % 2 * np.ones(16) > 0, 1, -1).astype(np.float32)
    combs[:, 0], combs[1] = 1, 8
    assert not check(combs, at(combs, (3, 3))).any()
    combs[:, 0], combs[1] = -1, 8
    assert check(combs, at(combs, (1, 3))).sum() == 7 * 15


def test_large_magnitudes() -> None:
    logits = np.full((40, 40), -3e38, np.float32)
    logits[:10], logits[20:30] = 3e38, 1e38
    with np.errstate(all="raise"):
        assert check(logits, at(logits, (0, 0))).sum() == 10 * 40


def test_a_column_of_a_larger_array() -> None:
    """Neither argument need be contiguous."""
    rng = np.random.default_rng(5)
    large = smooth(rng, (40, 40), 2)
    view, clicked = large[3:33, ::2], np.zeros((60, 20), dtype=bool)[::2]
    clicked[10:12] = True
    changed, positive = drop_islands(view, view > 0, clicked)
    np.testing.assert_array_equal(positive, (view > 0) & ~islands_of(view, clicked))
    np.testing.assert_array_equal(changed > 0, positive)
