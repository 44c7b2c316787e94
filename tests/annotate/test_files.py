"""The annotation folder: what is written is read back, for other tools too; what is damaged is refused by name."""

from __future__ import annotations

import contextlib
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inter2former_onnx.annotate import coco_files, dataset, exports
from inter2former_onnx.annotate.dataset import Dataset, PictureRecord
from inter2former_onnx.annotate.document import Annotation, Prompt
from inter2former_onnx.annotate.rle import RLE
from inter2former_onnx.errors import AnnotationError
from inter2former_onnx.picture_folder import RESULTS_FILE
from inter2former_onnx.runtime.box import Box
from inter2former_onnx.runtime.click import Click

BUNDLE = "b" * 64


def mask(seed: int, height: int = 40, width: int = 50) -> np.ndarray:
    """A rectangle with a hole and an island."""
    rng = np.random.default_rng(seed)
    top, left = (int(value) for value in rng.integers(0, 8, 2))
    result = np.zeros((height, width), dtype=np.bool_)
    result[top : top + 20, left : left + 25] = True
    result[top + 6 : top + 11, left + 5 : left + 12] = False
    result[-4:, -6:] = True
    return result


def example() -> Dataset:
    prompts = [
        Prompt(clicks=(Click(3, 4, True), Click(49, 39, False))),
        Prompt(box=Box(1, 2, 30, 31), clicks=(Click(15, 16, True),)),
        Prompt(start=RLE.encode(mask(5)), clicks=(Click(0, 0, True),)),
        Prompt(start=RLE.encode(mask(3))),
    ]
    objects = tuple(
        Annotation(number + 4, 1 + number % 2, prompt, RLE.encode(mask(number)))
        for number, prompt in enumerate(prompts)
    )
    pictures = {
        "a.jpg": PictureRecord(3, "a.jpg", 50, 40, objects[:2], done=True),
        "sub/ü.png": PictureRecord(7, "sub/ü.png", 50, 40, objects[2:]),
        "none.png": PictureRecord(8, "none.png", 9, 9, done=True),
    }
    return Dataset("..", BUNDLE, {1: "cat", 2: 'dog "ß"'}, pictures)


def write(folder: Path, content: Dataset) -> Path:
    pieces = [coco_files.piece(picture) for picture in coco_files.listed(content)]
    exports.save(folder / "out" / "coco.json", coco_files.coded_file(content, pieces))
    exports.save(folder / "out" / "coco_polygons.json", coco_files.polygon_file(content, pieces))
    return folder / "out"


def read(out: Path, bundle: str | None = BUNDLE) -> Dataset:
    return dataset.read(out, out.parent, bundle)


def by_pycocotools(path: Path) -> Any:
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert read(write(tmp_path, example())) == example()
    assert read(tmp_path / "out", None) == example()


def test_without_a_file_everything_is_empty(tmp_path: Path) -> None:
    assert dataset.read(tmp_path / "out", tmp_path, BUNDLE) == Dataset("..", BUNDLE, {1: "object"}, {})


def test_both_files_are_valid_for_pycocotools(tmp_path: Path) -> None:
    out = write(tmp_path, example())
    coded, drawn = by_pycocotools(out / "coco.json"), by_pycocotools(out / "coco_polygons.json")
    for coco in (coded, drawn):
        assert coco.getImgIds() == [3, 7, 8] and coco.getAnnIds(imgIds=[3]) == [4, 5]
        assert [category["name"] for category in coco.loadCats([1, 2])] == ["cat", 'dog "ß"']
    for number in range(4):
        annotation = coded.anns[number + 4]
        np.testing.assert_array_equal(coded.annToMask(annotation), mask(number))
        assert annotation["area"] == mask(number).sum()
        # Rectangles lose nothing by being simplified.
        np.testing.assert_array_equal(drawn.annToMask(drawn.anns[number + 4]), mask(number))
        assert len(drawn.anns[number + 4]["segmentation"]) == 2  # the island, and the rest with its hole


