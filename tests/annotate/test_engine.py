"""Masks for prompts: any way from one set of clicks to another gives what clicking them anew gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inter2former_onnx.annotate.document import Annotation, Document, Prompt
from inter2former_onnx.annotate.engine import Engine
from inter2former_onnx.annotate.rle import RLE
from inter2former_onnx.errors import ArgumentError
from inter2former_onnx.runtime import EncodedImage, Segmenter
from inter2former_onnx.runtime.box import Box
from inter2former_onnx.runtime.click import Click
from support.fake_bundle import write_fake_bundle

WIDTH, HEIGHT = 60, 80


@pytest.fixture(scope="module", params=["square", "fit"])
def segmenter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """For pictures of both geometries: a label map has another size in each."""
    folder = tmp_path_factory.mktemp("engine") / "bundle"
    return Segmenter(write_fake_bundle(folder, mode=request.param), threads=1)


@pytest.fixture(scope="module")
def image(segmenter: Segmenter) -> EncodedImage:
    pixels = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return segmenter.encode(pixels)


CLICKS = st.builds(Click, st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.booleans())
# Few of them, so that many prompts begin alike.
PROMPTS = st.builds(
    Prompt,
    box=st.sampled_from([None, None, Box(10, 20, 40, 60)]),
    clicks=st.lists(st.sampled_from([Click(10, 10, True), Click(40, 70, False), Click(30, 30, True)]), max_size=5).map(
        tuple
    ),
)


def anew(image: EncodedImage, prompt: Prompt) -> np.ndarray:
    session = image.session(labels=None if prompt.box is None else image.labels_of_box(prompt.box))
    for click in prompt.clicks:
        session.click(click.x, click.y, click.positive)
    return session.mask


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["mask", "preview", "rename"]), st.sampled_from("ab"), PROMPTS, CLICKS), max_size=8
    )
)
def test_any_way_to_a_prompt_is_as_good_as_clicking_anew(
    image: EncodedImage, steps: list[tuple[str, str, Prompt, Click]]
) -> None:
    engine = Engine()
    for what, key, prompt, click in steps:
        if what == "mask":
            np.testing.assert_array_equal(engine.mask(image, key, prompt).decode(), anew(image, prompt))
        elif what == "preview":
            more = Prompt(box=prompt.box, clicks=(*prompt.clicks, click))
            np.testing.assert_array_equal(engine.preview(image, key, prompt, click).decode(), anew(image, more))
        else:
            engine.rename(key, "b" if key == "a" else "a")


def test_as_few_runs_as_possible(segmenter: Segmenter, image: EncodedImage, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[object] = []
    decode = segmenter.decode_region
    monkeypatch.setattr(segmenter, "decode_region", lambda *args, **named: runs.append(args) or decode(*args, **named))
    clicks = tuple(Click(5 * number, 7 * number, number % 2 == 0) for number in range(8))
    engine = Engine()

    def runs_of(prompt: Prompt, key: str = "a") -> int:
        runs.clear()
        engine.mask(image, key, prompt)
        return len(runs)

    assert runs_of(Prompt(clicks=clicks[:1])) == 1
    assert runs_of(Prompt(clicks=clicks[:2])) == 1
    assert runs_of(Prompt(clicks=clicks[:2])) == 0
    engine.preview(image, "a", Prompt(clicks=clicks[:2]), clicks[2])
    assert runs_of(Prompt(clicks=clicks[:3])) == 0  # the preview has computed it
    assert runs_of(Prompt(clicks=clicks[:8])) == 5
    assert runs_of(Prompt(clicks=clicks[:7])) == 1  # one click taken back, not seven made again
    assert runs_of(Prompt(clicks=clicks[:1])) == 1  # and the other way round
    assert runs_of(Prompt()) == 0
    assert runs_of(Prompt(clicks=clicks[:4]), "b") == 4
    engine.rename("b", "c")
    assert runs_of(Prompt(clicks=clicks[:5]), "c") == 1
    engine.forget(image)
    assert runs_of(Prompt(clicks=clicks[:2]), "c") == 2


def test_going_on_from_a_mask(image: EncodedImage) -> None:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    mask[16:48, 16:48] = True
    start = RLE.encode(mask)
    engine = Engine()
    assert engine.mask(image, "a", Prompt(start=start)) == start
    labels = image.labels_of_mask(mask)
    assert labels.shape == image.geometry.extent
    assert (labels[16:48, 16:48] == 3).all() and (labels == 3).sum() == mask.sum()
    assert set(np.unique(labels)) == {1, 3}
    # Label 3 is the object for the fake model; a click beside takes a token away.
    refined = engine.mask(image, "a", Prompt(start=start, clicks=(Click(40, 40, False),))).decode()
    assert refined[20, 20] and not refined[40, 40] and not refined[60:].any()


@pytest.mark.parametrize("height, width", [(300, 200), (96, 96), (20, 33)])
def test_labels_of_masks_and_boxes_of_other_sizes(segmenter: Segmenter, height: int, width: int) -> None:
    image = segmenter.encode(np.zeros((height, width, 3), np.uint8))
    mask = np.zeros((height, width), dtype=np.bool_)
    box = Box(width // 4, height // 4, 3 * width // 4, 3 * height // 4)
    mask[box.slices] = True
    inside = image.labels_of_mask(mask) == 3
    np.testing.assert_array_equal(image.labels_of_box(box), np.where(inside, 2, 1))
    scale = image.geometry.scale
    assert inside.sum() == pytest.approx(mask.sum() * scale**2, rel=0.15)
    rows, columns = np.nonzero(inside)
    assert mask[(rows / scale).astype(int), (columns / scale).astype(int)].all()


def document() -> Document:
    return Document(4, 3)


def annotation(id: int, **changes: Any) -> Annotation:
    return Annotation(
        **{"id": id, "category": 1, "prompt": Prompt(), "mask": RLE.encode(np.ones((3, 4), bool)), **changes}
    )


STEPS = st.lists(
    st.one_of(st.tuples(st.just("put"), st.integers(1, 3), st.integers(1, 9)), st.just("undo"), st.just("redo"))
)


@given(STEPS)
def test_undo_and_redo_follow_the_plain_rule(steps: list[Any]) -> None:
    """Against a list of all states and a place in it."""
    one = document()
    states, at = [one.objects], 0
    revisions = {one.revision}
    for step in steps:
        before = one.revision
        if step == "undo":
            assert one.undo() == (at > 0)
            at = max(at - 1, 0)
        elif step == "redo":
            assert one.redo() == (at + 1 < len(states))
            at = min(at + 1, len(states) - 1)
        else:
            one.put(annotation(step[1], category=step[2]))
            states = [*states[: at + 1], one.objects]
            at += 1
        assert one.objects == states[at]
        assert (one.can_undo, one.can_redo) == (at > 0, at + 1 < len(states))
        assert one.revision == before or one.revision not in revisions
        revisions.add(one.revision)
    assert len({id(objects) for objects in one.history()}) <= len(states)


def test_objects_that_are_not_there() -> None:
    one = document()
    one.put(annotation(2))
    for wrong in (lambda: one.find(1), lambda: one.remove(1)):
        with pytest.raises(ArgumentError, match="no object 1"):
            wrong()
    one.mark(True)
    assert one.done and one.can_undo
    one.undo()
    assert one.done and one.objects == ()  # the mark is no step
