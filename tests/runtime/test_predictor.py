"""The interface in SAM's terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inter2former_onnx.errors import ArgumentError, ClickError, ImageError
from inter2former_onnx.runtime import Predictor, Segmenter
from inter2former_onnx.runtime import labels as rules
from support.fake_bundle import SIZE, write_fake_bundle

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 50, 3), dtype=np.uint8)
LOW = SIZE // 4


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter(write_fake_bundle(tmp_path_factory.mktemp("predictor") / "bundle"), threads=1)


@pytest.fixture
def predictor(segmenter: Segmenter) -> Predictor:
    predictor = Predictor(segmenter)
    predictor.set_image(IMAGE)
    return predictor


def decoded_logits(segmenter: Segmenter, labels: np.ndarray) -> np.ndarray:
    """Logits of the whole T x T map."""
    logits, box = segmenter.decode(segmenter.encode(IMAGE), labels)
    full = np.full((SIZE, SIZE), -100, dtype=np.float32)
    full[box.slices] = logits
    return full


def with_points(segmenter: Segmenter, labels: np.ndarray, points: list[tuple[int, int, bool]]) -> np.ndarray:
    geometry = segmenter.encode(IMAGE).geometry
    for x, y, positive in points:
        rules.draw_click(labels, *geometry.model_pixel(y, x), positive, 5)
    return labels


def test_points(segmenter: Segmenter, predictor: Predictor) -> None:
    coords, point_labels = np.array([[10.5, 20.0], [40, 60], [41, 61]]), np.array([1, 0, 1])
    masks, scores, low = predictor.predict(coords, point_labels)
    points = [(10, 20, True), (40, 60, False), (41, 61, True)]
    full = decoded_logits(segmenter, with_points(segmenter, rules.initial(SIZE, SIZE), points))
    assert masks.shape == (1, 70, 50) and masks.dtype == np.bool_
    assert scores.shape == (1,) and scores.dtype == np.float32
    assert low.shape == (1, LOW, LOW) and low.dtype == np.float32
    centres = full.reshape(LOW, 4, LOW, 4)[:, 1:3, :, 1:3].mean(axis=(1, 3))
    np.testing.assert_allclose(low[0], centres, atol=1e-5)
    assert scores[0] == pytest.approx((full > 1).sum() / (full > -1).sum())
    logits, _, _ = predictor.predict(coords, point_labels, return_logits=True)
    assert logits.shape == (1, 70, 50) and logits.dtype == np.float32
    np.testing.assert_array_equal(masks, logits > 0)


def test_first_point_equals_a_sessions_first_click(segmenter: Segmenter, predictor: Predictor) -> None:
    session = segmenter.encode(IMAGE).session(enforce_clicks=False, drop_islands=False)
    masks, _, _ = predictor.predict([[10, 20]], [1])
    np.testing.assert_array_equal(masks[0], session.click(10, 20))


@pytest.mark.parametrize("points", [[], [(30, 30, False)]])
def test_mask_input_becomes_possible_labels(
    segmenter: Segmenter, predictor: Predictor, points: list[tuple[int, int, bool]]
) -> None:
    mask_input = np.full((1, LOW, LOW), -1, dtype=np.float32)
    mask_input[0, 4:12, 6:9] = 1
    coords = [point[:2] for point in points] or None
    masks, _, _ = predictor.predict(coords, [int(p[2]) for p in points] or None, mask_input=mask_input)
    labels = np.full((SIZE, SIZE), 1, dtype=np.uint8)
    labels[16:48, 24:36] = 3  # of equal and opposite neighbours the enlarged border lies between
    full = decoded_logits(segmenter, with_points(segmenter, labels, points))
    expected = segmenter.encode(IMAGE).geometry.mask(full, full > 0, rules.whole(SIZE, SIZE), -100.0)
    np.testing.assert_array_equal(masks[0], expected)


def test_own_answer_can_be_given_back(predictor: Predictor) -> None:
    masks, _, low = predictor.predict([[10, 20]], [1])
    again, _, _ = predictor.predict([[40, 10]], [0], mask_input=low)
    assert again.shape == masks.shape


def test_score_without_any_likely_pixel_is_zero(predictor: Predictor) -> None:
    masks, scores, _ = predictor.predict(mask_input=np.full((1, LOW, LOW), -1, dtype=np.float32))
    assert not masks.any() and scores[0] == 0.0


def test_image_format(segmenter: Segmenter) -> None:
    # The fake encoder averages the channels, so ask what it is fed.
    fed: list[np.ndarray] = []
    predictor = Predictor(segmenter)
    encode = segmenter.encode
    segmenter.encode = lambda image: fed.append(image) or encode(image)  # type: ignore[method-assign, func-returns-value]
    try:
        predictor.set_image(IMAGE)
        predictor.set_image(IMAGE, "BGR")
    finally:
        segmenter.encode = encode  # type: ignore[method-assign]
    np.testing.assert_array_equal(fed[0], IMAGE)
    np.testing.assert_array_equal(fed[1], IMAGE[:, :, ::-1])
    with pytest.raises(ArgumentError, match="expected 'RGB' or 'BGR', found 'rgb'"):
        predictor.set_image(IMAGE, "rgb")
    with pytest.raises(ImageError, match="found float64"):
        predictor.set_image(IMAGE / 255.0, "BGR")


def test_image_must_be_set(segmenter: Segmenter, predictor: Predictor) -> None:
    assert predictor.is_image_set
    predictor.reset_image()
    assert not predictor.is_image_set
    with pytest.raises(ImageError, match="call set_image before predict"):
        predictor.predict([[1, 1]], [1])


@pytest.mark.parametrize(
    "arguments, part",
    [
        ({}, "predict needs point_coords and point_labels, mask_input, or both"),
        ({"point_coords": [[1, 1]]}, "expected both or none"),
        ({"point_labels": [1]}, "expected both or none"),
        ({"point_coords": np.zeros((0, 2)), "point_labels": []}, "predict needs"),
        ({"point_coords": [1, 1], "point_labels": [1]}, "point_coords: expected [N, 2], found [2]"),
        ({"point_coords": [[1, 1, 1]], "point_labels": [1]}, "point_coords: expected [N, 2], found [1, 3]"),
        ({"point_coords": [["a", 1]], "point_labels": [1]}, "point_coords: expected numbers"),
        ({"point_coords": [[1, 1]], "point_labels": [1, 0]}, "one for each of the 1 points, found shape [2]"),
        ({"point_coords": [[1, 1]], "point_labels": [2]}, "expected 1 (object) or 0 (background), found 2"),
        ({"point_coords": [[1, 1]], "point_labels": [-1]}, "found -1"),
        ({"point_coords": [[1, 1]], "point_labels": [np.nan]}, "found nan"),
        ({"box": [0, 0, 5, 5]}, "does not support boxes"),
        ({"point_coords": [[1, 1]], "point_labels": [1], "multimask_output": True}, "multimask_output=False"),
        (
            {"mask_input": np.zeros((1, 8, 8), np.float32)},
            f"expected float32 [1, {LOW}, {LOW}], found float32 [1, 8, 8]",
        ),
        ({"mask_input": np.zeros((1, LOW, LOW), np.uint8)}, "found uint8"),
        ({"mask_input": np.full((1, LOW, LOW), np.nan, np.float32)}, "expected finite logits"),
    ],
)
def test_arguments_that_cannot_be_honoured(predictor: Predictor, arguments: dict[str, Any], part: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        predictor.predict(**arguments)
    assert part in str(caught.value)


@pytest.mark.parametrize("point", [[50, 0], [0, 70], [-1, 0], [np.nan, 0]])
def test_points_outside_the_image(predictor: Predictor, point: list[float]) -> None:
    with pytest.raises(ClickError, match="must be from 0 to below"):
        predictor.predict([point], [1])
