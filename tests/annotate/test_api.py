"""The annotation page without a browser: what people do, as calls of its API, and the files it leaves."""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inter2former_onnx.annotate.encodings import Encodings
from inter2former_onnx.errors import AnnotationError, ArgumentError
from inter2former_onnx.runtime import Segmenter
from support.annotate_page import HEIGHT, WIDTH, Page, decoded, page, wait_until, write_pictures
from support.fake_bundle import write_fake_bundle


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter(write_fake_bundle(tmp_path_factory.mktemp("annotate") / "bundle"), threads=1)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


@pytest.fixture
def opened(segmenter: Segmenter, pictures: Path) -> Iterator[Page]:
    with page(segmenter, pictures) as one:
        one.open(0)
        yield one


def plain_mask(opened: Page, *clicks: tuple[int, int, bool]) -> np.ndarray:
    """What the engine answers to these clicks by itself."""
    session = opened.workspace.segmenter.encode(opened.workspace.gallery.photos[opened.index].pixels()).session()
    for click in clicks:
        session.click(*click)
    return session.mask


def valid(content: dict[str, Any], path: Path) -> Any:
    """The file as pycocotools reads it."""
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO(str(path))
    assert dataset.dataset == content
    return dataset


def test_a_day_with_the_page(segmenter: Segmenter, pictures: Path) -> None:
    """Open, click, correct, undo, redo, a second object, another class; start again; the files are right."""
    with page(segmenter, pictures, classes=("cat", "dog")) as one:
        state = one.client.get("/api/state").json()
        assert [picture["name"] for picture in state["pictures"]] == ["one.png", "three.png", "two.jpg"]
        assert [entry["name"] for entry in state["classes"]] == ["cat", "dog"]
        assert state["random_weights"]
        document = one.open(1)
        assert (document["width"], document["height"], document["objects"]) == (WIDTH, HEIGHT, [])

        first = one.click(40.7, 30.2)
        (cat,) = first["objects"]
        assert cat["clicks"] == [[40, 30, 1]]
        np.testing.assert_array_equal(decoded(cat["mask"]), plain_mask(one, (40, 30, True)))
        one.click(70, 60, positive=False, object=cat["id"])
        expected = plain_mask(one, (40, 30, True), (70, 60, False))
        assert not expected[60, 70] and expected[30, 40]
        np.testing.assert_array_equal(one.mask(cat["id"]), expected)
        undone = one.edit("undo")
        assert undone["objects"][0]["mask"] == cat["mask"] and undone["can_redo"]
        redone = one.edit("redo")
        np.testing.assert_array_equal(one.mask(cat["id"]), expected)
        assert redone["can_undo"] and not redone["can_redo"]

        second = one.click(10, 10, category=2)
        assert "mask" not in second["objects"][0]  # it is as it was
        dog = second["objects"][1]
        one.click(80, 5, positive=False, object=dog["id"])
        one.edit("done", done=True)

    with page(segmenter, pictures) as again:
        states = again.client.get("/api/state").json()["pictures"]
        version = states[1].pop("version")
        assert states[1] == {"name": "three.png", "objects": 2, "done": True}
        document = again.open(1)
        assert document["version"] == version
        assert [entry["clicks"] for entry in document["objects"]] == [
            [[40, 30, 1], [70, 60, 0]],
            [[10, 10, 1], [80, 5, 0]],
        ]
        np.testing.assert_array_equal(decoded(document["objects"][0]["mask"]), expected)
        # The clicks are gone on with, not only the mask.
        again.click(20, 60, positive=False, object=cat["id"])
        three = plain_mask(again, (40, 30, True), (70, 60, False), (20, 60, False))
        np.testing.assert_array_equal(again.mask(cat["id"]), three)
        content = again.saved()
        out = again.workspace.out

    coco = valid(content, out / "coco.json")
    assert coco.getCatIds() == [1, 2] and [image["file_name"] for image in content["images"]] == ["three.png"]
    assert [coco.cats[annotation["category_id"]]["name"] for annotation in content["annotations"]] == ["cat", "dog"]
    np.testing.assert_array_equal(coco.annToMask(content["annotations"][0]), three)
    assert content["annotations"][0]["area"] == three.sum()
    polygons = json.loads((out / "coco_polygons.json").read_text())
    drawn = valid(polygons, out / "coco_polygons.json").annToMask(polygons["annotations"][0])
    assert np.count_nonzero(drawn != three) < 0.1 * three.sum()
    index = np.asarray(Image.open(out / "masks" / "three.png"))
    second_mask = coco.annToMask(content["annotations"][1]).astype(bool)
    np.testing.assert_array_equal(index, np.where(second_mask, 2, np.where(three, 1, 0)))
    assert sorted(path.name for path in out.iterdir()) == ["coco.json", "coco_polygons.json", "masks"]


