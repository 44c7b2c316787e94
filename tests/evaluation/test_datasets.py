"""Data sets in their published layouts: small copies of each, and what is wrong with damaged ones."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inter2former_onnx.commands import eval as command
from inter2former_onnx.errors import ArgumentError, ImageError, MissingDependencyError
from inter2former_onnx.evaluation.coco_masks import segmentation_mask
from inter2former_onnx.evaluation.datasets import READERS
from inter2former_onnx.evaluation.datasets.regions import listed
from inter2former_onnx.evaluation.targets import Picture, Target, problem
from inter2former_onnx.images import read_image
from inter2former_onnx.picture_folder import RESULTS_FILE, results_file
from support.evaluation_data import HEIGHT, WIDTH, plain_folder, region_folder, scene, write

IMAGE, REGIONS = scene(0)
ELLIPSE = REGIONS == 1


def read(picture: Picture) -> list[Target]:
    """The objects as a worker process gets them, found to be usable with the image."""
    picture = pickle.loads(pickle.dumps(picture))
    targets = list(picture.read())
    assert targets and [problem(target, read_image(picture.image).shape) for target in targets] == [None] * len(targets)
    return targets


def only(name: str, folder: Path) -> Target:
    (picture,) = READERS[name](folder)
    (target,) = read(picture)
    return target


def test_the_command_offers_every_data_set() -> None:
    assert tuple(READERS) == command.DATASETS


@pytest.mark.parametrize(("images", "masks"), [("data_GT", "boundary_GT"), ("img", "gt")])
def test_grabcut_trimaps(tmp_path: Path, images: str, masks: str) -> None:
    trimap = np.where(ELLIPSE, 255, 0).astype(np.uint8)
    trimap[:3] = 128
    write(tmp_path / images / "21077.jpg", IMAGE)
    write(tmp_path / masks / "21077.bmp", trimap)
    (tmp_path / images / "Thumbs.db").write_bytes(b"x")
    target = only("grabcut", tmp_path)
    np.testing.assert_array_equal(target.mask, ELLIPSE & (trimap != 128))
    assert target.void is not None and target.void[:3].all() and not target.void[3:].any()


def test_berkeley_with_two_objects_on_one_image(tmp_path: Path) -> None:
    for name in ("3096", "296059"):
        write(tmp_path / "images" / f"{name}.jpg", IMAGE)
    write(tmp_path / "masks" / "3096.png", np.where(ELLIPSE, 255, 0).astype(np.uint8))
    for number, region in enumerate((1, 2), start=1):
        write(tmp_path / "masks" / f"296059_{number}.png", np.where(region == REGIONS, 255, 0).astype(np.uint8))
    two, one = (read(picture) for picture in READERS["berkeley"](tmp_path))
    assert [t.mask.sum() for t in two] == [ELLIPSE.sum(), (REGIONS == 2).sum()] and len(one) == 1


def test_davis_masks_are_everything_that_is_not_black(tmp_path: Path) -> None:
    colours = np.zeros_like(IMAGE)
    colours[REGIONS == 1], colours[REGIONS == 2] = (0, 0, 128), (0, 128, 0)
    write(tmp_path / "img" / "bear_00001.jpg", IMAGE)
    write(tmp_path / "gt" / "bear_00001.png", colours)
    np.testing.assert_array_equal(only("davis", tmp_path).mask, REGIONS > 0)


def sbd(root: Path) -> Path:
    io = pytest.importorskip("scipy.io")
    write(root / "img" / "2008_000051.jpg", IMAGE)
    (root / "inst").mkdir()
    segmentation = REGIONS.copy()
    segmentation[0] = 255
    content = {"Segmentation": segmentation, "Categories": np.array([[7], [2]], np.uint8)}
    io.savemat(root / "inst" / "2008_000051.mat", {"GTinst": content})
    (root / "val.txt").write_text("2008_000051\n")
    return root


@pytest.mark.parametrize("place", [".", "dataset", "benchmark_RELEASE/dataset"])
def test_sbd_instances(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    sbd(tmp_path / place)
    (picture,) = READERS["sbd"](tmp_path)
    one, two = read(picture)
    np.testing.assert_array_equal(one.mask, (REGIONS == 1) & (np.arange(HEIGHT) > 0)[:, None])
    assert one.name == "2008_000051#1" and two.void is not None and two.void[0].all() and not two.void[1:].any()


def test_sbd_damage_is_named(tmp_path: Path) -> None:
    annotation = sbd(tmp_path) / "inst" / "2008_000051.mat"
    (picture,) = READERS["sbd"](tmp_path)
    annotation.write_bytes(annotation.read_bytes()[:150])
    with pytest.raises(ImageError, match="2008_000051.mat: no GTinst.Segmentation"):
        picture.read()
    annotation.unlink()
    with pytest.raises(ImageError, match="2008_000051.mat: no such file"):
        picture.read()
    (tmp_path / "val.txt").unlink()
    with pytest.raises(ArgumentError, match="val.txt"):
        READERS["sbd"](tmp_path)


def test_hqseg44k_and_its_parts(tmp_path: Path) -> None:
    parts = {
        "dis-vd": ("DIS5K/DIS-VD", "im", "gt"),
        "coift": ("thin_object_detection/COIFT", "images", "masks"),
        "hrsod": ("thin_object_detection/HRSOD", "images", "masks_max255"),
        "thinobject5k": ("thin_object_detection/ThinObject5K", "images_test", "masks_test"),
    }
    grey_edge = np.where(ELLIPSE, 255, 0).astype(np.uint8)
    grey_edge[ELLIPSE & ~np.roll(ELLIPSE, 1, 1)] = 3
    for place, images, masks in parts.values():
        write(tmp_path / place / images / "a.jpg", IMAGE)
        write(tmp_path / place / masks / "a.png", grey_edge)
    assert [p.name for p in READERS["hqseg44k"](tmp_path)] == ["DIS-VD/a", "COIFT/a", "HRSOD/a", "ThinObject5K/a"]
    for name, (place, _, _) in parts.items():
        for folder in (tmp_path, tmp_path / place):
            np.testing.assert_array_equal(only(name, folder).mask, ELLIPSE)


def test_coco_polygons_and_run_lengths(tmp_path: Path) -> None:
    write(tmp_path / "val2017" / "000000000005.jpg", IMAGE)
    flat = ELLIPSE.T.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    content = {
        "images": [
            {"id": 5, "file_name": "000000000005.jpg", "height": HEIGHT, "width": WIDTH},
            {"id": 6, "file_name": "no_annotations.jpg", "height": 1, "width": 1},
        ],
        "annotations": [
            {"id": 11, "image_id": 5, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs}},
            {"id": 12, "image_id": 5, "segmentation": [[2, 3, 9, 3, 9, 8, 2, 8], [20, 3, 22, 3, 22, 4, 20, 4]]},
            {"id": 13, "image_id": 5, "segmentation": [[0, 0, 1, 1, 2, 2]], "iscrowd": 1},
        ],
    }
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations" / "instances_val2017.json"
    path.write_text(json.dumps(content))
    for folder in (tmp_path, path):
        (picture,) = READERS["coco"](folder)
        lengths, polygons = read(picture)
        np.testing.assert_array_equal(lengths.mask, ELLIPSE)
        assert polygons.mask.sum() == 7 * 5 + 2 and polygons.mask[3:8, 2:9].all() and polygons.name == "5#12"
    content["annotations"][0]["segmentation"] = {"counts": "0"}
    path.write_text(json.dumps(content))
    with pytest.raises(ImageError, match=r"5#11: run lengths cover 0 pixels, the image has 3072"):
        READERS["coco"](tmp_path)[0].read()
    path.write_text("[]")
    with pytest.raises(ArgumentError, match="cannot be read as COCO JSON"):
        READERS["coco"](tmp_path)


@pytest.mark.parametrize(
    ("polygon", "rows"),
    [
        # Inside the image, across its border, and crossing itself.
        (
            [1.2, 0.7, 8.4, 2.1, 6.6, 7.9, 2.3, 6.1],
            ["", ".####", "..######", "..######", "..######", "..#####", "...####", "......#", ""],
        ),
        (
            [-3.0, 4.0, 4.5, -2.0, 12.0, 4.0, 4.5, 9.5],
            ["..######", *["#########"] * 5, ".########", "..#####", "...###"],
        ),
        (
            [0.0, 0.0, 7.0, 0.0, 0.0, 7.0, 7.0, 7.0],
            [".#####", "..###", "...#", "...#", "..###", ".#####", "#######", "", ""],
        ),
    ],
)
def test_polygons_are_filled_as_coco_fills_them(polygon: list[float], rows: list[str]) -> None:
    expected = np.array([[character == "#" for character in row.ljust(9, ".")] for row in rows])
    np.testing.assert_array_equal(segmentation_mask([polygon], 9, 9, "x"), expected)
    elsewhere = [0.0, 8.0, 2.0, 8.0, 2.0, 9.0, 0.0, 9.0]
    expected[8, :2] = True
    np.testing.assert_array_equal(segmentation_mask([polygon, elsewhere], 9, 9, "x"), expected)
    assert not segmentation_mask([], 9, 9, "x").any()


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "neither polygons nor run lengths: 'None'"),
        ([[0, 0, 1, 1]], "neither polygons nor run lengths"),  # a box in COCO's own tools
        ([[0, 0, 5, 5, 0, 5, 3]], "7 numbers, which are no pairs"),
        ([[0, 0, 5, 5, 0, None]], "a corner that is no pair of numbers"),
        ([[0, 0, 5, 5, 0, [5]]], "a corner that is no pair of numbers"),
        ([[0, 0, 5, 5, 0, float("nan")]], "a corner that is no pair of numbers"),
        ([[0, 0, 5, 5, 0, 1e300]], "outline is longer than 1000000 pixels"),
        ([[0, 0, 5, 5, 0, 3e6]], "outline is longer than 1000000 pixels"),
        ({"counts": None}, "neither numbers nor text"),
        ({"counts": [50, "x"]}, "neither numbers nor text"),
        ({"counts": "5 2"}, "neither numbers nor text"),
        ({"counts": "oooooooo0"}, "neither numbers nor text"),  # a number of more than 30 bits
        ({"counts": "b1j"}, "end in the middle of a number"),
        ({"counts": "b1"}, "cover 50 pixels, the image has 108"),
        ({"counts": "b1j1j1"}, "cover 166 pixels, the image has 108"),
        ({"counts": "NN"}, "run lengths below 0, such as -2"),
        ({"counts": []}, "cover 0 pixels, the image has 108"),
        ({"counts": [50, 57]}, "cover 107 pixels, the image has 108"),
        ({"counts": [50, 2**40]}, "cover 1099511627826 pixels, the image has 108"),
        ({"counts": [109, -1]}, "run lengths below 0, such as -1"),
    ],
)
def test_segmentations_that_cannot_be_drawn(segmentation: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^file.json: .*{message}"):
        segmentation_mask(segmentation, 12, 9, "file.json")
    assert segmentation_mask({"counts": "b1j1"}, 12, 9, "file.json").sum() == 58


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, -1), (1 << 20, 1 << 20)])
def test_images_that_cannot_be_of_this_size(height: int, width: int) -> None:
    with pytest.raises(ArgumentError, match=f"found {width} x {height}"):
        segmentation_mask([], height, width, "x")


def test_coco_without_pycocotools_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inter2former_onnx.extras.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pycocotools.*'\.\[eval\]'"):
        READERS["coco"](tmp_path)


def test_plain_folder_and_its_kinds_of_masks(tmp_path: Path) -> None:
    for name in "abcd":
        write(tmp_path / "images" / f"{name}.png", IMAGE)
    zero_one = ELLIPSE.astype(np.uint8)
    with_void = zero_one.copy()
    with_void[REGIONS == 2] = 255
    write(tmp_path / "masks" / "a.png", zero_one)
    write(tmp_path / "masks" / "b.png", with_void)
    write(tmp_path / "masks" / "c.png", np.where(ELLIPSE, 200, 90).astype(np.uint8))
    write(tmp_path / "masks" / "d.png", np.dstack([255 * zero_one] * 3 + [np.full_like(zero_one, 255)]))
    targets = [read(picture)[0] for picture in READERS["folder"](tmp_path)]
    for target in targets:
        np.testing.assert_array_equal(target.mask, ELLIPSE)
    assert targets[1].void is not None
    np.testing.assert_array_equal(targets[1].void, REGIONS == 2)


def test_region_maps_and_lists(tmp_path: Path) -> None:
    folder = region_folder(tmp_path, 2)
    marked = REGIONS.copy()
    marked[-1] = 255
    write(folder / "labels" / "p000_0.png", marked)
    first, _ = READERS["regions"](folder)
    one, two = read(first)
    np.testing.assert_array_equal(one.mask, marked == 1)
    assert (one.name, two.name) == ("p000_0#1", "p000_0#2") and one.void is not None and one.void[-1].all()
    rectangle, union = (read(picture)[0] for picture in listed(folder, "eval.json"))
    np.testing.assert_array_equal(rectangle.mask, marked == 2)
    assert union.mask.sum() <= (scene(1)[1] > 0).sum()
    marked[0, 0] = 2  # a piece of its own: the largest is the target
    write(folder / "labels" / "p000_0.png", marked)
    assert not read(listed(folder, "eval.json")[0])[0].mask[0, 0]


def test_lists_that_cannot_be_used(tmp_path: Path) -> None:
    folder = region_folder(tmp_path, 1)
    with pytest.raises(ArgumentError, match="none.json cannot be read as a target list"):
        listed(folder, "none.json")
    for entries in (
        '[{"id": "p9", "label_file": "x", "region": 1}]',
        '[{"id": "p000"}]',
        '[{"id": "p000", "label_file": "x", "region": 0}]',
        "[]",
        '{"a": 1}',
    ):
        (folder / "eval.json").write_text(entries)
        with pytest.raises(ArgumentError, match="eval.json"):
            listed(folder, "eval.json")


def test_missing_counterparts_and_damage_wait_for_their_turn(tmp_path: Path) -> None:
    folder = plain_folder(tmp_path, 4)
    (folder / "masks" / "p000.png").unlink()
    (folder / "images" / "p001.png").unlink()
    (folder / "masks" / "p002.png").write_bytes(b"\x89PNG damaged")
    write(folder / "masks" / "p003.png", np.zeros((5, 7), np.uint8))
    pictures = {picture.name: picture for picture in READERS["folder"](folder)}
    for name, message in {
        "p000": "no mask of this name",
        "p001": "no image of this name",
        "p002": "p002.png: cannot be read as an image",
    }.items():
        with pytest.raises(ImageError, match=message):
            pictures[name].read()
    (target,) = pictures["p003"].read()
    assert problem(target, IMAGE.shape) == "p003: mask of 7 x 5 pixels, its image has 64 x 48"
    nothing = np.zeros(IMAGE.shape[:2], np.uint8)
    write(folder / "masks" / "p003.png", nothing)
    assert problem(pictures["p003"].read()[0], IMAGE.shape) == "p003: the mask is empty"
    everything = nothing == 0
    assert problem(Target("x", everything, everything), IMAGE.shape) == "x: the mask is empty"
    colours = np.zeros_like(IMAGE)
    colours[:, :, 1] = 9
    write(folder / "masks" / "p003.png", colours)
    with pytest.raises(ImageError, match="expected one value a pixel, found colours"):
        read(pictures["p003"])


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("sbd", "coco")])
def test_a_folder_of_another_layout_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="expected a folder"):
        READERS[name](tmp_path)


def test_own_masks_are_no_photographs(tmp_path: Path) -> None:
    folder = plain_folder(tmp_path / "data", 2)
    own = results_file("annotate", ["1.png"])
    (folder / "masks" / RESULTS_FILE).write_bytes(own)  # masks of ours are masks, and their list is no mask
    names = [picture.name for picture in READERS["folder"](folder)]
    (folder / "images" / RESULTS_FILE).write_bytes(own)
    assert names and RESULTS_FILE not in names
    with pytest.raises(ArgumentError, match="expected photographs, found results of this program"):
        READERS["folder"](folder)


def test_files_of_other_kinds_are_counted_and_hide_no_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = plain_folder(tmp_path, 2)
    for name in ("p000.txt", "p000.xml", "p001.xml", "notes"):
        (folder / "images" / name).write_text("beside the picture")
    (folder / "masks" / "p000.json").write_text("{}")
    found = READERS["folder"](folder)
    assert [picture.image.name for picture in found] == ["notes", "p000.png", "p001.png"]
    assert [picture.name for picture in found if picture.name != "notes" and read(picture)] == ["p000", "p001"]
    assert caplog.messages == [f"{folder / 'images'}: skipped 2 .xml, 1 .txt", f"{folder / 'masks'}: skipped 1 .json"]


@pytest.mark.parametrize("name", ["coco.json", "coco_polygons.json", "."])
def test_annotations_of_our_own_find_their_pictures(tmp_path: Path, name: str) -> None:
    """The file's record says where they are, wherever the results went."""
    from inter2former_onnx.annotate import coco_files, exports
    from inter2former_onnx.annotate.dataset import Dataset, PictureRecord
    from inter2former_onnx.annotate.document import Annotation, Prompt
    from inter2former_onnx.annotate.rle import RLE

    write(tmp_path / "photos" / "trip" / "a.png", IMAGE)
    out = tmp_path / "results" / "deep"
    objects = (Annotation(1, 1, Prompt(), RLE.encode(ELLIPSE)),)
    content = Dataset(
        "../../photos", "b" * 16, pictures={"trip/a.png": PictureRecord(1, "trip/a.png", WIDTH, HEIGHT, objects)}
    )
    pieces = [coco_files.piece(picture) for picture in coco_files.listed(content)]
    exports.save(out / "coco.json", coco_files.coded_file(content, pieces))
    exports.save(out / "coco_polygons.json", coco_files.polygon_file(content, pieces))
    (picture,) = READERS["coco"](out / name)
    assert picture.upright
    (target,) = read(picture)
    assert (target.mask != ELLIPSE).sum() <= (0 if name != "coco_polygons.json" else 40)
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    with pytest.raises(
        ArgumentError, match=r"coco.*json: records its pictures in '../../photos', and there is no folder"
    ):
        READERS["coco"](out / name)


