"""Pictures that were renamed or are missing, and pictures whose names are no plain text."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from inter2former_onnx.cli import main
from inter2former_onnx.errors import ArgumentError
from inter2former_onnx.runtime import Segmenter
from support.annotate_page import RunningCommand, page, write_pictures
from support.fake_bundle import write_fake_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_bundle(tmp_path_factory.mktemp("missing") / "bundle")


@pytest.fixture(scope="module")
def segmenter(bundle: Path) -> Segmenter:
    return Segmenter(bundle, threads=1)


@pytest.fixture
def pictures(tmp_path: Path, segmenter: Segmenter) -> Path:
    """one.png and two.jpg have an object each, three.png has none."""
    folder = write_pictures(tmp_path / "pictures")
    with page(segmenter, folder) as one:
        for index in (0, 2):
            one.open(index)
            one.click(20, 20)
    return folder


def coco(pictures: Path, name: str = "coco.json") -> dict[str, int]:
    """How many objects each picture of the file has."""
    content = json.loads((pictures / "annotations" / name).read_text())
    counts = {entry["id"]: 0 for entry in content["images"]}
    for entry in content["annotations"]:
        counts[entry["image_id"]] += 1
    return {entry["file_name"]: counts[entry["id"]] for entry in content["images"]}


def masks(pictures: Path) -> list[str]:
    return sorted(
        path.relative_to(pictures / "annotations" / "masks").as_posix() for path in pictures.rglob("masks/**/*.png")
    )


def test_a_renamed_picture_keeps_its_annotations(segmenter: Segmenter, pictures: Path) -> None:
    """Into another folder too, and twice."""
    before = (pictures / "annotations" / "masks" / "one.png").read_bytes()
    for name in ("new.png", "sub/newer.png"):
        (pictures / name).parent.mkdir(exist_ok=True)
        next(path for path in (pictures / "one.png", pictures / "new.png") if path.exists()).rename(pictures / name)
        with page(segmenter, pictures) as one:
            state = one.client.get("/api/state").json()
            assert any(f"is now {name} (the same content)" in notice for notice in state["notices"])
            assert state["missing"] == []
            assert {entry["name"]: entry["objects"] for entry in state["pictures"]}[name] == 1
        assert coco(pictures) == {name: 1, "two.jpg": 1}
        assert masks(pictures) == sorted([name, "two.png"])
    assert (pictures / "annotations" / "masks" / "sub" / "newer.png").read_bytes() == before


def test_many_changes_at_once(segmenter: Segmenter, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two change names with each other's help, one goes, two had one content."""
    (pictures / "same1.png").write_bytes((pictures / "three.png").read_bytes())
    (pictures / "same2.png").write_bytes((pictures / "three.png").read_bytes())
    with page(segmenter, pictures) as one:
        for index, photo in enumerate(one.workspace.gallery.photos):
            if photo.name.startswith("same"):
                one.open(index)
                one.click(9, 9)
    (pictures / "one.png").rename(pictures / "1.png")
    (pictures / "two.jpg").rename(pictures / "2.jpg")
    for number in (1, 2):
        (pictures / f"same{number}.png").unlink()
    assert main(["annotate", str(pictures), "--export", "labelme"]) == 0
    printed = capsys.readouterr().out
    assert "one.png is now 1.png" in printed and "two.jpg is now 2.jpg" in printed
    # Which of the two is three.png now? Its content alone does not say.
    assert "same1.png is missing, and its content is that of three.png: choose with --attach" in printed
    assert "2 annotated pictures missing: same1.png, same2.png" in printed
    assert coco(pictures) == {"1.png": 1, "2.jpg": 1, "same1.png": 1, "same2.png": 1}


