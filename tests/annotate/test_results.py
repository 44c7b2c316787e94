"""Result files: an export is the data and nothing else, names are each picture's own, and one failure stops nothing."""

from __future__ import annotations

import json
import ntpath
import os
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from inter2former_onnx.annotate import dataset as coco
from inter2former_onnx.annotate import exports
from inter2former_onnx.annotate.dataset import Dataset, PictureRecord
from inter2former_onnx.annotate.document import Annotation, Prompt
from inter2former_onnx.annotate.results import Names, ResultFolder, file_name, named, same_file_key
from inter2former_onnx.annotate.rle import RLE
from inter2former_onnx.cli import main
from inter2former_onnx.errors import AnnotationError, Inter2FormerError
from inter2former_onnx.picture_folder import RESULTS_FILE, find_pictures
from inter2former_onnx.runtime import Segmenter
from support.annotate_page import page, write_pictures
from support.fake_bundle import write_fake_bundle

MASK = RLE.encode(np.pad(np.ones((4, 5), dtype=np.bool_), 3))
# What people have beside each other, and what file systems make of it.
HARD = [
    *("x.png", "x.jpg", "x.png.jpg", "a.jpg", "A.png", "sub/a.jpg", "SUB/a.png", "y~1.png", "y.webp"),
    *(
        "clash.jpg",
        "clash.png/z.jpg",
        "\u00fc.png",
        "u\u0308.jpg",
        "line\nbreak\x1b[31m.png",
        "Straße.jpg",
        "STRASSE.jpg",
    ),
]


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter(write_fake_bundle(tmp_path_factory.mktemp("results") / "bundle"), threads=1)


def annotated(*names: str, categories: tuple[str, ...] = ("cat", "dog")) -> Dataset:
    """Two objects on every picture, one of each class."""
    pictures = {}
    for number, name in enumerate(names):
        objects = tuple(Annotation(2 * number + k, k, Prompt(), MASK) for k in (1, 2))
        pictures[name] = PictureRecord(number + 1, name, 11, 10, objects)
    return Dataset("..", "b" * 64, dict(enumerate(categories, start=1)), pictures)


