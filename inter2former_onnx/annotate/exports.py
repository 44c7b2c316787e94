"""Annotation files beside the COCO file: indexed PNGs, a PNG for every object, LabelMe's JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Inter2FormerError
from ..picture_folder import ANNOTATION_FOLDERS
from . import coco_files
from .dataset import FILE_NAME, POLYGON_FILE_NAME, Dataset, PictureRecord, path_between
from .results import ResultFolder, file_name, named, save
from .rle import RLE

KINDS = ("coco", "png", "labelme")
MASKS, OBJECTS, LABELME = ANNOTATION_FOLDERS
_LABELME_VERSION = "5.5.0"

# The page's colours too, which /api/state tells it, in the order in which objects get them.
COLOURS = (
    *((0, 144, 255), (255, 152, 0), (0, 200, 120), (233, 60, 172), (250, 214, 40), (140, 90, 255)),
    *((255, 82, 82), (0, 206, 209), (160, 210, 40), (255, 128, 170), (90, 120, 255), (190, 130, 80)),
)


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes:
        written: the files that there are now.
        removed: how many earlier files went, because nothing annotated gives them any more.
        failed: the files that could not be written or removed, and why, a line each.
    """

    written: tuple[Path, ...]
    removed: int
    failed: tuple[str, ...]


def indexed_mask(picture: PictureRecord) -> NDArray[np.uint16]:
    """Lay the picture's masks over each other, later objects above earlier ones.

    Returns:
        uint16 [height, width]: 0 for background, k for the picture's k-th object.
    """
    index = np.zeros((picture.height, picture.width), dtype=np.uint16)
    for number, annotation in enumerate(picture.objects, start=1):
        index[annotation.mask.decode()] = number
    return index


def indexed_png(picture: PictureRecord) -> bytes:
    """Write `indexed_mask` as a PNG: with a palette, or as 16-bit grey when there are more than 255 objects."""
    from PIL import Image

    index = indexed_mask(picture)
    if len(picture.objects) > 255:
        image = Image.fromarray(index)
    else:
        image = Image.fromarray(index.astype(np.uint8), mode="P")
        colours = [COLOURS[(annotation.id - 1) % len(COLOURS)] for annotation in picture.objects]
        image.putpalette([0, 0, 0, *(value for colour in colours for value in colour)])
    return _png(image)


def object_png(code: RLE) -> bytes:
    """Write one object's mask as a grey PNG of 0 and 255."""
    from PIL import Image

    return _png(Image.fromarray(np.where(code.decode(), np.uint8(255), np.uint8(0))))


