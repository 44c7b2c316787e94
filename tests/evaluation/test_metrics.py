"""The click simulator and the metrics against slow and obvious second implementations."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from inter2former_onnx.evaluation.clicks import simulate_click
from inter2former_onnx.evaluation.metrics import (
    boundary,
    boundary_iou,
    boundary_width,
    clicks_needed,
    iou,
    number_of_clicks,
)
from inter2former_onnx.evaluation.protocol import evaluate_object
from inter2former_onnx.evaluation.summary import Running, summarise, worst
from inter2former_onnx.evaluation.targets import Target
from inter2former_onnx.runtime.click import Click
from support.reference import reference


def slow_depths(error: np.ndarray, clicked: np.ndarray) -> dict[tuple[int, int], int]:
    """Squared distance of each error pixel that may be clicked to the nearest pixel outside the error or the image."""
    height, width = error.shape
    frame = [
        (row, column)
        for row in range(-1, height + 1)
        for column in range(-1, width + 1)
        if not (0 <= row < height and 0 <= column < width and error[row, column])
    ]
    outside = np.array(frame)
    return {
        (row, column): int(((outside - (row, column)) ** 2).sum(1).min())
        for row in range(height)
        for column in range(width)
        if error[row, column] and not clicked[row, column]
    }


def slow_click(mask: np.ndarray, target: np.ndarray, void: np.ndarray, clicked: np.ndarray) -> Click | None:
    """The rule, pixel by pixel and in whole numbers."""
    missing = slow_depths(target & ~mask & ~void, clicked)
    excess = slow_depths(~target & mask & ~void, clicked)
    if not missing and not excess:
        return None
    deepest_missing, deepest_excess = max(missing.values(), default=0), max(excess.values(), default=0)
    positive = deepest_missing > deepest_excess
    depths, deepest = (missing, deepest_missing) if positive else (excess, deepest_excess)
    row, column = next(pixel for pixel, depth in depths.items() if depth == deepest)
    return Click(column, row, positive)


def slow_iou(mask: np.ndarray, target: np.ndarray, void: np.ndarray) -> float:
    one = {(r, c) for r, c in np.argwhere(mask).tolist() if not void[r, c]}
    other = {(r, c) for r, c in np.argwhere(target).tolist() if not void[r, c]}
    return len(one & other) / len(one | other) if one | other else 1.0


def slow_boundary(mask: np.ndarray, width: int) -> np.ndarray:
    """What `width` erosions by a 3 x 3 square take away, with zeros around the image."""
    left = mask
    for _ in range(width):
        padded = np.pad(left, 1)
        parts = [padded[r : r + mask.shape[0], c : c + mask.shape[1]] for r in range(3) for c in range(3)]
        left = np.logical_and.reduce(parts)
    return mask & ~left


def blobs(generator: np.random.Generator, shape: tuple[int, int], window: int) -> np.ndarray:
    return cv2.GaussianBlur(generator.random(shape), (window, window), 0) > 0.5


def predictions() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(mask, target, void): what the reference model answered in a recorded session, and random shapes."""
    recorded = reference("session_exact")
    masks = [recorded[name][::4, ::4] > 0 for name in sorted(recorded) if name.endswith("_mask")]
    assert masks, "the recorded session has masks"
    for mask in masks:
        yield mask, masks[-1] ^ np.roll(masks[0], 5, 1), np.zeros_like(mask)
    generator = np.random.default_rng(3)
    for number in range(30):
        shape, window = (int(generator.integers(1, 18)), int(generator.integers(1, 22))), (1, 3, 7)[number % 3]
        void = blobs(generator, shape, 5) if number % 2 else np.zeros(shape, bool)
        yield blobs(generator, shape, window), blobs(generator, shape, window), void
    full = np.ones((9, 12), bool)
    for mask, target in ((full, full), (full, ~full), (~full, full), (~full, ~full)):
        yield mask, target, np.zeros_like(full)


def test_clicks_are_those_of_the_slow_rule() -> None:
    """Also with pixels that were clicked before: the next click is elsewhere, five times in a row."""
    for mask, target, void in predictions():
        clicked = np.zeros_like(mask)
        for _ in range(5):
            expected = slow_click(mask, target, void, clicked)
            assert simulate_click(mask, target, void, clicked) == expected
            if expected is None:
                break
            clicked[expected.y, expected.x] = True
        assert simulate_click(mask, target) == slow_click(mask, target, ~(mask | ~mask), np.zeros_like(mask))


def test_ties_are_negative_and_first_in_reading_order() -> None:
    target = np.zeros((7, 20), bool)
    target[2:5, 2:5] = target[2:5, 12:15] = True
    assert simulate_click(np.zeros_like(target), target) == Click(3, 3, True)
    mask = np.zeros_like(target)
    mask[2:5, 7:10] = True
    assert simulate_click(mask, target) == Click(8, 3, False)


def test_metrics_are_those_of_the_slow_rule() -> None:
    for mask, target, void in predictions():
        assert iou(mask, target, void) == slow_iou(mask, target, void)
        for width in (1, 2, 5):
            np.testing.assert_array_equal(boundary(mask, width), slow_boundary(mask, width))
        width = max(1, round(0.02 * math.hypot(*mask.shape)))
        assert boundary_width(mask.shape) == width
        expected = slow_iou(slow_boundary(mask, width), slow_boundary(target, width), void)
        assert boundary_iou(mask, boundary(target, width), void) == expected


