"""Label maps of masks and boxes: of the image's own extent in both geometries, for sessions that go on from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inter2former_onnx.errors import ArgumentError
from inter2former_onnx.runtime import EncodedImage, Segmenter
from inter2former_onnx.runtime.geometry import Geometry
from support.fake_bundle import SIZE, write_fake_bundle

# Neither enlarged nor reduced, both, and one token wide.
SIZES = [(96, 96), (80, 60), (300, 200), (20, 33), (40, 500), (1, 1)]


@pytest.fixture(scope="module", params=["square", "fit"])
def segmenter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    folder = tmp_path_factory.mktemp("labels") / "bundle"
    return Segmenter(write_fake_bundle(folder, mode=request.param), threads=1)


def encoded(segmenter: Segmenter, height: int, width: int) -> EncodedImage:
    return segmenter.encode(np.zeros((height, width, 3), np.uint8))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_model_pixel_is_asked_where_it_shows_the_image(segmenter: Segmenter, height: int, width: int) -> None:
    image = encoded(segmenter, height, width)
    mask = np.random.default_rng(height).random((height, width)) < 0.5
    labels = image.labels_of_mask(mask)
    assert labels.dtype == np.uint8 and labels.shape == image.geometry.extent
    assert segmenter.manifest.geometry.mode == "fit" or labels.shape == (SIZE, SIZE)
    for row, column in np.ndindex(*labels.shape):
        y, x = int(row / image.geometry.scale), int(column / image.geometry.scale)
        assert labels[row, column] == (3 if y < height and x < width and mask[y, x] else 1)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_box_is_like_the_mask_that_fills_it(segmenter: Segmenter, height: int, width: int) -> None:
    image = encoded(segmenter, height, width)
    left, top, right, bottom = width // 4, height // 4, 3 * width // 4 + 1, 3 * height // 4 + 1
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[top:bottom, left:right] = True
    inside = image.labels_of_mask(mask) == 3
    np.testing.assert_array_equal(image.labels_of_box((left, top, right, bottom)), np.where(inside, 2, 1))
    everything = image.labels_of_mask(np.ones_like(mask)) == 3
    np.testing.assert_array_equal(image.labels_of_box((-9, -9, 9999, 9999)), np.where(everything, 2, 1))


@pytest.mark.parametrize(("height", "width"), SIZES[:5])
def test_sessions_go_on_from_both(segmenter: Segmenter, height: int, width: int) -> None:
    image = encoded(segmenter, height, width)
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[: height // 2, : width // 2] = True
    for labels in (image.labels_of_mask(mask), image.labels_of_box((0, 0, width // 2, height // 2))):
        session = image.session(labels=labels)
        np.testing.assert_array_equal(session.labels, labels)
        # The fake model takes the mean label for the object's likelihood.
        answer = session.click(width // 4, height // 4)
        assert answer[height // 4, width // 4] and not answer[-1, -1]
        session.undo()
        np.testing.assert_array_equal(session.labels, labels)


@pytest.mark.parametrize("mode", ["square", "fit"])
def test_rows_and_columns_of_the_image(mode: str) -> None:
    geometry = Geometry(70, 50, 96, 32, mode)
    for origins, pixels, extent in (
        (geometry.image_rows, 70, geometry.extent[0]),
        (geometry.image_columns, 50, geometry.extent[1]),
    ):
        assert len(origins) <= extent and origins[0] == 0 and origins[-1] < pixels
        assert (np.diff(origins) >= 0).all()


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        ([[True]], "found list"),
        (np.ones((80, 60), np.uint8), "found uint8 [80, 60]"),
        (np.ones((60, 80), np.bool_), "found bool [60, 80]"),
    ],
)
def test_masks_that_are_refused(segmenter: Segmenter, mask: Any, found: str) -> None:
    image = encoded(segmenter, 80, 60)
    with pytest.raises(ArgumentError) as error:
        image.labels_of_mask(mask)
    assert str(error.value) == f"mask: expected a numpy array, bool [80, 60], {found}".replace(
        "a numpy array, " if found != "found list" else "", ""
    )


@pytest.mark.parametrize(
    "box", [(10, 10, 10, 20), (20, 10, 10, 20), (0, 80, 60, 90), (1, 2, 3), "abcd", (0.5, 0, 3, 3)]
)
def test_boxes_that_are_refused(segmenter: Segmenter, box: Any) -> None:
    image = encoded(segmenter, 80, 60)
    with pytest.raises(ArgumentError, match="^box: expected whole numbers"):
        image.labels_of_box(box)