def labelme_json(picture: PictureRecord, categories: dict[int, str], image_path: str) -> bytes:
    """Write LabelMe's file: a polygon for every part of an object, the parts of one with its id as `group_id`.

    Args:
        picture: what is annotated in one picture.
        categories: class names by id.
        image_path: of the picture, from the file's folder, with slashes.
    """
    shapes: list[dict[str, Any]] = [
        {
            "label": categories[annotation.category],
            "points": [[part[at], part[at + 1]] for at in range(0, len(part), 2)],
            "group_id": annotation.id,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        for annotation in picture.objects
        for part in coco_files.polygons_of(annotation.mask)
    ]
    content: dict[str, Any] = {
        "version": _LABELME_VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": picture.height,
        "imageWidth": picture.width,
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace")


def export(kind: str, dataset: Dataset, out: Path, pictures: Path, without: Container[str] = ()) -> Exported:
    """Write the files of one kind for everything in the dataset, and remove those that an earlier export wrote.

    What fails does not stop the rest.

    Args:
        kind: "coco": the COCO file with polygons, beside the one with run-length code, which is always up to date;
            "png": indexed PNGs and one PNG for every object; "labelme": LabelMe's JSON.
        dataset: what is annotated.
        out: the annotation folder.
        pictures: the folder of the pictures.
        without: names of pictures that are left out, as they are missing.

    Raises:
        Inter2FormerError: the list of a folder's files cannot be read or written.
    """
    if kind == "coco":
        pieces = [coco_files.piece(picture) for picture in coco_files.listed(dataset, without)]
        path = out / POLYGON_FILE_NAME
        failed = _tried(lambda: save(path, coco_files.polygon_file(dataset, pieces)), path)
        return Exported((out / FILE_NAME,) if failed else (out / FILE_NAME, path), 0, tuple(failed))
    named(dataset)
    before = _older_masks(dataset) if (out / FILE_NAME).is_file() else ()
    folders = [MASKS, OBJECTS] if kind == "png" else [LABELME]
    results = {name: ResultFolder(out / name, before if name == MASKS else ()) for name in folders}
    chosen = [picture for picture in dataset.pictures.values() if picture.objects and picture.name not in without]
    wanted: dict[str, list[str]] = {folder: [] for folder in folders}
    for picture in chosen:
        for folder, name, _ in _files(kind, picture, dataset, out, pictures):
            wanted[folder].append(name)
    for folder, result in results.items():
        result.announce(wanted[folder])
    written: list[Path] = []
    failures: list[str] = []
    removed = 0
    for picture in chosen:
        for folder, name, content in _files(kind, picture, dataset, out, pictures):
            path = out / folder / name
            failed = _tried(partial(_write, results[folder], name, content), path)
            failures += failed
            if not failed:
                written.append(path)
    for folder, result in results.items():
        went, stayed = result.keep_only(wanted[folder])
        removed += went
        failures += stayed
    return Exported(tuple(written), removed, tuple(failures))


def save_masks(out: Path, dataset: Dataset, changed: Container[str], known: bool) -> list[str]:
    """Write the indexed PNGs of changed pictures, and take away those of pictures that have no objects any more.

    Args:
        out: the annotation folder.
        dataset: what is annotated, all with names for their results (results.named).
        changed: names of pictures.
        known: whether the folder was annotated before this run.

    Returns:
        What failed, a line for each file.

    Raises:
        Inter2FormerError: the list of the folder's files cannot be read or written.
    """
    results = ResultFolder(out / MASKS, _older_masks(dataset) if known else ())
    wanted = {mask_name(picture): picture for picture in dataset.pictures.values() if picture.objects}
    now = {name: picture for name, picture in wanted.items() if picture.name in changed}
    results.announce(now)
    failures: list[str] = []
    for name, picture in now.items():
        content = partial(indexed_png, picture)
        failures += _tried(partial(_write, results, name, content), out / MASKS / name)
    return failures + results.keep_only(wanted)[1]


def mask_name(picture: PictureRecord) -> str:
    """Name a picture's indexed PNG: its path from the folder of these."""
    return file_name(picture.files, ".png")


def _files(
    kind: str, picture: PictureRecord, dataset: Dataset, out: Path, pictures: Path
) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """List a picture's files: the folder, the name in it, and what makes the content."""
    base = picture.files
    if kind == "labelme":
        name = file_name(base, ".json")
        image_path = path_between(pictures / picture.name, (out / LABELME / name).parent)
        yield LABELME, name, partial(labelme_json, picture, dataset.categories, image_path)
        return
    yield MASKS, mask_name(picture), partial(indexed_png, picture)
    for number, annotation in enumerate(picture.objects, start=1):
        ending = f".{number:03d}.{_safe(dataset.categories[annotation.category])}.png"
        yield OBJECTS, file_name(base, ending), partial(object_png, annotation.mask)


def _write(results: ResultFolder, name: str, content: Callable[[], bytes]) -> None:
    results.write(name, content())


def _tried(function: Callable[[], object], path: Path) -> list[str]:
    """Run what writes a file; what went wrong as a line, and none where nothing did."""
    try:
        function()
    except Inter2FormerError as error:
        return [str(error)]
    except (OSError, MemoryError, ValueError) as error:
        return [f"{path}: {getattr(error, 'strerror', None) or error or type(error).__name__}"]
    return []


def _older_masks(dataset: Dataset) -> Iterator[str]:
    """Name the PNGs as versions did that kept no list of them."""
    for name in dataset.pictures:
        yield from (f"{name}.png", f"{PurePosixPath(name).with_suffix('').as_posix()}.png")


def _safe(name: str) -> str:
    """Make a class's name a part of a file name."""
    return "".join(character if character.isalnum() or character in "-_" else "_" for character in name)[:40]


def _png(image: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