def test_moving_and_removing_clicks(opened: Page) -> None:
    id = opened.click(20, 20)["objects"][0]["id"]
    opened.click(60, 50, positive=False, object=id)
    moved = opened.edit("move", object=id, click=0, x=30.5, y=25.5)["objects"][0]
    assert moved["clicks"] == [[30, 25, 1], [60, 50, 0]]
    np.testing.assert_array_equal(opened.mask(id), plain_mask(opened, (30, 25, True), (60, 50, False)))
    opened.edit("remove_click", object=id, click=0)
    np.testing.assert_array_equal(opened.mask(id), plain_mask(opened, (60, 50, False)))
    empty = opened.edit("reset", object=id)["objects"][0]
    assert empty["clicks"] == [] and empty["area"] == 0
    opened.click(20, 20, object=id)
    np.testing.assert_array_equal(opened.mask(id), plain_mask(opened, (20, 20, True)))
    assert opened.edit("delete", object=id)["objects"] == []
    opened.edit("undo")
    np.testing.assert_array_equal(opened.mask(id), plain_mask(opened, (20, 20, True)))


def test_box_is_a_first_prompt(opened: Page) -> None:
    (boxed,) = opened.edit("box", object=None, category=1, left=16.2, top=-5, right=63.7, bottom=47.1)["objects"]
    assert boxed["box"] == [16, 0, 64, 48] and boxed["clicks"] == [[40, 24, 1]]
    # Inside it everything is unknown, which the fake model takes for the object; outside it is likely background.
    expected = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    expected[:48, 16:64] = True
    np.testing.assert_array_equal(opened.mask(boxed["id"]), expected)
    more = opened.click(50, 40, positive=False, object=boxed["id"])["objects"][0]
    assert more["box"] == [16, 0, 64, 48] and len(more["clicks"]) == 2
    assert not opened.mask(boxed["id"])[40, 50] and not opened.mask(boxed["id"])[~expected].any()


def test_preview_is_the_click_and_leaves_nothing(opened: Page) -> None:
    wait_until(lambda: opened.workspace.encodings.ready(0), "encoding")
    fields = {"object": None, "x": 33, "y": 44, "positive": True}
    shown = opened.call("/api/images/0/preview", **fields)["mask"]
    assert opened.open()["objects"] == [] and opened.document["revision"] == 0
    (clicked,) = opened.click(33, 44)["objects"]
    assert clicked["mask"] == shown
    negative = opened.call("/api/images/0/preview", object=clicked["id"], x=5, y=5, positive=False)["mask"]
    opened.click(5, 5, positive=False, object=clicked["id"])
    np.testing.assert_array_equal(opened.mask(clicked["id"]), decoded(negative))


def test_preview_of_a_picture_that_is_not_encoded_answers_at_once(opened: Page) -> None:
    assert opened.call("/api/images/2/preview", object=None, x=1, y=1, positive=True)["mask"] is None


def test_a_click_does_not_wait_for_a_preview(opened: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: opened.workspace.encodings.ready(0), "encoding")
    running, may_end, answers = threading.Event(), threading.Event(), []
    preview = opened.workspace.engine.preview

    def slow(*arguments: Any) -> Any:
        running.set()
        assert may_end.wait(30)
        return preview(*arguments)

    monkeypatch.setattr(opened.workspace.engine, "preview", slow)

    def ask(x: int) -> None:
        fields = {"object": None, "x": x, "y": 9, "positive": True}
        answers.append(opened.client.post("/api/images/0/preview", json=fields).json()["mask"])

    threads = [threading.Thread(target=ask, args=(x,)) for x in (9, 19)]
    threads[0].start()
    assert running.wait(30)
    (clicked,) = opened.click(50, 50)["objects"]  # it comes back, although the preview still runs
    assert clicked["clicks"] == [[50, 50, 1]]
    threads[1].start()
    may_end.set()
    for thread in threads:
        thread.join()
    assert answers.count(None) == 0  # nothing was overtaken


