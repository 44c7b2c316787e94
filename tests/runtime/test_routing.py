"""Boundary tokens against the slow, plain definition: windows of every pixel, reflected at the region's border."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inter2former_onnx.runtime import routing
from inter2former_onnx.runtime.box import Box


def plain_boundary_tokens(labels: np.ndarray, kernel_size: int) -> np.ndarray:
    reach = kernel_size // 2
    padded = np.pad(labels, reach, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel_size, kernel_size))
    mixed = windows.min(axis=(2, 3)) != windows.max(axis=(2, 3))
    chosen = mixed | (labels == 2)
    rows, columns = labels.shape[0] // 16, labels.shape[1] // 16
    return chosen.reshape(rows, 16, columns, 16).any(axis=(1, 3))


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from([3, 5, 7, 31]),
    st.sampled_from([0, 1, 2, 3, 4]),
)
def test_matches_the_plain_definition(seed: int, rows: int, columns: int, kernel_size: int, background: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.full((16 * rows, 16 * columns), background, dtype=np.uint8)
    for _ in range(rng.integers(0, 5)):  # single pixels and small patches, so that most tokens stay uniform
        y, x = rng.integers(0, labels.shape[0]), rng.integers(0, labels.shape[1])
        labels[y : y + rng.integers(1, 18), x : x + rng.integers(1, 18)] = rng.integers(0, 5)
    if kernel_size == 31 and min(rows, columns) == 1:
        kernel_size = 7  # a window of 31 cannot be reflected in 16 pixels
    np.testing.assert_array_equal(
        routing.boundary_tokens(labels, kernel_size), plain_boundary_tokens(labels, kernel_size)
    )


@pytest.mark.parametrize("y, x", [(15, 15), (16, 16), (18, 18), (19, 19), (12, 40), (13, 40)])
def test_one_pixel_reaches_three_pixels_into_neighbours(y: int, x: int) -> None:
    labels = np.ones((48, 48), dtype=np.uint8)
    labels[y, x] = 3
    expected = np.zeros((3, 3), dtype=bool)
    for row in range(3):
        for column in range(3):
            near_row = 16 * row - 3 <= y < 16 * row + 19
            expected[row, column] = near_row and 16 * column - 3 <= x < 16 * column + 19
    np.testing.assert_array_equal(routing.boundary_tokens(labels, 7), expected)


@pytest.mark.parametrize("mode", ["boundary", "roi"])
def test_routes_share_out_all_tokens_in_order(mode: str) -> None:
    labels = np.ones((96, 128), dtype=np.uint8)
    labels[40:60, 50:90] = 3
    region = Box(32, 16, 112, 80)
    boundary, other = routing.route(labels[region.slices], region, (6, 8), mode, 7)
    assert boundary.dtype == other.dtype == np.int64
    assert (np.diff(boundary) > 0).all() and (np.diff(other) > 0).all()
    np.testing.assert_array_equal(np.sort(np.concatenate([boundary, other])), np.arange(48))
    expected = np.zeros((6, 8), dtype=bool)
    expected[1:5, 2:7] = plain_boundary_tokens(labels[region.slices], 7) if mode == "boundary" else True
    np.testing.assert_array_equal(boundary, np.flatnonzero(expected))


def test_dense_run_has_every_token_on_the_boundary_route() -> None:
    boundary, other = routing.all_tokens((3, 4))
    np.testing.assert_array_equal(boundary, np.arange(12))
    assert other.shape == (0,) and other.dtype == np.int64


def test_label_map_of_unknown_is_all_boundary() -> None:
    assert routing.boundary_tokens(np.full((32, 48), 2, dtype=np.uint8), 7).all()


@pytest.mark.parametrize("label", [0, 1, 3, 4])
def test_uniform_label_map_has_no_boundary(label: int) -> None:
    assert not routing.boundary_tokens(np.full((32, 48), label, dtype=np.uint8), 7).any()


@pytest.mark.parametrize(
    ("touched", "rows", "columns"),
    [
        ((32, 32, 33, 33), [2], [2]),  # the top left pixel of a token is seen by no other
        ((33, 33, 34, 34), [2, 3], [2, 3]),
        ((47, 47, 48, 48), [2, 3], [2, 3]),
        ((0, 0, 1, 1), [0], [0]),
        ((79, 95, 80, 96), [5], [4]),  # the last pixel of a grid of 6 x 5 tokens
        ((28, 60, 39, 71), [3, 4, 5], [1, 2, 3]),
    ],
)
def test_changed_tokens(touched: tuple[int, int, int, int], rows: list[int], columns: list[int]) -> None:
    found = routing.changed_tokens(Box(*touched), (6, 5))
    assert found.dtype == np.int64
    assert found.tolist() == [row * 5 + column for row in rows for column in columns]
