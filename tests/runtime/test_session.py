"""Sessions of clicks around a model so simple that what it must answer can be computed here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inter2former_onnx.errors import ArgumentError, BundleError, ClickError
from inter2former_onnx.runtime import Click, ClickSession, EncodedImage, Segmenter
from inter2former_onnx.runtime import labels as label_rules
from inter2former_onnx.runtime.geometry import Geometry
from inter2former_onnx.runtime.labels import region_of_interest
from support.fake_bundle import SIZE, expected_logits, write_fake_bundle
from support.island_oracle import islands_of

BACKGROUND = np.array([0, 1, 1, 2, 4], dtype=np.uint8)
FOREGROUND = np.array([0, 2, 3, 3, 4], dtype=np.uint8)


@pytest.fixture(scope="module", params=["boundary square", "roi square", "boundary fit"])
def segmenter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    routing, mode = request.param.split()
    folder = tmp_path_factory.mktemp("session") / "bundle"
    return Segmenter(write_fake_bundle(folder, routing=routing, mode=mode), threads=1)


def photograph(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def image(segmenter: Segmenter) -> EncodedImage:
    return segmenter.encode(photograph(70, 50))


def plain_session(image: EncodedImage, clicks: Sequence[Click], drop_islands: bool) -> tuple[np.ndarray, np.ndarray]:
    """(labels, logits in the original image) after all clicks, by whole-map definitions."""
    mode = image.segmenter.manifest.geometry.mode
    geometry = Geometry(image.height, image.width, SIZE, 32, mode)
    height, width = (SIZE, SIZE) if mode == "square" else (80, 64)  # 70 x 50 pixels, neither enlarged nor reduced
    labels = np.full((height, width), 2, dtype=np.uint8)
    y, x = np.mgrid[:height, :width]
    back = np.empty(0)
    for number, click in enumerate(clicks):
        row, column = geometry.model_pixel(click.y, click.x)
        labels[(y - row) ** 2 + (x - column) ** 2 <= 25] = 4 if click.positive else 0
        box = region_of_interest(labels)
        logits = np.full((height, width), -100, dtype=np.float32)
        logits[box.slices] = expected_logits(image.arrays["embed"][:, :, 0], labels)[box.slices]
        if drop_islands:
            logits = np.where(islands_of(logits, labels == 4), -logits, logits)
        back = geometry.logits(logits, region_of_interest(np.ones_like(labels)), -100.0)
        if any(made.positive for made in clicks[: number + 1]):
            labels = np.where(logits > 0, FOREGROUND[labels], BACKGROUND[labels])
    return labels, back


def state_of(session: ClickSession) -> tuple[object, ...]:
    return session.clicks, session.labels.tobytes(), session.logits.tobytes(), session.mask.tobytes()


POINTS = st.tuples(st.floats(0, 49.99), st.floats(0, 69.99), st.booleans())


@settings(deadline=None, max_examples=25)
@given(st.lists(POINTS, min_size=1, max_size=5), st.booleans())
def test_clicks_follow_the_published_loop(
    image: EncodedImage, points: list[tuple[float, float, bool]], drop_islands: bool
) -> None:
    """And with islands dropped the same loop, whose predictions are without them."""
    session = image.session(enforce_clicks=False, drop_islands=drop_islands)
    for x, y, positive in points:
        mask = session.click(x, y, positive)
    labels, logits = plain_session(image, session.clicks, drop_islands)
    np.testing.assert_array_equal(session.labels, labels)
    np.testing.assert_allclose(session.logits, logits, atol=1e-4)
    sure = abs(logits) > 1e-4
    np.testing.assert_array_equal(mask[sure], logits[sure] > 0)
    np.testing.assert_array_equal(mask, session.mask)


def test_before_the_first_click(image: EncodedImage) -> None:
    session = image.session()
    assert session.clicks == ()
    assert (session.labels == 2).all() and session.labels.shape == image.geometry.extent
    assert session.mask.shape == (70, 50) and session.mask.dtype == np.bool_ and not session.mask.any()
    assert session.logits.dtype == np.float32 and (session.logits == -100).all()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.one_of(POINTS, st.just("undo")), max_size=8))
def test_undo_equals_never_having_clicked(image: EncodedImage, steps: list[tuple[float, float, bool] | str]) -> None:
    session = image.session()
    kept: list[tuple[float, float, bool]] = []
    for step in steps:
        if isinstance(step, str):
            mask = session.undo()
            kept = kept[:-1]
        else:
            mask = session.click(*step)
            kept.append(step)
        np.testing.assert_array_equal(mask, session.mask)
    replayed = image.session()
    for step in kept:
        replayed.click(*step)
    assert state_of(session) == state_of(replayed)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(["click", "preview", "undo"]), POINTS), max_size=8))
def test_preview_equals_click_and_undo(image: EncodedImage, steps: list[tuple[str, tuple[float, float, bool]]]) -> None:
    previewing, plain = image.session(), image.session()
    for step, point in steps:
        if step == "undo":
            np.testing.assert_array_equal(previewing.undo(), plain.undo())
            continue
        before = state_of(previewing)
        preview = previewing.preview(*point)
        assert state_of(previewing) == before
        np.testing.assert_array_equal(preview, plain.click(*point))
        preview[...] = ~preview  # the caller's own
        if step == "preview":
            plain.undo()
        else:
            np.testing.assert_array_equal(previewing.click(*point), plain.mask)
        assert state_of(previewing) == state_of(plain)


def test_click_on_the_previewed_pixel_decodes_nothing(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    session = segmenter.encode(photograph(40, 60)).session()
    decoded: list[object] = []
    decode = segmenter.decode_region
    monkeypatch.setattr(segmenter, "decode_region", lambda *args, **kw: decoded.append(args) or decode(*args, **kw))
    session.preview(10, 10)
    session.preview(10.5, 10.2)
    session.click(10, 10)
    assert len(decoded) == 1
    session.preview(20, 20)
    session.click(20, 20, positive=False)  # another click than the previewed one
    session.click(20, 20)  # the previewed pixel, on other clicks
    assert len(decoded) == 4


def test_click_does_not_wait_for_a_preview(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    session = segmenter.encode(photograph(40, 60)).session()
    started, may_end = threading.Event(), threading.Event()
    decode = segmenter.decode_region
    clicking = threading.get_ident()

    def slow_elsewhere(*args: Any, **named: Any) -> Any:
        if threading.get_ident() != clicking:
            started.set()
            assert may_end.wait(30)
        return decode(*args, **named)

    monkeypatch.setattr(segmenter, "decode_region", slow_elsewhere)
    previews: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: previews.append(session.preview(30, 20)))
    thread.start()
    assert started.wait(30)
    session.click(10, 10)
    after_click = state_of(session)
    may_end.set()
    thread.join()
    assert state_of(session) == after_click
    other = segmenter.encode(photograph(40, 60)).session()
    np.testing.assert_array_equal(previews[0], other.click(30, 20))
    np.testing.assert_array_equal(session.click(30, 20), session.mask)  # not what was previewed from elsewhere
    assert session.clicks == (Click(10, 10, True), Click(30, 20, True))


@pytest.mark.parametrize("x, y", [(50, 0), (0, -1)])
def test_unusable_previews_raise_as_clicks_do(image: EncodedImage, x: float, y: float) -> None:
    with pytest.raises(ClickError, match="must be from 0"):
        image.session().preview(x, y)


def test_undo_without_clicks_changes_nothing(image: EncodedImage) -> None:
    session = image.session()
    assert not session.undo().any()
    assert session.clicks == ()


def test_reset_equals_a_new_session(image: EncodedImage) -> None:
    session = image.session()
    session.click(10, 10)
    session.click(30, 40, positive=False)
    session.reset()
    assert state_of(session) == state_of(image.session())


def test_sessions_on_one_image_are_independent(image: EncodedImage) -> None:
    first, second = image.session(), image.session()
    first.click(10, 10)
    assert second.clicks == () and not second.mask.any()


def test_what_is_given_away_can_be_changed_without_harm(image: EncodedImage) -> None:
    session = image.session()
    mask = session.click(10, 10)
    before = state_of(session)
    mask[...] = ~mask
    session.labels[...] = 0
    session.logits[...] = 0
    session.mask[...] = False
    assert state_of(session) == before


@pytest.mark.parametrize(
    "x, y, pixel", [(0, 0, (0, 0)), (49.999, 69.5, (49, 69)), (np.float32(3.7), np.int16(4), (3, 4))]
)
def test_pixel_that_contains_the_point(image: EncodedImage, x: float, y: float, pixel: tuple[int, int]) -> None:
    session = image.session()
    session.click(x, y)
    assert session.clicks == (Click(*pixel, True),)
    assert all(type(value) in (int, bool) for value in session.clicks[0])


@pytest.mark.parametrize(
    "x, y, part",
    [
        (50, 0, "x must be from 0 to below 50 (the image's pixels), found 50"),
        (0, 70, "y must be from 0 to below 70"),
        (-0.001, 0, "x must be from 0 to below 50 (the image's pixels), found -0.001"),
        (0, -1, "found -1"),
        (float("nan"), 0, "found nan"),
        (0, float("inf"), "found inf"),
        (1e300, 0, "found 1e+300"),
        pytest.param(10**5000, 0, "x must be from 0", id="huge"),
        ("10", 0, "x must be a number from 0 to below 50, found '10'"),
        (None, 0, "found None"),
        (True, 0, "found True"),
        (0, np.array([1.0]), "y must be a number"),
        (1 + 2j, 0, "x must be a number"),
    ],
)
def test_unusable_clicks_change_nothing(image: EncodedImage, x: object, y: object, part: str) -> None:
    session = image.session()
    session.click(10, 10)
    before = state_of(session)
    with pytest.raises(ClickError) as caught:
        session.click(x, y)  # type: ignore[arg-type]
    assert part in str(caught.value)
    assert state_of(session) == before


@pytest.mark.parametrize("positive", ["no", None, 2, -1, 0.5])
def test_positive_must_be_a_truth_value(image: EncodedImage, positive: object) -> None:
    with pytest.raises(ClickError, match="positive must be True or False"):
        image.session().click(1, 1, positive)  # type: ignore[arg-type]


def test_zero_and_one_are_truth_values(image: EncodedImage) -> None:
    session = image.session()
    session.click(1, 1, 0)
    session.click(2, 2, np.int64(1))  # type: ignore[arg-type]
    session.click(3, 3, np.False_)  # type: ignore[arg-type]
    assert [click.positive for click in session.clicks] == [False, True, False]


@pytest.mark.parametrize("error", [BundleError("no"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["region_of_interest", "apply_prediction", "decode", "mask"])
@pytest.mark.parametrize("action", ["click", "preview", "undo"])
def test_failure_anywhere_changes_nothing(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, error: BaseException, step: str, action: str
) -> None:
    session = segmenter.encode(photograph(40, 60)).session()
    session.click(10, 10)
    session.click(50, 20, positive=False)
    before = state_of(session)

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        if step == "decode":
            patch.setattr(segmenter, "decode_region", fail)
        elif step == "mask":
            patch.setattr(Geometry, "mask", fail)
        else:
            patch.setattr(label_rules, step, fail)
        with pytest.raises(type(error)):
            if action == "undo":
                session.undo()
            else:
                getattr(session, action)(30, 30)
    assert state_of(session) == before
    session.click(30, 30)
    assert len(session.clicks) == 3


@pytest.mark.parametrize("height, width", [(70, 50), (40, 30), (200, 150), (96, 96), (1, 1), (20, 300)])
def test_enforced_clicks_hold_in_the_mask(segmenter: Segmenter, height: int, width: int) -> None:
    image = segmenter.encode(photograph(height, width))
    enforced, free = image.session(), image.session(enforce_clicks=False)
    rng = np.random.default_rng(7)
    for _ in range(6):
        click = (int(rng.integers(0, width)), int(rng.integers(0, height)), bool(rng.integers(0, 2)))
        mask, model_mask = enforced.click(*click), free.click(*click)
        np.testing.assert_array_equal(enforced.labels, free.labels)  # masks differ, never what the model is told
        rows, columns = (np.mgrid[:height, :width] * image.geometry.scale).astype(int)
        labels = enforced.labels[rows, columns]
        places = [image.geometry.model_pixel(c.y, c.x) for c in enforced.clicks]
        close = np.any([(rows - y) ** 2 + (columns - x) ** 2 <= 2**2 for y, x in places], axis=0)
        expected = np.where(close & (labels == 4), True, np.where(close & (labels == 0), False, model_mask))
        np.testing.assert_array_equal(mask, expected)
        assert mask[click[1], click[0]] == click[2]


def test_islands_are_no_part_of_the_mask_until_clicked(image: EncodedImage) -> None:
    labels = np.ones(image.geometry.extent, dtype=np.uint8)
    labels[:16, :16], labels[48:64, 32:48] = 3, 2  # the "model" is sure of the first token and hardly of the second
    dropping, keeping = image.session(labels=labels), image.session(labels=labels, drop_islands=False)
    island = keeping.click(8, 8) & ~dropping.click(8, 8)
    assert island.any() and dropping.mask[8, 8]
    np.testing.assert_array_equal(dropping.mask | island, keeping.mask)
    assert (keeping.labels[48:64, 32:48] == 3).all() and (dropping.labels[48:64, 32:48] == 1).all()
    assert (abs(keeping.logits) == abs(dropping.logits)).all() and (dropping.logits[island] < 0).all()
    x, y = (int(place.mean()) for place in np.nonzero(island)[::-1])
    assert dropping.click(x, y)[y, x]
    dropping.undo()
    assert not dropping.mask[island].any()
    assert image.session(labels=labels).preview(8, 8).sum() == dropping.mask.sum()


def test_positive_and_negative_click_on_one_pixel(image: EncodedImage) -> None:
    session = image.session()
    assert session.click(20, 30, True)[30, 20]
    assert not session.click(20, 30, False)[30, 20]
    assert session.click(20, 30, True)[30, 20]
    assert session.clicks == (Click(20, 30, True), Click(20, 30, False), Click(20, 30, True))


def test_threads_clicking_in_one_session_take_turns(image: EncodedImage) -> None:
    session = image.session()
    threads = [threading.Thread(target=session.click, args=(x, 2 * x)) for x in range(0, 32, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(click.x for click in session.clicks) == list(range(0, 32, 4))
    replayed = image.session()
    for click in session.clicks:
        replayed.click(*click)
    assert state_of(session) == state_of(replayed)


def test_session_says_what_it_is(image: EncodedImage) -> None:
    session = image.session()
    session.click(1, 1)
    assert repr(session).startswith("ClickSession(1 click on EncodedImage(50 x 70 pixels")


def test_nothing_is_written_beside_the_bundle(segmenter: Segmenter) -> None:
    names = sorted(path.name for path in Path(segmenter.bundle).iterdir())
    assert names == ["decoder.onnx", "encoder.onnx", "manifest.json", "prompt.onnx"]


def test_session_goes_on_from_given_labels(image: EncodedImage) -> None:
    """Labels of one session carry over into another: the next click gives the same."""
    first = image.session()
    first.click(10, 20)
    labels = first.labels
    second = image.session(labels=labels)
    labels[:] = 0  # the session has its own copy
    assert not second.mask.any()
    expected = first.click(30, 40, positive=False)
    below = slice(30, None)  # of what only the first session knows: the disc of its first click
    np.testing.assert_array_equal(second.click(30, 40, positive=False)[below], expected[below])
    np.testing.assert_array_equal(second.labels, first.labels)
    start = second.undo()
    assert not start.any() and second.clicks == ()
    first.undo()
    np.testing.assert_array_equal(second.labels, first.labels)
    second.click(5, 5)
    second.reset()
    np.testing.assert_array_equal(second.labels, first.labels)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda labels: labels + np.uint8(3), "from 0 to 4, found 5"),
        (lambda labels: labels[:, :3], "found uint8"),
        (lambda labels: labels.astype(np.float64), "found float64"),
        (lambda labels: "labels", "found str"),
    ],
)
def test_given_labels_are_checked(image: EncodedImage, change: Callable[[np.ndarray], Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        image.session(labels=change(image.session().labels))
