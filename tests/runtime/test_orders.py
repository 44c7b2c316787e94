"""Clicks beside the object before any on it: they are told to the model, and spoil nothing that comes after."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from inter2former_onnx.runtime import EncodedImage, Predictor, Segmenter
from inter2former_onnx.runtime import labels as rules
from support.fake_bundle import write_fake_bundle
from support.tried import tried

HEIGHT, WIDTH = 400, 600


@pytest.fixture(scope="module")
def shipped() -> Segmenter:
    return Segmenter(threads=2)


def ellipse() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside: np.ndarray = ((x - WIDTH / 2) / 120) ** 2 + ((y - HEIGHT / 2) / 100) ** 2 <= 1
    return inside


@pytest.fixture(scope="module")
def photograph(shipped: Segmenter) -> EncodedImage:
    """A red ellipse on green, both grainy."""
    pixels = np.where(ellipse()[:, :, None], (190.0, 60.0, 40.0), (70.0, 110.0, 60.0))
    pixels += np.random.default_rng(0).normal(0, 8, pixels.shape)
    return shipped.encode(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module", params=["square", "fit"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EncodedImage:
    """For the fake model, for which a map without any foreground is object where it is unknown."""
    bundle: Path = write_fake_bundle(tmp_path_factory.mktemp("orders") / "bundle", mode=request.param)
    return Segmenter(bundle, threads=1).encode(np.zeros((80, 60, 3), np.uint8))


def overlap(mask: np.ndarray, target: np.ndarray) -> float:
    return float((mask & target).sum() / (mask | target).sum())


@pytest.mark.parametrize("count", [2, 3, 4])
def test_all_orders_lead_to_the_object(photograph: EncodedImage, count: int) -> None:
    clicks = [(5, 5, False), (300, 200, True), (580, 380, False), (340, 200, True)][:count]
    for order in permutations(clicks):
        session = photograph.session()
        for click in order:
            mask = session.click(*click)
        assert overlap(mask, ellipse()) > 0.98, order
        tried()


def test_taking_back_leads_to_the_object_too(photograph: EncodedImage) -> None:
    """Down to the negative click alone, and on from there; and a first click on the object that was a mistake."""
    session = photograph.session()
    session.click(5, 5, False)
    alone = session.labels
    assert set(np.unique(alone)) == {rules.DEFINITE_BACKGROUND, rules.UNKNOWN}
    session.click(60, 60)
    session.undo()
    np.testing.assert_array_equal(session.labels, alone)
    assert overlap(session.click(300, 200), ellipse()) > 0.98
    session.click(580, 380, False)
    session.undo()
    session.undo()
    np.testing.assert_array_equal(session.labels, alone)
    session.undo()
    assert (session.labels == rules.UNKNOWN).all()
    assert overlap(session.click(300, 200), ellipse()) > 0.98


def test_only_discs_are_labelled_until_a_positive_click(image: EncodedImage) -> None:
    session = image.session()
    expected = session.labels
    for x, y in [(10, 10), (50, 70), (10, 14)]:
        session.click(x, y, False)
        rules.draw_click(expected, *image.geometry.model_pixel(y, x), positive=False, radius=5)
        np.testing.assert_array_equal(session.labels, expected)
    preview = session.preview(30, 40)
    np.testing.assert_array_equal(session.labels, expected)
    np.testing.assert_array_equal(session.click(30, 40), preview)
    assert (session.labels == rules.UNKNOWN).sum() < (expected == rules.UNKNOWN).sum()


@pytest.mark.parametrize("state", [rules.POSSIBLE_FOREGROUND, rules.DEFINITE_FOREGROUND])
def test_a_given_map_with_foreground_has_something_positive(image: EncodedImage, state: int) -> None:
    labels = np.full(image.geometry.extent, rules.UNKNOWN, dtype=np.uint8)
    labels[32:48, 32:48] = state
    session = image.session(labels=labels)
    for _ in range(2):
        session.click(5, 5, False)
        assert (session.labels == rules.UNKNOWN).sum() < (labels == rules.UNKNOWN).sum() - 100
        session.click(50, 60, False)
        session.undo()
        session.undo()
        np.testing.assert_array_equal(session.labels, labels)


def test_a_given_map_without_foreground_has_nothing_positive(image: EncodedImage) -> None:
    """A box's: unknown inside, possible background around it."""
    labels = image.labels_of_box((16, 16, 48, 64))
    session = image.session(labels=labels)
    session.click(20, 20, False)
    rules.draw_click(labels, *image.geometry.model_pixel(20, 20), positive=False, radius=5)
    np.testing.assert_array_equal(session.labels, labels)
    session.click(40, 40)
    assert (session.labels != labels)[image.geometry.model_pixel(60, 40)]


def test_the_predictors_answers_given_back(photograph: EncodedImage, shipped: Segmenter) -> None:
    """As programs for SAM do: all points so far, and the logits of the last answer."""
    predictor = Predictor(shipped)
    predictor._image = photograph
    points, kinds, logits = [], [], None
    for x, y, positive in [(5, 5, False), (300, 200, True), (580, 380, False)]:
        points.append((x, y))
        kinds.append(int(positive))
        masks, _, logits = predictor.predict(points, kinds, mask_input=logits)
    assert overlap(masks[0].astype(bool), ellipse()) > 0.98