def test_only_the_newest_waiting_preview_is_computed(opened: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: opened.workspace.encodings.ready(0), "encoding")
    running, may_end = threading.Event(), threading.Event()
    answers: dict[int, Any] = {}
    preview = opened.workspace.engine.preview

    def slow(*arguments: Any) -> Any:
        running.set()
        assert may_end.wait(30)
        return preview(*arguments)

    monkeypatch.setattr(opened.workspace.engine, "preview", slow)

    def ask(x: int) -> None:
        fields = {"object": None, "x": x, "y": 9, "positive": True}
        answers[x] = opened.client.post("/api/images/0/preview", json=fields).json()["mask"]

    threads = []
    for x in (10, 20, 30):
        threads.append(threading.Thread(target=ask, args=(x,)))
        threads[-1].start()
        assert running.wait(30)
        threads[-1].join(0.3)  # it waits: for its turn, or for the one that has it
    may_end.set()
    for thread in threads:
        thread.join()
    assert answers[10] is not None and answers[20] is None and answers[30] is not None


def test_two_windows_on_one_picture(opened: Page) -> None:
    other = Page(opened.client, opened.workspace, tab="other")
    other.open(0)
    opened.click(20, 20)
    refused = other.edit("click", 409, object=None, category=1, x=50, y=50, positive=True)
    assert "another window" in refused["error"]
    assert refused["document"]["revision"] == opened.document["revision"]
    assert [entry["clicks"] for entry in refused["document"]["objects"]] == [[[20, 20, 1]]]
    assert "mask" in refused["document"]["objects"][0]
    other.open(0)
    other.click(50, 50)
    assert opened.edit("undo", 409)["document"]["revision"] == other.document["revision"]
    assert [entry["clicks"] for entry in opened.saved()["annotations"]] == [[[20, 20, 1]], [[50, 50, 1]]]


