"""The annotation page's forms of a mask, held to pycocotools: run-length text, outlines, polygons."""

from __future__ import annotations

import numpy as np
import pycocotools.mask as coco
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from inter2former_onnx.annotate import outlines
from inter2former_onnx.annotate.rle import RLE
from inter2former_onnx.errors import ArgumentError

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def blobs(seed: int, height: int = 90, width: int = 120) -> np.ndarray:
    """A mask like a model's: smooth noise above a threshold, with islands and holes."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    for axis in (0, 1):
        for _ in range(12):
            noise = noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)
    return noise > np.quantile(noise, 0.55)


@settings(max_examples=200)
@given(MASKS)
def test_run_length_code_is_that_of_the_coco_api(mask: np.ndarray) -> None:
    code = RLE.encode(mask)
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert code.json() == {"size": list(mask.shape), "counts": expected["counts"].decode()}
    np.testing.assert_array_equal(code.decode(), mask)
    assert code.area == coco.area(expected)
    assert list(code.box) == coco.toBbox(expected).tolist()
    assert RLE.checked(*mask.shape, code.counts) == code


@pytest.mark.parametrize("seed", range(3))
def test_run_length_code_of_large_masks(seed: int) -> None:
    mask = blobs(seed, 700, 500)
    assert RLE.encode(mask).counts == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    sparse = np.zeros((3000, 2000), dtype=np.bool_)
    sparse[5, 7] = sparse[2999, 1999] = True
    assert RLE.encode(sparse).counts == coco.encode(np.asfortranarray(sparse.astype(np.uint8)))["counts"].decode()


@pytest.mark.parametrize(
    "counts", ["", "é", "\x1f", "zzzz", "o", "PPPPPPPP0", "00", "12", RLE.encode(np.eye(4) > 0).counts]
)
def test_damaged_code_is_refused(counts: str) -> None:
    with pytest.raises(ArgumentError, match="counts: not"):
        RLE.checked(5, 5, counts)


@settings(max_examples=200)
@given(MASKS)
def test_exact_polygons_rasterise_to_the_mask(mask: np.ndarray) -> None:
    parts = outlines.polygons(mask, tolerance=0)
    height, width = mask.shape
    assert bool(parts) == bool(mask.any())
    total = np.zeros(mask.shape, dtype=np.int64)
    for part in parts:
        # Odd crossings, summed over the parts, which do not overlap.
        total += coco.decode(coco.frPyObjects([part], height, width))[:, :, 0]
    np.testing.assert_array_equal(total, mask)


@pytest.mark.parametrize("seed", range(4))
def test_simplified_polygons_stay_within_a_pixel(seed: int) -> None:
    mask = blobs(seed)
    exact, simple = outlines.polygons(mask, tolerance=0), outlines.polygons(mask)
    assert sum(map(len, simple)) < 0.6 * sum(map(len, exact))
    drawn = coco.decode(coco.merge(coco.frPyObjects(simple, *mask.shape))).astype(np.bool_)
    interior, around = eroded(mask), ~eroded(~mask)
    assert (drawn[interior]).all() and not drawn[~around].any()
    assert np.count_nonzero(drawn & mask) / np.count_nonzero(drawn | mask) > 0.95


def eroded(mask: np.ndarray) -> np.ndarray:
    """Pixels whose 3 x 3 neighbours are all set; beyond the picture nothing is."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return np.all([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0)


@settings(max_examples=100)
@given(MASKS)
def test_outlines_enclose_the_area(mask: np.ndarray) -> None:
    rings = outlines.rings(mask)
    assert sum(map(outlines.signed_area, rings)) == mask.sum()
    for ring in rings:
        steps = np.abs(ring - np.roll(ring, 1, axis=0))
        assert (np.count_nonzero(steps, axis=1) == 1).all()  # along one axis each, and corners only
        assert (np.count_nonzero(steps[::2], axis=0) == 0).any()


@settings(max_examples=100)
@given(st.integers(0, 10_000), st.floats(0.3, 3))
def test_simplifying_leaves_no_corner_far_away(seed: int, tolerance: float) -> None:
    (ring, *_) = outlines.rings(blobs(seed, 30, 40)) or [np.array([[0, 0], [1, 0], [1, 1], [0, 1]])]
    kept = outlines.simplified(ring, tolerance).astype(np.float64)
    start, way = kept, np.roll(kept, -1, axis=0) - kept
    length = (way**2).sum(axis=1)
    for corner in ring:
        along = np.clip(((corner - start) * way).sum(axis=1) / np.maximum(length, 1e-9), 0, 1)
        assert np.hypot(*(start + along[:, None] * way - corner).T).min() <= tolerance + 1e-9