def test_boundary_width_is_two_percent_of_the_diagonal() -> None:
    assert [boundary_width(shape) for shape in ((10, 10), (300, 400), (1500, 2000, 3))] == [1, 10, 50]


def test_iou_without_pixels() -> None:
    nothing, everything = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    assert iou(nothing, nothing) == 1.0
    assert iou(everything, nothing) == 0.0
    assert iou(everything, nothing, void=everything) == 1.0


NEVER = [0.1 + 0.03 * k for k in range(20)]
AT_1 = [0.96] + [0.5] * 19
AT_20 = [0.0] * 19 + [0.95]


def test_noc_of_sequences_made_by_hand() -> None:
    assert clicks_needed(NEVER, 0.80) is None
    assert [clicks_needed(AT_1, t) for t in (0.80, 0.85, 0.90, 0.95)] == [1] * 4
    assert [clicks_needed(AT_20, t) for t in (0.80, 0.85, 0.90, 0.95)] == [20] * 4
    assert number_of_clicks([NEVER], 0.80, 20) == (20.0, 1)
    assert number_of_clicks([AT_20], 0.95, 20) == (20.0, 0)  # reached at the last click: the same count, but no miss
    assert number_of_clicks([NEVER, AT_1, AT_20, [0.0, 0.84, 0.85] + [0.0] * 17], 0.85, 20) == (11.0, 1)


def line(picture: int, ious: list[float], obj: int = 0, objects: int = 1, encode: float = 1.0) -> dict:
    return {
        "picture": picture, "object": obj, "objects": objects, "name": f"o{picture}", "ious": ious,
        "boundary_ious": [value / 2 for value in ious], "clicks": [[1, 1, 1]] * 20, "click_seconds": [0.1] * 20,
        "encode_seconds": encode,
    }  # fmt: skip


def test_summary_of_lines_made_by_hand() -> None:
    lines = [line(0, NEVER, 0, 2, 3.0), line(0, AT_1, 1, 2, 5.0), line(1, AT_20)]
    lines.append({"picture": 2, "name": "x", "error": "gone"})
    summary = summarise(lines)
    assert summary is not None
    assert (summary.objects, summary.pictures, summary.broken) == (3, 2, [("x", "gone")])
    assert summary.noc[0.95] == pytest.approx((20 + 1 + 20) / 3) and summary.nof[0.95] == 1
    assert summary.miou == pytest.approx([np.mean(values) for values in zip(NEVER, AT_1, AT_20, strict=True)])
    assert summary.boundary_miou == pytest.approx([value / 2 for value in summary.miou])
    assert summary.spc == pytest.approx(0.1)
    # 60 clicks of 0.1 s; picture 0 was encoded once (3 s), picture 1 in 1 s
    assert summary.spc_encoding == pytest.approx((60 * 0.1 + 3.0 + 1.0) / 60) and summary.encode == pytest.approx(2.0)
    assert [found["picture"] for found in worst(lines, 2)] == [1, 0]
    assert Running(lines).text() == "3 objects, NoC 80/85/90/95: 13.7 13.7 13.7 13.7, 1 broken"
    assert summarise(lines[-1:]) is None


class Oracle:
    """Answers every click with the target's part within `radius` of the clicks so far, and remembers the clicks."""

    def __init__(self, target: np.ndarray, radius: int) -> None:
        self.target, self.radius, self.clicks = target, radius, []
        self.mask = np.zeros_like(target)

    def session(self) -> Oracle:
        return self

    def click(self, x: int, y: int, positive: bool) -> np.ndarray:
        self.clicks.append((x, y, positive))
        rows, columns = np.ogrid[: self.target.shape[0], : self.target.shape[1]]
        self.mask = self.mask | (self.target & ((rows - y) ** 2 + (columns - x) ** 2 <= self.radius**2))
        return self.mask.copy()


def test_an_object_is_clicked_until_nothing_is_wrong() -> None:
    target = np.zeros((30, 40), bool)
    target[5:25, 5:35] = True
    oracle = Oracle(target, 9)
    result = evaluate_object(oracle, Target("t", target))
    assert len(result.clicks) == len(oracle.clicks) == len(result.seconds) < 20
    assert oracle.clicks[0] == (14, 14, True)  # columns and rows were not mixed up
    assert len(result.ious) == len(result.boundary_ious) == 20
    assert result.ious[-1] == 1.0 and result.boundary_ious[-1] == 1.0
    assert result.ious == sorted(result.ious)


def test_ignored_clicks_do_not_repeat_in_place() -> None:
    target = np.ones((15, 15), bool)
    result = evaluate_object(Oracle(np.zeros_like(target), 1), Target("t", target))
    assert len(set(result.clicks)) == 20 and result.ious == [0.0] * 20


def test_void_pixels_are_never_clicked() -> None:
    target = np.zeros((20, 20), bool)
    target[:, :12] = True
    void = np.zeros_like(target)
    void[:, 6:] = True
    result = evaluate_object(Oracle(np.zeros_like(target), 1), Target("t", target, void))
    assert all(click.x < 6 for click in result.clicks)
    assert evaluate_object(Oracle(target & ~void, 40), Target("t", target, void)).ious[0] == 1.0