def test_windows_clicking_at_once_never_mix(opened: Page) -> None:
    """Many windows, many clicks: every accepted one is in the file, every refused one is not."""
    windows = [Page(opened.client, opened.workspace, tab=f"window {number}") for number in range(4)]
    accepted: list[list[int]] = []

    def work(window: Page, number: int) -> None:
        for round in range(6):
            window.open(0)
            x, y = 10 * number + round, 7 * round
            body = {"tab": window.tab, "revision": window.document["revision"], "type": "click"}
            fields = {"object": None, "category": 1, "x": x, "y": y, "positive": True}
            response = window.client.post("/api/images/0/edit", json={**body, **fields})
            assert response.status_code in (200, 409)
            if response.status_code == 200:
                accepted.append([x, y, 1])

    threads = [threading.Thread(target=work, args=(window, number)) for number, window in enumerate(windows)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = opened.saved()
    assert sorted(entry["clicks"][0] for entry in content["annotations"]) == sorted(accepted)
    assert len({entry["id"] for entry in content["annotations"]}) == len(accepted) >= 6
    valid(content, opened.workspace.out / "coco.json")


def test_classes(opened: Page) -> None:
    def names(answer: dict[str, Any]) -> list[str]:
        return [entry["name"] for entry in answer["classes"]]

    assert names(opened.call("/api/classes", type="add", name="  cat ")) == ["object", "cat"]
    assert names(opened.call("/api/classes", type="rename", id=1, name="Ding")) == ["Ding", "cat"]
    for wrong in ("cat", "", "a" * 81, "a\nb", 5):
        assert "class" in opened.call("/api/classes", 422, type="add", name=wrong)["error"]
    id = opened.click(20, 20)["objects"][0]["id"]
    assert opened.edit("class", object=id, category=2)["objects"][0]["category"] == 2
    assert "one.png" in opened.call("/api/classes", 422, type="remove", id=2)["error"]
    assert "one.png" in opened.call("/api/classes", 422, type="remove", id=1)["error"]  # undo would bring it back
    opened.call("/api/classes", type="add", name="unused")
    assert names(opened.call("/api/classes", type="remove", id=3)) == ["Ding", "cat"]
    assert [entry["name"] for entry in opened.saved()["categories"]] == ["Ding", "cat"]
    assert opened.saved()["annotations"][0]["category_id"] == 2


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"type": "click", "object": None, "category": 1, "x": WIDTH, "y": 0, "positive": True}, "x must be from 0"),
        ({"type": "click", "object": None, "category": 1, "x": "1", "y": 0, "positive": True}, "x must be a number"),
        ({"type": "click", "object": None, "category": 1, "x": 1, "y": 1}, "positive must be"),
        ({"type": "click", "object": None, "category": 9, "x": 1, "y": 1, "positive": True}, "there is none with id 9"),
        ({"type": "click", "object": 77, "category": 1, "x": 1, "y": 1, "positive": True}, "no object 77"),
        ({"type": "click", "object": [1], "category": 1, "x": 1, "y": 1, "positive": True}, "object: expected"),
        ({"type": "click", "object": None, "category": 1, "x": 1, "y": 1, "positive": False}, "must be on it"),
        ({"type": "move", "object": 1, "click": 0, "x": 1, "y": 1}, "no object 1"),
        ({"type": "box", "object": None, "category": 1, "left": 1, "top": 1, "right": 3, "bottom": 90}, "at least 3"),
        ({"type": "box", "object": None, "category": 1, "left": 1, "top": 1, "right": 1e300, "bottom": 9}, "right"),
        ({"type": "box", "object": None, "category": 1, "left": 1, "top": 1, "right": True, "bottom": 9}, "right"),
        ({"type": "done", "done": 1}, "done: expected"),
        ({"type": "format the disk"}, "type: expected one of"),
        ({}, "type: expected one of"),
    ],
)
def test_unusable_edits_change_nothing(opened: Page, fields: dict[str, Any], said: str) -> None:
    body = {"tab": "t", "revision": 0, **fields}
    answer = opened.client.post("/api/images/0/edit", json=body)
    assert answer.status_code == 422 and said in answer.json()["error"]
    assert opened.open()["revision"] == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 20000, b'{"tab": 1}', b'{"tab": "a", "revision": "0"}'])