def test_results_can_be_evaluated_by_pycocotools(tmp_path: Path) -> None:
    """The file as ground truth and as result: a perfect score."""
    from pycocotools.cocoeval import COCOeval

    coco = by_pycocotools(write(tmp_path, example()) / "coco.json")
    with contextlib.redirect_stdout(io.StringIO()):
        results = coco.loadRes([{**annotation, "score": 1.0} for annotation in coco.dataset["annotations"]])
        evaluation = COCOeval(coco, results, "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_another_bundle_keeps_the_masks_and_goes_on_from_them(tmp_path: Path) -> None:
    other = read(write(tmp_path, example()), "c" * 64)
    for name, picture in other.pictures.items():
        for now, before in zip(picture.objects, example().pictures[name].objects, strict=True):
            assert now.mask == before.mask and now.prompt == Prompt(start=before.mask)


def test_pictures_elsewhere_are_not_mixed(tmp_path: Path) -> None:
    out = write(tmp_path, replace(example(), folder="../other"))
    with pytest.raises(AnnotationError, match=r"pictures in '\.\./other', not in '\.\.'.*--out"):
        read(out)
    Image.new("RGB", (50, 40)).save(tmp_path / "a.jpg")  # the folder was only moved: its pictures are here
    assert read(out).folder == ".."


def edited(out: Path, **changes: Any) -> None:
    """Change the file: keys like annotations__0__id, values to put there."""
    content = json.loads((out / "coco.json").read_text())
    for key, value in changes.items():
        place: Any = content
        *way, last = [int(step) if step.isdigit() else step for step in key.split("__")]
        for step in way:
            place = place[step]
        place[last] = value
    (out / "coco.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"annotations__0__segmentation__counts": "1"}, "annotation 4: counts: not the run-length code"),
        ({"annotations__0__segmentation__counts": "\x00"}, "annotation 4: counts: not a COCO"),
        ({"annotations__0__segmentation": [[1, 2, 3, 4, 5, 6]]}, "annotation 4: expected a mask in compressed"),
        ({"annotations__0__id": 5}, "two annotations have the id 5"),
        ({"annotations__0__category_id": 9}, "there is no category 9"),
        ({"annotations__0__image_id": 99}, "not a COCO file"),
        ({"annotations__0__clicks": [[50, 0, 1]]}, "annotation 4: clicks"),
        ({"annotations__0__clicks": [[0, 0]]}, "not a COCO file"),
        ({"annotations__1__box": [5, 5, 5, 9]}, "annotation 5: box"),
        ({"images__0__width": 51}, "counts: not the run-length code"),
        ({"images__0__width": -1}, "not a COCO file"),
        ({"images__0__id": 7}, "one id or one name"),
        ({"images__0__file_name": "../../a.jpg"}, "leads out of its folder"),
        ({"images__0__file_name": "/etc/passwd"}, "leads out of its folder"),
        ({"images__0__file_name": "C:\\a.jpg"}, "leads out of its folder"),
        ({"images__0__file_name": "a\\..\\..\\b.jpg"}, "leads out of its folder"),
        ({"categories__0__name": ""}, "class name"),
        ({"categories": 5}, "not a COCO file"),
        ({"info": None}, "not a COCO file"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    out = write(tmp_path, example())
    edited(out, **changes)
    before = (out / "coco.json").read_bytes()
    with pytest.raises(AnnotationError, match=said) as caught:
        read(out)
    assert str(caught.value).startswith(str(out / "coco.json"))
    assert (out / "coco.json").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100000])
def test_what_is_no_coco_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "coco.json").write_bytes(content)
    with pytest.raises(AnnotationError, match=r"coco\.json"):
        dataset.read(tmp_path, tmp_path, BUNDLE)


def test_indexed_png(tmp_path: Path) -> None:
    picture = example().pictures["a.jpg"]
    with Image.open(io.BytesIO(exports.indexed_png(picture))) as image:
        assert image.mode == "P" and image.size == (50, 40)
        index = np.asarray(image)
        palette = image.getpalette()
    np.testing.assert_array_equal(index, np.where(mask(1), 2, np.where(mask(0), 1, 0)))
    assert palette is not None and tuple(palette[:3]) == (0, 0, 0)
    assert tuple(palette[3:6]) == exports.COLOURS[3] and tuple(palette[6:9]) == exports.COLOURS[4]  # ids 4 and 5


def test_more_objects_than_a_palette_has_colours() -> None:
    pixel = np.arange(300)
    objects = tuple(Annotation(int(k) + 1, 1, Prompt(), RLE.encode((pixel == k).reshape(15, 20))) for k in pixel)
    with Image.open(io.BytesIO(exports.indexed_png(PictureRecord(1, "a.png", 20, 15, objects)))) as image:
        np.testing.assert_array_equal(np.asarray(image).astype(int), pixel.reshape(15, 20) + 1)


def test_png_and_labelme_exports(tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = exports.export("png", example(), out, tmp_path)
    assert written.removed == 0 and written.failed == ()
    names = sorted(path.relative_to(out).as_posix() for path in written.written)
    assert names == sorted(
        ["masks/a.png", "masks/sub/ü.png", "objects/a.001.cat.png", "objects/a.002.dog__ß_.png"]
        + ["objects/sub/ü.001.cat.png", "objects/sub/ü.002.dog__ß_.png"]
    )
    np.testing.assert_array_equal(np.asarray(Image.open(out / "objects" / "a.002.dog__ß_.png")) == 255, mask(1))

    for path in exports.export("labelme", example(), out, tmp_path).written:
        content = json.loads(path.read_text())
        assert (content["imageWidth"], content["imageHeight"], content["imageData"]) == (50, 40, None)
        assert os.path.normpath(path.parent / content["imagePath"]) in (
            str(tmp_path / "a.jpg"),
            str(tmp_path / "sub/ü.png"),
        )
        assert {shape["shape_type"] for shape in content["shapes"]} == {"polygon"}
        assert [shape["group_id"] for shape in content["shapes"]] in ([4, 4, 5, 5], [6, 6, 7, 7])
        assert all(len(point) == 2 for shape in content["shapes"] for point in shape["points"])
    assert sorted(path.name for path in (out / "labelme").iterdir()) == [RESULTS_FILE, "a.json", "sub"]