def files(folder: Path) -> list[str]:
    """What is there without the lists, sorted."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != RESULTS_FILE)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def relative(exported: exports.Exported, out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in exported.written)


@pytest.mark.parametrize("kind", ["png", "labelme"])
def test_an_export_is_the_data(tmp_path: Path, kind: str) -> None:
    """Whatever was exported before: deleted objects, other classes and emptied pictures leave nothing behind."""
    content = annotated("a.jpg", "sub/b.png")
    first = exports.export(kind, content, tmp_path, tmp_path)
    theirs = [tmp_path / folder / "sub" / "notes.txt" for folder in ("objects", "labelme")]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not ours")
    kept = [path.relative_to(tmp_path).as_posix() for path in theirs]
    a, b = content.pictures.values()
    content.pictures = {"a.jpg": replace(a, objects=a.objects[1:]), "sub/b.png": replace(b, objects=(), done=True)}
    content.categories = {1: "cat", 2: "wolf"}
    second = exports.export(kind, content, tmp_path, tmp_path)
    expected = ["masks/a.png", "objects/a.001.wolf.png"] if kind == "png" else ["labelme/a.json"]
    assert relative(second, tmp_path) == expected and second.failed == ()
    assert files(tmp_path) == sorted([*expected, *kept])
    assert second.removed == len(set(relative(first, tmp_path)) - set(expected))
    if kind == "labelme":
        shapes = json.loads((tmp_path / "labelme" / "a.json").read_text())["shapes"]
        assert [shape["label"] for shape in shapes] == ["wolf"]


def test_every_picture_has_its_own_names(tmp_path: Path) -> None:
    content = annotated(*HARD)
    for kind, count in [("png", 3 * len(HARD)), ("labelme", len(HARD))]:
        done = exports.export(kind, content, tmp_path, tmp_path)
        assert done.failed == () and len(done.written) == count
        keys = {same_file_key(name) for name in relative(done, tmp_path)}
        assert len(keys) == count  # on systems that take a.png and A.png for one, too
        folders = {same_file_key(parent.as_posix()) for name in keys for parent in PurePosixPath(name).parents}
        assert not keys & folders


def test_names_stay_when_pictures_are_added(tmp_path: Path) -> None:
    """Whatever comes, in whatever order, and after a restart."""
    content = annotated("x.jpg", "a.jpg")
    before = {name: named(content).base(name) for name in content.pictures}
    assert before == {"x.jpg": "x", "a.jpg": "a"}  # nothing is added without need
    for name in HARD:
        if name not in content.pictures:
            content.pictures[name] = replace(annotated(name).pictures[name], id=len(content.pictures) + 1)
        names = named(content)
        assert all(names.base(known) == base for known, base in before.items())
        before[name] = names.base(name)
    assert before["x.png"] == "x.png" and before["A.png"] == "A.png"
    content.pictures = dict(reversed(content.pictures.items()))
    again = Names(content.pictures.values())
    assert {name: again.base(name) for name in before} == before


def test_names_that_a_file_made_up(tmp_path: Path) -> None:
    """A coco.json may say anything."""
    records = annotated("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg").pictures.values()
    made_up = ["../x", "/x", ".inter2former", "same", "SAME", "caf\udce9"]
    names = Names(replace(record, files=files) for record, files in zip(records, made_up, strict=True))
    assert [names.base(record.name) for record in records] == ["a", "b", "c", "same", "e", "f"]


@pytest.mark.parametrize("letter", ["a", "ü", "東", "😀"])
@pytest.mark.parametrize("length", [100, 200, 236, 244, 251])
def test_long_names(tmp_path: Path, letter: str, length: int) -> None:
    """Up to what a file system allows: shortened where an ending has no room, and still each its own."""
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    stem = letter * (length // len(letter.encode()))
    names = [f"{stem[: len(stem) - 1]}{end}.png" for end in "12"]
    for name in names:
        (pictures / name).touch()
    content = annotated(*names, "short.png", categories=("東" * 40, "c" * 80))
    for kind, count in [("png", 9), ("labelme", 3)]:
        done = exports.export(kind, content, out, pictures)
        assert done.failed == () and len(done.written) == len(set(done.written)) == count
        assert all(path.is_file() and len(path.name.encode()) <= 255 for path in done.written)
    assert file_name("sub/short", ".png") == "sub/short.png"


def test_one_file_that_fails_does_not_stop_the_others(
    segmenter: Segmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    with page(segmenter, pictures) as one:
        for index in range(3):
            one.open(index)
            one.click(20, 20)
        one.saved()
        out = one.workspace.out
        (out / "masks" / "three.png").unlink()
        (out / "masks" / "three.png").mkdir()
        (out / "objects" / "one.001.object.png").mkdir(parents=True)
        said = one.call("/api/export", 422, kind="png")["error"]
        assert said.startswith(f"4 files written to {out}, but 2 failed: ")
    assert main(["annotate", str(pictures), "--export", "png"]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("wrote ") == 4
    lines = printed.err.splitlines()
    assert [line.split()[0] for line in lines] == ["failed:", "failed:", "2"]
    assert "one.001.object.png" in lines[0] and "three.png" in lines[1]
    assert files(out / "objects") == ["three.001.object.png", "two.001.object.png"]


def test_files_of_others_are_neither_overwritten_nor_removed(segmenter: Segmenter, tmp_path: Path) -> None:
    """`--out` is the folder of a data set with masks of its own."""
    pictures = write_pictures(tmp_path / "data")
    (pictures / "masks").mkdir()
    (pictures / "masks" / "one.png").write_bytes(b"drawn by hand")
    (pictures / "masks" / "stranger.png").write_bytes(b"drawn by hand")
    said = r"coco.json is saved, but 1 file of masks.*one.png: not written by"
    with pytest.raises(Inter2FormerError, match=said), page(segmenter, pictures, pictures) as one:
        names = [photo.name for photo in one.workspace.gallery.photos]
        for name in ("one.png", "two.jpg"):
            one.open(names.index(name))
            one.click(20, 20)
        with pytest.raises(Inter2FormerError, match="left as it is"):
            one.saved()
        one.edit("delete", object=one.document["objects"][0]["id"])
    assert (pictures / "masks" / "one.png").read_bytes() == b"drawn by hand"
    assert files(pictures / "masks") == ["one.png", "stranger.png"]
    with page(segmenter, pictures, pictures) as one:
        assert [photo.name for photo in one.workspace.gallery.photos] == ["one.png", "three.png", "two.jpg"]


def test_masks_follow_the_annotations(segmenter: Segmenter, tmp_path: Path) -> None:
    """What is saved while people work, too, and when the folder is from a version that kept no list."""
    pictures = write_pictures(tmp_path / "pictures", ("x.png", "x.jpg", "x.png.jpg"))
    with page(segmenter, pictures) as one:
        out = one.workspace.out
        for index in range(3):
            one.open(index)
            one.click(20, 20)
        one.saved()
        assert files(out / "masks") == ["x.png", "x.png.jpg.png", "x.png.png"]
        one.edit("delete", object=one.document["objects"][0]["id"])
        one.saved()
    assert len(files(out / "masks")) == 2
    (out / "masks" / RESULTS_FILE).unlink()
    with page(segmenter, pictures) as one:
        for index in range(3):
            for entry in one.open(index)["objects"]:
                one.edit("delete", object=entry["id"])
    assert files(out / "masks") == []


@pytest.mark.parametrize("text", ["", "[]", '{"files": 5}', '{"files": ["../../precious"]}', '{"files": ["/etc/x"]}'])
def test_a_list_that_is_damaged_or_leads_out_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "precious").touch()
    (tmp_path / "masks" / RESULTS_FILE).write_text(text)
    with pytest.raises(AnnotationError, match="not the list of our files"):
        exports.export("png", annotated("a.jpg"), tmp_path, tmp_path)
    assert (tmp_path / "precious").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_folder_that_became_a_link_is_not_cleared(tmp_path: Path) -> None:
    content = annotated("sub/a.jpg")
    exports.export("labelme", content, tmp_path, tmp_path)
    (tmp_path / "labelme" / "sub").rename(tmp_path / "elsewhere")
    (tmp_path / "labelme" / "sub").symlink_to(tmp_path / "elsewhere")
    exports.export("labelme", Dataset("..", "b" * 64), tmp_path, tmp_path)
    assert (tmp_path / "elsewhere" / "a.json").exists()


def test_what_a_killed_export_left_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(exports, "object_png", killed)
        with pytest.raises(KeyboardInterrupt):
            exports.export("png", annotated("a.jpg"), tmp_path, tmp_path)
    assert files(tmp_path) == ["masks/a.png"]
    exports.export("png", Dataset("..", "b" * 64), tmp_path, tmp_path)
    assert files(tmp_path) == []


def test_a_name_in_other_letters_takes_the_old_one_along(tmp_path: Path) -> None:
    for name in ("Photo.jpg", "photo.jpg"):
        exports.export("labelme", annotated(name), tmp_path, tmp_path)
    assert files(tmp_path / "labelme") == ["photo.json"]


def test_results_are_never_taken_for_pictures(segmenter: Segmenter, tmp_path: Path) -> None:
    """`--out` changed between runs, and inside the folder of pictures."""
    pictures = write_pictures(tmp_path / "pictures")
    for out in ("first", "sub/second", "."):
        with page(segmenter, pictures, pictures / out) as one:
            assert [photo.name for photo in one.workspace.gallery.photos] == ["one.png", "three.png", "two.jpg"]
            one.open(0)
            one.click(20, 20)
            one.call("/api/export", kind="png")
    assert find_pictures(pictures).names == ("one.png", "three.png", "two.jpg")
    assert main(["annotate", str(pictures / "masks")]) == 8


def test_a_list_survives_names_that_are_not_listed_yet(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path / "masks")
    with pytest.raises(Inter2FormerError, match="list"):
        folder.write(RESULTS_FILE, b"")
    folder.announce(["a.png"])
    folder.write("a.png", b"1")
    assert ResultFolder(tmp_path / "masks").keep_only([]) == (1, [])


def test_pictures_on_another_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no path leads from one folder to the other, the whole one is written, and read back."""
    with pytest.raises(ValueError):
        ntpath.relpath("D:\\photos", "C:\\annotations")

    def relpath(path: object, start: object = None) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    (pictures / "a.jpg").touch()
    monkeypatch.setattr(os.path, "relpath", relpath)
    empty = coco.read(out, pictures, "b" * 64)
    assert empty.folder == pictures.as_posix()
    content = replace(annotated("a.jpg"), folder=empty.folder)
    from inter2former_onnx.annotate.saver import save_now

    out.mkdir()
    save_now(out, content, ["a.jpg"], frozenset())
    assert coco.read(out, pictures, "b" * 64).pictures["a.jpg"].objects[0].mask == MASK
    (path,) = exports.export("labelme", content, out, pictures).written
    assert json.loads(path.read_text())["imagePath"] == (pictures / "a.jpg").as_posix()
    with pytest.raises(AnnotationError, match="choose another folder with --out"):
        coco.read(out, tmp_path / "other", "b" * 64)