def test_pictures_that_swapped_names(segmenter: Segmenter, pictures: Path) -> None:
    """None is missing, so none is found again; who opens one is told, until it is annotated as it is."""
    (pictures / "one.png").rename(pictures / "x.png")
    (pictures / "three.png").rename(pictures / "one.png")
    (pictures / "x.png").rename(pictures / "three.png")
    with page(segmenter, pictures) as one:
        assert one.client.get("/api/state").json()["notices"] == []
        assert one.open(2)["notice"] == "" and one.open(1)["notice"] == ""
        assert one.open(0)["notice"].startswith("one.png: the file is another one than when it was annotated")
        one.click(40, 40)
        assert one.open(0)["notice"] == ""
    with page(segmenter, pictures) as one:
        assert one.open(0)["notice"] == ""


def test_a_missing_picture_is_named_and_kept(
    bundle: Path, segmenter: Segmenter, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "one.png").rename(pictures.parent / "elsewhere.png")
    with RunningCommand(pictures, "--bundle", bundle, "--threads", "1") as command:
        assert "1 annotated picture missing: one.png" in command.output
    (pictures / "annotations" / ".inter2former.lock").unlink(missing_ok=True)
    with page(segmenter, pictures) as one:
        state = one.client.get("/api/state").json()
        assert state["missing"] == [{"name": "one.png", "objects": 1, "done": False}]
        assert any("1 annotated picture missing: one.png" in notice for notice in state["notices"])
        one.open(0)
        one.click(5, 5)
    assert coco(pictures) == {"one.png": 1, "two.jpg": 1, "three.png": 1}  # nothing is lost
    assert coco(pictures, "coco_polygons.json") == {"two.jpg": 1, "three.png": 1}
    for kind, place in [("png", "objects"), ("labelme", "labelme"), ("png", "masks")]:
        assert main(["annotate", str(pictures), "--export", kind]) == 0
        assert "1 annotated picture missing: one.png" in capsys.readouterr().out
        found = [path.name for path in (pictures / "annotations" / place).iterdir()]
        assert len(found) == 3 and not any(name.startswith("one") for name in found)
    (pictures.parent / "elsewhere.png").rename(pictures / "one.png")
    assert main(["annotate", str(pictures), "--export", "png"]) == 0
    assert masks(pictures) == ["one.png", "three.png", "two.png"]


def test_what_is_not_sure_is_asked(segmenter: Segmenter, pictures: Path) -> None:
    """Two files of the content: neither is taken, until somebody says which."""
    content = (pictures / "one.png").read_bytes()
    (pictures / "one.png").unlink()
    for name in ("x.png", "y=1.png"):
        (pictures / name).write_bytes(content)
    with page(segmenter, pictures) as one:
        notices = one.client.get("/api/state").json()["notices"]
        assert "its content is that of x.png, y=1.png: choose with --attach one.png=x.png" in notices[0]
    assert coco(pictures) == {"one.png": 1, "two.jpg": 1}
    assert main(["annotate", str(pictures), "--export", "png", "--attach", "one.png=y=1.png"]) == 0
    assert coco(pictures) == {"y=1.png": 1, "two.jpg": 1} and masks(pictures) == ["two.png", "y=1.png"]


def test_a_picture_with_annotations_is_never_given_others(segmenter: Segmenter, pictures: Path) -> None:
    """A copy of a picture, both annotated, and the first one gone."""
    (pictures / "copy.png").write_bytes((pictures / "one.png").read_bytes())
    with page(segmenter, pictures) as one:
        one.open(0)
        one.click(40, 40)
        one.click(50, 50)
    (pictures / "one.png").unlink()
    with page(segmenter, pictures) as one:
        assert [entry["name"] for entry in one.client.get("/api/state").json()["missing"]] == ["one.png"]
    assert coco(pictures) == {"one.png": 1, "two.jpg": 1, "copy.png": 2}


