"""Conflict files: each run's own, told at every start, and merged without a loss."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inter2former_onnx.annotate import dataset as coco
from inter2former_onnx.annotate.conflicts import conflict_files, conflict_name
from inter2former_onnx.annotate.dataset import Dataset, PictureRecord
from inter2former_onnx.annotate.document import Annotation, Prompt
from inter2former_onnx.annotate.rle import RLE
from inter2former_onnx.annotate.saver import save_now
from inter2former_onnx.cli import main
from inter2former_onnx.errors import AnnotationError
from inter2former_onnx.runtime import Segmenter
from inter2former_onnx.runtime.click import Click
from support.annotate_page import page, write_pictures
from support.fake_bundle import write_fake_bundle

BUNDLE = "b" * 64


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter(write_fake_bundle(tmp_path_factory.mktemp("conflicts") / "bundle"), threads=1)


def mask(number: int) -> RLE:
    pixels = np.zeros((10, 11), dtype=np.bool_)
    pixels[number, 2:9] = True
    return RLE.encode(pixels)


def thing(id: int, number: int, category: int = 1) -> Annotation:
    return Annotation(id, category, Prompt(clicks=(Click(number, number, True),)), mask(number))


def record(id: int, name: str, *objects: Annotation, done: bool = False) -> PictureRecord:
    return PictureRecord(id, name, 11, 10, objects, done)


def dataset(*records: PictureRecord, categories: tuple[str, ...] = ("cat", "dog"), bundle: str = BUNDLE) -> Dataset:
    return Dataset("..", bundle, dict(enumerate(categories, start=1)), {entry.name: entry for entry in records})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("a", "b", "c", "d"):
        Image.new("RGB", (11, 10)).save(tmp_path / f"{name}.png")
    return tmp_path


def write(pictures: Path, name: str, content: Dataset) -> None:
    """Save a dataset as a file of this name."""
    place = pictures / "made"
    place.mkdir()
    save_now(place, content, [], frozenset())
    (pictures / "annotations").mkdir(exist_ok=True)
    shutil.move(place / "coco.json", pictures / "annotations" / name)
    shutil.rmtree(place)


def merged(pictures: Path) -> Dataset:
    assert main(["annotate", str(pictures), "--merge-conflicts"]) == 0
    return coco.read(pictures / "annotations", pictures, None)


def test_merged_picture_by_picture(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = dataset(
        record(1, "a.png", thing(1, 1), thing(2, 2), done=True),
        record(2, "b.png", thing(3, 3), done=True),
        record(5, "d.png", thing(9, 1)),
    )
    theirs = dataset(
        record(1, "a.png", thing(1, 1), thing(2, 4, 2), thing(3, 5), done=True),  # one the same, one changed, one new
        record(2, "b.png", thing(4, 3)),  # the same
        record(3, "c.png", thing(5, 6, 2)),  # only here
        categories=("cat", "wolf"),
    )
    write(pictures, "coco.json", ours)
    write(pictures, "coco.conflict-20260101-000000.json", theirs)
    write(pictures, "coco.conflict.json", dataset(record(1, "d.png", done=True)))  # as older versions named it
    content = merged(pictures)
    printed = capsys.readouterr()
    assert printed.err == "" and printed.out.splitlines() == [
        "a.png: 2 objects added from coco.conflict-20260101-000000.json, 4 objects now; look for some that are there "
        "twice",
        "c.png: 1 object from coco.conflict-20260101-000000.json",
        f"merged {pictures / 'annotations' / 'coco.conflict-20260101-000000.json'}, kept as "
        "coco.merged-20260101-000000.json",
        f"merged {pictures / 'annotations' / 'coco.conflict.json'}, kept as coco.merged.json",
    ]
    assert content.categories == {1: "cat", 2: "dog", 3: "wolf"}
    found = {name: [(a.mask, a.category) for a in entry.objects] for name, entry in content.pictures.items()}
    assert found == {
        "a.png": [(mask(1), 1), (mask(2), 1), (mask(4), 3), (mask(5), 1)],
        "b.png": [(mask(3), 1)],
        "d.png": [(mask(1), 1)],
        "c.png": [(mask(6), 3)],
    }
    ids = [annotation.id for entry in content.pictures.values() for annotation in entry.objects]
    assert len(set(ids)) == len(ids) == 7 and len({entry.id for entry in content.pictures.values()}) == 4
    done = {name: entry.done for name, entry in content.pictures.items()}
    assert done == {"a.png": False, "b.png": True, "c.png": False, "d.png": True}
    assert content.pictures["a.png"].objects[3].prompt == thing(3, 5).prompt  # its clicks can be gone on with
    out = pictures / "annotations"
    assert sorted(path.name for path in (out / "masks").glob("*.png")) == ["a.png", "c.png", "d.png"]
    assert not conflict_files(out) and len(list(out.glob("coco.merged*.json"))) == 2
    assert main(["annotate", str(pictures), "--merge-conflicts"]) == 0
    assert capsys.readouterr().out == "there are no conflict files\n"


def test_another_bundles_answers_keep_their_masks(pictures: Path) -> None:
    write(pictures, "coco.json", dataset(record(1, "a.png", thing(1, 1))))
    write(pictures, "coco.conflict-1.json", dataset(record(1, "b.png", thing(1, 2)), bundle="c" * 64))
    assert merged(pictures).pictures["b.png"].objects[0].prompt == Prompt(start=mask(2))


def test_without_a_coco_file(pictures: Path) -> None:
    write(pictures, "coco.conflict-1.json", dataset(record(1, "b.png", thing(1, 2))))
    content = merged(pictures)
    assert content.bundle == BUNDLE and content.pictures["b.png"].objects == (thing(1, 2),)


def test_what_cannot_be_merged_is_named_and_the_rest_goes_on(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(pictures, "coco.json", dataset(record(1, "a.png", thing(1, 1))))
    write(pictures, "coco.conflict-1.json", dataset(replace(record(1, "a.png"), width=12, done=True)))
    write(pictures, "coco.conflict-3.json", dataset(record(1, "b.png", thing(1, 2))))
    (pictures / "annotations" / "coco.conflict-2.json").write_text("{")
    assert main(["annotate", str(pictures), "--merge-conflicts"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "12 x 10 pixels" in lines[0] and "cannot be read as JSON" in lines[1] and len(lines) == 3
    assert [path.name for path in conflict_files(pictures / "annotations")] == [
        "coco.conflict-1.json",
        "coco.conflict-2.json",
    ]
    assert set(coco.read(pictures / "annotations", pictures, None).pictures) == {"a.png", "b.png"}


def test_no_run_replaces_anothers_conflict_file(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs that both lost the race, within one second; a third start tells of both; merging brings all together."""
    import inter2former_onnx.annotate.saver as module

    pictures = write_pictures(tmp_path / "pictures")
    out = pictures / "annotations"
    monkeypatch.setattr(
        module, "conflict_name", lambda number: f"coco.conflict-now{f'-{number}' if number else ''}.json"
    )
    for place in (20, 40):
        with pytest.raises(AnnotationError, match="--merge-conflicts"), page(segmenter, pictures) as one:
            out.mkdir(exist_ok=True)
            (out / "coco.json").write_text("somebody else's")
            one.open(0)
            one.click(place, place)
            with pytest.raises(AnnotationError):
                one.saved()
            second = one.click(place, 60)["objects"][1]
            one.click(place, 65, positive=False, object=second["id"])
            one.click(2 * place, 5, positive=False, object=one.document["objects"][0]["id"])
        (out / "coco.json").unlink()
    assert [path.name for path in conflict_files(out)] == ["coco.conflict-now-1.json", "coco.conflict-now.json"]
    for path in conflict_files(out):
        assert len(json.loads(path.read_text())["annotations"]) == 2
    with page(segmenter, pictures) as one:
        (notice,) = one.client.get("/api/state").json()["notices"]
        assert notice.startswith("2 conflict files in") and "coco.conflict-now-1.json, coco.conflict-now.json" in notice
    assert main(["annotate", str(pictures), "--merge-conflicts"]) == 0
    with page(segmenter, pictures) as one:
        assert one.client.get("/api/state").json()["notices"] == []
        clicks = sorted(entry["clicks"][0] for entry in one.open(0)["objects"])
        assert clicks == [[20, 20, 1], [20, 60, 1], [40, 40, 1], [40, 60, 1]]


def test_options_that_do_not_go_together(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(pictures, "coco.json", dataset(record(1, "a.png", thing(1, 1))))
    assert main(["annotate", str(pictures), "--merge-conflicts", "--attach", "a=b"]) == 2
    with pytest.raises(SystemExit):
        main(["annotate", str(pictures), "--merge-conflicts", "--export", "png"])
    assert "not allowed with" in capsys.readouterr().err


def test_names_tell_files_of_one_second_apart() -> None:
    assert conflict_name(0).startswith("coco.conflict-2") and conflict_name(1).endswith("-1.json")