def indexed(path: Path, values: np.ndarray) -> Path:
    """A mask as `annotate` writes it: a palette image of ids."""
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette([0, 0, 0, 0, 144, 255, 255, 152, 0, *range(250)])
    image.save(path)
    return path


@pytest.mark.parametrize("name", ["folder", "berkeley", "grabcut"])
def test_region_ids_in_place_of_a_mask_name_the_data_set_for_them(tmp_path: Path, name: str) -> None:
    folder = plain_folder(tmp_path, 1)
    if name == "grabcut":
        (folder / "images").rename(folder / "img")
        (folder / "masks").rename(folder / "gt")
    (masks,) = {folder / "masks", folder / "gt"} & set(folder.iterdir())
    mask = masks / "p000.png"
    many = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    for values, said in (
        (REGIONS, "0, 1, 2"),
        (REGIONS * 7, "0, 7, 14"),
        (np.where(REGIONS == 2, 2, 0), "0, 2"),
        (many % 200, "0, 1, 2, 3, ..."),  # some above 127
    ):
        indexed(mask, values)
        (picture,) = READERS[name](folder)
        with pytest.raises(ImageError, match=rf"p000\.png: values {said}: use --dataset regions"):
            picture.read()
    Image.fromarray((many % 300).astype(np.uint16)).save(mask)
    with pytest.raises(ImageError, match=r"p000\.png: values 0, 1, 2, 3, \.\.\.: use --dataset regions"):
        picture.read()
    Image.fromarray(np.where(ELLIPSE, 65535, 0).astype(np.uint16)).save(mask)
    np.testing.assert_array_equal(read(picture)[0].mask, ELLIPSE)


def test_the_data_set_that_is_named_takes_them(tmp_path: Path) -> None:
    """images/ and masks/ stay where they are; the other way round the other one is named."""
    folder = plain_folder(tmp_path, 1)
    indexed(folder / "masks" / "p000.png", REGIONS)
    (picture,) = READERS["regions"](folder)
    assert [target.name for target in read(picture)] == ["p000#1", "p000#2"]
    write(folder / "masks" / "p000.png", np.where(ELLIPSE, 255, 0).astype(np.uint8))
    with pytest.raises(ImageError, match=r"p000\.png: no ids but 255, which is void here: use --dataset folder"):
        READERS["regions"](folder)[0].read()


def test_a_mask_with_an_orientation_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = plain_folder(tmp_path, 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = folder / "masks" / "p000.png"
    Image.open(mask).save(mask, exif=exif)
    with pytest.raises(ImageError, match=r"p000\.png: a mask with EXIF orientation 6 of its own"):
        READERS["folder"](folder)[0].read()