@pytest.mark.parametrize(
    "text, said",
    [
        ("one.png", "expected OLD=NEW"),
        ("two.jpg=three.png", "expected OLD=NEW.*missing are one.png"),
        ("one.png=gone.png", "expected OLD=NEW"),
        ("one.png=two.jpg", "has annotations of its own"),
        ("one.png=small.npy", "expected a picture of 90 x 70 pixels, found 5 x 4"),
    ],
)
def test_attachments_that_are_refused(segmenter: Segmenter, pictures: Path, text: str, said: str) -> None:
    from inter2former_onnx.annotate.photos import Gallery
    from inter2former_onnx.annotate.workspace import Workspace

    (pictures / "one.png").unlink()
    np.save(pictures / "small.npy", np.zeros((4, 5, 3), np.uint8))
    out = pictures / "annotations"
    before = (out / "coco.json").read_bytes()
    with pytest.raises(ArgumentError, match=said):
        Workspace(segmenter, Gallery.open(pictures, out), out, attach=[text])
    assert (out / "coco.json").read_bytes() == before
    with page(segmenter, pictures):
        pass  # the lock was given back


def test_annotated_pictures_that_are_offered_no_more_are_named(segmenter: Segmenter, pictures: Path) -> None:
    """A folder that was moved to another disk, with a link in its place: links to folders are not followed."""
    (pictures / "sub").mkdir()
    (pictures / "three.png").rename(pictures / "sub" / "three.png")
    with page(segmenter, pictures) as one:
        one.open(1)
        one.click(5, 5)
    (pictures / "sub").rename(pictures.parent / "elsewhere")
    (pictures / "sub").symlink_to(pictures.parent / "elsewhere")
    with page(segmenter, pictures) as one:
        notices = one.client.get("/api/state").json()["notices"]
    assert "1 link left out" in notices[0]
    assert "1 annotated picture no longer among the pictures of this folder: sub/three.png" in notices[1]
    assert coco(pictures) == {"one.png": 1, "two.jpg": 1, "sub/three.png": 1}


def test_one_photograph_of_many_misses_nothing(segmenter: Segmenter, pictures: Path) -> None:
    with page(segmenter, pictures / "two.jpg") as one:
        state = one.client.get("/api/state").json()
        assert state["missing"] == state["notices"] == []
        one.open(0)
        one.click(5, 5)
    assert coco(pictures) == {"one.png": 1, "two.jpg": 2}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("beside", [False, True])
def test_odd_names_stop_nothing(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], segmenter: Segmenter, beside: bool
) -> None:
    """Bytes that are not UTF-8 in a picture's name and in its folder's; line ends and escapes in names."""
    odd = 'a\n\x1b[31m"\\ü.png'
    pictures = write_pictures(tmp_path / "caf\udce9", ("good.png", "caf\udce9.png", "c:1.png", odd))
    out = tmp_path / "annotations" if beside else pictures / "annotations"
    with page(segmenter, pictures, out) as one:
        state = one.client.get("/api/state").json()
        assert [entry["name"] for entry in state["pictures"]] == [odd, "good.png"]
        assert state["folder"] == str(pictures)
        assert "2 pictures left out" in state["notices"][0] and r"caf\xe9.png" in state["notices"][0]
        for index in range(2):
            one.open(index)
            one.click(20, 20)
        for kind, count in [("png", 4), ("labelme", 2), ("coco", 2)]:
            assert one.call("/api/export", kind=kind)["files"] == count
        os.unlink(pictures / "good.png")
        said = one.client.get("/api/images/1/picture")
        assert said.status_code == 422 and "no longer a file" in said.json()["error"]
    content = json.loads((out / "coco.json").read_bytes().decode("utf-8"))
    assert [entry["file_name"] for entry in content["images"]] == [odd, "good.png"]
    shapes = json.loads((out / "labelme" / "good.json").read_bytes().decode("utf-8"))
    assert os.path.normpath(out / "labelme" / shapes["imagePath"]) == str(pictures / "good.png")
    write_pictures(pictures, ("good.png",))
    capsys.readouterr()
    assert main(["annotate", str(pictures), "--out", str(out), "--export", "png"]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 4 and "\x1b" not in printed and r"a\n\x1b[31m" in printed
    with RunningCommand(pictures, "--out", out, "--bundle", bundle, "--threads", "1") as command:
        assert r"2 pictures in " in command.output and r"caf\xe9" in command.output and "\x1b" not in command.output