def test_unusable_bodies_are_refused(opened: Page, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = opened.client.post("/api/images/0/edit", content=body, headers=headers)
    assert answer.status_code == 422 and answer.json()["error"]
    assert opened.client.post("/api/images/0/edit", content=b"{}").status_code == 422  # not said to be JSON


def test_pictures_for_the_browser(opened: Page) -> None:
    for index in range(3):
        answer = opened.client.get(f"/api/images/{index}/picture")
        shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
        np.testing.assert_array_equal(shown, opened.workspace.gallery.photos[index].pixels())
        small = opened.client.get(f"/api/images/{index}/thumbnail")
        assert small.headers["content-type"] == "image/jpeg" and Image.open(io.BytesIO(small.content)).size[0] <= 240


def test_a_damaged_picture_is_said_and_the_others_go_on(segmenter: Segmenter, pictures: Path) -> None:
    whole = (pictures / "two.jpg").read_bytes()
    (pictures / "two.jpg").write_bytes(whole[: len(whole) // 2])
    (pictures / "three.png").write_text("no picture")
    with page(segmenter, pictures) as one:
        one.open(2)  # its header is fine
        body = {"tab": "t", "revision": 0, "type": "click", "object": None, "category": 1}
        refused = one.call("/api/images/2/edit", 422, **body, x=1, y=1, positive=True)
        assert "two.jpg" in refused["error"] and one.open(2)["revision"] == 0
        assert "three.png" in one.call("/api/images/1/open", 422)["error"]
        for index in (1, 2):
            assert one.client.get(f"/api/images/{index}/thumbnail").status_code == 422
        one.open(0)
        assert one.click(1, 1)["objects"]
        (pictures / "two.jpg").write_bytes(whole)
        one.open(2)  # opened again, tried again
        assert one.click(1, 1)["objects"]


def test_a_coco_file_changed_by_somebody_else_is_not_overwritten(segmenter: Segmenter, pictures: Path) -> None:
    with (
        pytest.raises(AnnotationError, match=r"coco\.json was changed by another program"),
        page(segmenter, pictures) as one,
    ):
        one.open(0)
        one.click(20, 20)
        one.saved()
        path = one.workspace.out / "coco.json"
        path.write_text(path.read_text() + " ")
        theirs = path.read_bytes()
        one.click(40, 40)
        wait_until(lambda: "another program" in one.client.get("/api/state").json()["problem"], "the problem is told")
    assert path.read_bytes() == theirs
    (conflict,) = path.parent.glob("coco.conflict-*.json")
    assert len(json.loads(conflict.read_text())["annotations"]) == 2


def test_what_cannot_be_written_is_said_and_saved_later(opened: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    import inter2former_onnx.annotate.saver as module

    def full(*arguments: Any) -> None:
        raise ArgumentError("cannot write coco.json: no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "save", full)
        opened.click(20, 20)
        wait_until(lambda: "no space" in opened.client.get("/api/state").json()["problem"], "the problem is told")
    assert len(opened.saved()["annotations"]) == 1


def test_interrupted_writing_leaves_the_old_file(opened: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    opened.click(20, 20)
    before = opened.saved()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *arguments: (_ for _ in ()).throw(OSError("killed")))
        opened.click(40, 40)
        with pytest.raises(Exception, match="killed"):
            opened.workspace.saver.flush()
        assert json.loads((opened.workspace.out / "coco.json").read_text()) == before
    assert len(opened.saved()["annotations"]) == 2


def test_embeddings_are_bounded_and_the_next_picture_is_ready(segmenter: Segmenter, pictures: Path) -> None:
    from inter2former_onnx.annotate.photos import Gallery

    one_picture = sum(array.nbytes for array in segmenter.encode(np.zeros((9, 9, 3), np.uint8)).arrays.values())
    dropped: list[object] = []
    changes: list[int] = []
    gallery = Gallery.open(pictures)
    encodings = Encodings(segmenter, gallery, changes.append, dropped.append, cache_bytes=2 * one_picture)
    encodings.want([0, 1])
    wait_until(lambda: encodings.ready(0) and encodings.ready(1), "both")
    assert encodings.progress(0).state == "ready" and encodings.progress(2).state == "waiting"
    first = encodings.ready(0)
    encodings.want([1, 2])
    wait_until(lambda: encodings.ready(2), "the next one")
    assert encodings.ready(0) is None and encodings.ready(1) and dropped == [first]
    assert encodings.get(0).result(timeout=20) is not first
    assert sum(encodings.ready(index) is not None for index in range(3)) == 2
    assert set(changes) == {0, 1, 2}
    encodings.close()


def test_one_picture_is_kept_however_small_the_cache(segmenter: Segmenter, pictures: Path) -> None:
    from inter2former_onnx.annotate.photos import Gallery

    encodings = Encodings(segmenter, Gallery.open(pictures), lambda _: None, lambda _: None, cache_bytes=1)
    encodings.want([0, 1])
    assert encodings.get(0).result(timeout=20)
    wait_until(lambda: encodings.progress(1).state == "waiting" and encodings.ready(0), "only one")
    encodings.close()


def test_a_picture_of_few_bits_is_shown_by_its_range_and_said(segmenter: Segmenter, tmp_path: Path) -> None:
    values = np.linspace(0, 4095, 40 * 60).astype(np.uint16).reshape(40, 60)
    Image.fromarray(values).save(tmp_path / "dark.png")
    with page(segmenter, tmp_path) as one:
        said = "of 16 bits (0 to 65535) it uses 0 to 4095, and is shown by that range"
        assert one.open(0)["notice"] == f"dark.png: {said}"
        shown = Image.open(io.BytesIO(one.client.get("/api/images/0/picture").content))
        assert np.asarray(shown).max() == 255
