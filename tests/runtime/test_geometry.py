"""Clicks in, logits back out: against PyTorch's interpolation and the recorded sessions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inter2former_onnx.runtime.box import Box, whole
from inter2former_onnx.runtime.geometry import Geometry, bilinear_axis, enlarged_positive, reduced
from support.reference import reference

OUTSIDE = -100.0


def torch_resize(values: np.ndarray, height: int, width: int) -> np.ndarray:
    tensor = torch.from_numpy(np.ascontiguousarray(values))[None, None]
    return torch.nn.functional.interpolate(tensor, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()


def by_torch(logits: np.ndarray, box: Box, geometry: Geometry) -> np.ndarray:
    """The published way: the whole map resized to the square and cropped; what was not computed is like its border."""
    height, width = geometry.extent
    full = np.full((height, width), OUTSIDE, dtype=np.float32)
    full[box.slices] = logits
    full = np.pad(full, ((0, geometry.size - height), (0, geometry.size - width)), mode="edge")
    return torch_resize(full, geometry.square, geometry.square)[: geometry.height, : geometry.width]


@pytest.mark.parametrize(
    "height, width, divisor, square",
    [(1, 1, 256, 256), (256, 256, 256, 256), (257, 10, 256, 512), (900, 1600, 256, 1792), (20, 5000, 256, 5120)],
)
def test_square(height: int, width: int, divisor: int, square: int) -> None:
    geometry = Geometry(height, width, 1024, divisor)
    assert geometry.square == square
    assert geometry.scale == 1024 / square
    last = geometry.model_pixel(height - 1, width - 1)
    assert last == (int(geometry.scale * (height - 1)), int(geometry.scale * (width - 1)))
    assert last == (geometry.model_rows[-1], geometry.model_columns[-1])


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.sampled_from([1, 3, 16, 64]),
    st.sampled_from([32, 48, 96]),
    st.sampled_from(["square", "fit"]),
    st.data(),
)
def test_back_to_the_image_as_torch_does(
    height: int, width: int, divisor: int, size: int, mode: str, data: st.DataObject
) -> None:
    geometry = Geometry(height, width, size, divisor, mode)
    rows, columns = geometry.extent
    left, top = data.draw(st.integers(0, columns - 1)), data.draw(st.integers(0, rows - 1))
    box = Box(left, top, data.draw(st.integers(left + 1, columns)), data.draw(st.integers(top + 1, rows)))
    logits = np.random.default_rng(height * width).normal(size=(box.height, box.width)).astype(np.float32)
    expected = by_torch(logits, box, geometry)
    found = geometry.logits(logits, box, OUTSIDE)
    assert found.dtype == np.float32 and found.shape == (height, width)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    # A mask trimmed to where logits are positive must be what thresholding all of them gives.
    np.testing.assert_array_equal(geometry.mask(logits, logits > 0, box, OUTSIDE), found > 0)


@pytest.mark.parametrize(
    "height, width, divisor, grid",
    [
        (900, 1600, 1, (36, 64)),  # the longer side gets all of T
        (1600, 900, 1, (64, 36)),
        (900, 1600, 256, (33, 58)),
        (1, 1, 1, (64, 64)),
        (1, 1, 256, (1, 1)),
        (20, 5000, 1, (1, 64)),
        (1024, 1023, 1, (64, 64)),
        (1024, 1008, 1, (64, 63)),
    ],
)
def test_tokens_that_an_image_reaches(height: int, width: int, divisor: int, grid: tuple[int, int]) -> None:
    geometry = Geometry(height, width, 1024, divisor, "fit")
    assert geometry.grid == grid and geometry.extent == (16 * grid[0], 16 * grid[1])
    row, column = geometry.model_pixel(height - 1, width - 1)
    assert geometry.extent[0] - 16 <= row < geometry.extent[0] or row == 0
    assert geometry.extent[1] - 16 <= column < geometry.extent[1] or column == 0
    assert Geometry(height, width, 1024, divisor).extent == (1024, 1024)


def test_large_image_as_torch_does() -> None:
    geometry = Geometry(900, 1600, 1024, 256)
    box = Box(512, 256, 1024, 512)
    logits = np.random.default_rng(0).normal(size=(256, 512)).astype(np.float32)
    # Beside the step from -100 at the box's edge, one rounding of a coordinate is worth 4e-3.
    np.testing.assert_allclose(geometry.logits(logits, box, OUTSIDE), by_torch(logits, box, geometry), atol=1e-2)


def test_same_size_is_copied_not_interpolated() -> None:
    geometry = Geometry(60, 64, 64, 64)
    logits = np.random.default_rng(0).normal(size=(48, 32)).astype(np.float32)
    expected = np.full((60, 64), OUTSIDE, dtype=np.float32)
    expected[16:, 32:] = logits[:44]
    np.testing.assert_array_equal(geometry.logits(logits, Box(32, 16, 64, 64), OUTSIDE), expected)
    np.testing.assert_array_equal(geometry.mask(logits, logits > 0, Box(32, 16, 64, 64), OUTSIDE), expected > 0)


@pytest.mark.parametrize("height, width", [(10, 64), (64, 10), (5, 5)])
def test_box_in_the_padding_leaves_no_trace(height: int, width: int) -> None:
    for size in (64, 96):
        geometry = Geometry(height, width, size, 64)
        box = Box(size - 16, size - 16, size, size)
        logits = np.ones((16, 16), dtype=np.float32)
        assert not geometry.mask(logits, logits > 0, box, OUTSIDE).any()
        assert (geometry.logits(logits, box, OUTSIDE) == OUTSIDE).all()


@pytest.mark.parametrize("session", ["session_exact", "session_roi"])
def test_recorded_sessions_masks(session: str) -> None:
    recorded = reference(session)
    geometry = Geometry(150, 200, 192, 64)
    for i in range(7):
        logits = recorded[f"{i}_logits"]
        rows, columns = np.nonzero(logits > OUTSIDE)
        box = Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        crop = logits[box.slices]
        found = geometry.logits(crop, box, OUTSIDE)
        np.testing.assert_allclose(found, recorded[f"{i}_logits_original"], atol=1e-4)
        sure = abs(recorded[f"{i}_logits_original"]) > 1e-4
        mask = geometry.mask(crop, crop > 0, box, OUTSIDE)
        np.testing.assert_array_equal(mask[sure], recorded[f"{i}_mask"][sure])


@pytest.mark.parametrize("height, width, size, divisor", [(50, 70, 96, 32), (150, 200, 96, 64), (5, 90, 96, 32)])
def test_original_box_is_where_pixels_land(height: int, width: int, size: int, divisor: int) -> None:
    geometry = Geometry(height, width, size, divisor)
    box = Box(7, 3, 29, 18)
    inside = np.zeros((height, width), dtype=bool)
    for row in range(height):
        for column in range(width):
            y, x = geometry.model_pixel(row, column)
            inside[row, column] = box.top <= y < box.bottom and box.left <= x < box.right
    found = np.zeros_like(inside)
    found[geometry.original_box(box).slices] = True
    np.testing.assert_array_equal(found, inside)


@given(st.integers(1, 300), st.integers(1, 300))
@settings(deadline=None)
def test_axis_weights_are_a_partition(source: int, target: int) -> None:
    axis = bilinear_axis(source, target, target)
    assert axis.first.min() >= 0 and axis.second.max() < source
    assert (axis.second - axis.first <= 1).all() and (np.diff(axis.first) >= 0).all()
    np.testing.assert_allclose(axis.first_weight + axis.second_weight, 1.0, atol=1e-6)


def test_low_resolution_there_and_back_as_torch_does() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(64, 96)).astype(np.float32)
    np.testing.assert_allclose(reduced(logits, 4), torch_resize(logits, 16, 24), atol=1e-6)
    small = rng.normal(size=(16, 24)).astype(np.float32)
    large = torch_resize(small, 64, 96)
    found = enlarged_positive(small, 4)
    sure = abs(large) > 1e-5
    np.testing.assert_array_equal(found[sure], large[sure] > 0)


def test_whole_box() -> None:
    assert whole(3, 5) == Box(0, 0, 5, 3)
    assert Box(2, 1, 4, 5).within(Box(1, 1, 9, 9)) == Box(1, 0, 3, 4)
    assert Box(1, 2, 3, 4).hull(Box(0, 3, 2, 9)) == Box(0, 2, 3, 9)
