"""Annotation files beside the COCO file: indexed PNGs, a PNG for every object, LabelMe's JSON."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..outputs import OutputFile
from . import coco_files
from .dataset import FILE_NAME, POLYGON_FILE_NAME, Dataset, PictureRecord
from .rle import RLE

KINDS = ("coco", "png", "labelme")
MASKS, OBJECTS, LABELME = "masks", "objects", "labelme"
_LABELME_VERSION = "5.5.0"

# The page's colours too, which /api/state tells it, in the order in which objects get them.
COLOURS = (
    *((0, 144, 255), (255, 152, 0), (0, 200, 120), (233, 60, 172), (250, 214, 40), (140, 90, 255)),
    *((255, 82, 82), (0, 206, 209), (160, 210, 40), (255, 128, 170), (90, 120, 255), (190, 130, 80)),
)


def save(path: Path, content: bytes) -> Path:
    """Write a file in one step, and the folders above it if they are missing.

    Returns:
        `path`.

    Raises:
        Inter2FormerError, OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with OutputFile(path) as out:
        out.write(lambda stream: stream.write(content))
    return path


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
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


class Names:
    """File names for results: the picture's with another ending, or added to it where two pictures would share one."""

    def __init__(self, pictures: Iterable[str]) -> None:
        self._taken: dict[PurePosixPath, int] = {}
        for name in pictures:
            stem = PurePosixPath(name).with_suffix("")
            self._taken[stem] = self._taken.get(stem, 0) + 1

    def base(self, picture: str) -> PurePosixPath:
        """Name a picture's result: its path without an ending, from the folder of results."""
        path = PurePosixPath(picture)
        return path if self._taken.get(path.with_suffix(""), 0) > 1 else path.with_suffix("")


def save_mask(out: Path, picture: PictureRecord, names: Names) -> Path:
    """Write a picture's indexed PNG, or take it away when the picture has no objects any more.

    Returns:
        Its path.

    Raises:
        Inter2FormerError, OSError: it cannot be written.
    """
    path = _place(out / MASKS, names, picture.name, ".png")
    if picture.objects:
        return save(path, indexed_png(picture))
    path.unlink(missing_ok=True)
    return path


def export(kind: str, dataset: Dataset, out: Path, pictures: Path) -> Sequence[Path]:
    """Write the files of one kind for everything in the dataset.

    Args:
        kind: "coco": the COCO file with polygons, beside the one with run-length code, which is always up to date;
            "png": indexed PNGs and one PNG for every object; "labelme": LabelMe's JSON.
        dataset: what is annotated.
        out: the annotation folder.
        pictures: the folder of the pictures.

    Returns:
        The paths of the files that there are then.

    Raises:
        Inter2FormerError, OSError: one cannot be written.
    """
    if kind == "coco":
        pieces = [coco_files.piece(picture) for picture in coco_files.listed(dataset)]
        return [out / FILE_NAME, save(out / POLYGON_FILE_NAME, coco_files.polygon_file(dataset, pieces))]
    names = Names(dataset.pictures)
    written: list[Path] = []
    for picture in dataset.pictures.values():
        if not picture.objects:
            continue
        if kind == "png":
            written.append(save_mask(out, picture, names))
            for number, annotation in enumerate(picture.objects, start=1):
                name = f".{number:03d}.{_safe(dataset.categories[annotation.category])}.png"
                written.append(save(_place(out / OBJECTS, names, picture.name, name), object_png(annotation.mask)))
        else:
            path = _place(out / LABELME, names, picture.name, ".json")
            image_path = Path(os.path.relpath(pictures / picture.name, path.parent)).as_posix()
            written.append(save(path, labelme_json(picture, dataset.categories, image_path)))
    return written


def _place(folder: Path, names: Names, picture: str, ending: str) -> Path:
    base = names.base(picture)
    return folder / base.parent / f"{base.name}{ending}"


def _safe(name: str) -> str:
    """Make a class's name a part of a file name."""
    return "".join(character if character.isalnum() or character in "-_" else "_" for character in name)[:40]


def _png(image: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
