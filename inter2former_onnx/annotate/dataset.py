"""The COCO file of an annotation folder: classes, pictures, objects; read back at the next start.

`coco.json` holds every mask as COCO's run-length code, which is exact; `coco_polygons.json` is the same with polygons,
for tools that read nothing else. Both are valid for pycocotools. What COCO has no place for is kept in additional keys,
which its readers pass over: an object's `clicks` and `box`, whose bundle answered, and of a picture `done`, `files`
(the name of its results, without an ending), `sha256` and `bytes` (of its file, when it was opened to be changed).
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from .. import __version__
from ..errors import AnnotationError, ArgumentError
from ..picture_folder import COCO_DESCRIPTION, COCO_FILE
from ..runtime.box import Box
from ..runtime.click import Click
from .document import Annotation, Objects, Prompt
from .rle import RLE

FILE_NAME = COCO_FILE
POLYGON_FILE_NAME = "coco_polygons.json"
MAX_FILE_BYTES = 4 << 30
DEFAULT_CLASS = "object"
MAX_NAME = 80


@dataclass(frozen=True)
class PictureRecord:
    """A picture with annotations.

    Attributes:
        id: in the file.
        name: its path from the folder of pictures.
        width, height: in pixels.
        objects: later ones lie above earlier ones.
        done: whether somebody has marked it as finished.
        files: the name of its results without an ending; empty where none was chosen yet.
        sha256, bytes: of the picture file's content; empty and 0 where that is not known.
    """

    id: int
    name: str
    width: int
    height: int
    objects: Objects = ()
    done: bool = False
    files: str = ""
    sha256: str = ""
    bytes: int = 0


@dataclass
class Dataset:
    """Everything in the file.

    Attributes:
        folder: the folder of the pictures, as a path from the annotation folder (with slashes).
        bundle: id of the bundle that answered the clicks.
        categories: class names by id, in their order.
        pictures: by name.
    """

    folder: str
    bundle: str
    categories: dict[int, str] = field(default_factory=lambda: {1: DEFAULT_CLASS})
    pictures: dict[str, PictureRecord] = field(default_factory=dict)

    def next_category(self) -> int:
        """Find an id that no class has."""
        return max(self.categories, default=0) + 1

    def next_picture(self) -> int:
        """Find an id that no saved picture has."""
        return max((picture.id for picture in self.pictures.values()), default=0) + 1

    def next_object(self) -> int:
        """Find an id that no saved object has."""
        ids = (annotation.id for picture in self.pictures.values() for annotation in picture.objects)
        return max(ids, default=0) + 1


def checked_name(name: object) -> str:
    """Check a class's name.

    Returns:
        The name without the space around it.

    Raises:
        ArgumentError: it is no text, empty, too long, or has control characters.
    """
    if not isinstance(name, str) or not name.strip() or not name.strip().isprintable():
        raise ArgumentError(f"class name: expected a printable text, found {name!r:.60}")
    if len(name.strip()) > MAX_NAME:
        raise ArgumentError(f"class name: expected at most {MAX_NAME} characters, found {len(name.strip())}")
    return name.strip()


def header(dataset: Dataset) -> dict[str, Any]:
    """Describe the dataset: the parts of the file that are not pictures or objects."""
    return {
        "info": {
            "description": COCO_DESCRIPTION,
            "version": __version__,
            "pictures": dataset.folder,
            "bundle": dataset.bundle,
        },
        "licenses": [],
        "categories": [{"id": id, "name": name, "supercategory": ""} for id, name in dataset.categories.items()],
    }


def image_entry(picture: PictureRecord) -> dict[str, Any]:
    """Describe a picture: one of COCO's `images`."""
    entry: dict[str, Any] = {
        "id": picture.id,
        "file_name": picture.name,
        "width": picture.width,
        "height": picture.height,
        "done": picture.done,
    }
    if picture.files:
        entry["files"] = picture.files
    if picture.sha256:
        entry.update(sha256=picture.sha256, bytes=picture.bytes)
    return entry


def annotation_entry(picture: PictureRecord, annotation: Annotation) -> dict[str, Any]:
    """Describe an object: one of COCO's `annotations`, the mask as run-length code."""
    prompt = annotation.prompt
    entry: dict[str, Any] = {
        "id": annotation.id,
        "image_id": picture.id,
        "category_id": annotation.category,
        "segmentation": annotation.mask.json(),
        "bbox": list(annotation.mask.box),
        "area": annotation.mask.area,
        "iscrowd": 0,
        "clicks": [[click.x, click.y, int(click.positive)] for click in prompt.clicks],
    }
    if prompt.box is not None:
        entry["box"] = list(prompt.box)
    if prompt.start is not None:
        entry["start"] = prompt.start.counts
    return entry


def path_between(path: Path, start: Path) -> str:
    """Write a path as seen from a folder, with slashes; whole where none leads there, as between drives of Windows."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:
        return Path(os.path.abspath(path)).as_posix()


def read(folder: Path, pictures: Path, bundle: str | None, file_name: str = FILE_NAME) -> Dataset:
    """Read the annotations in a folder.

    Objects whose clicks another bundle answered keep their masks; further clicks go on from there.

    Args:
        folder: the annotation folder.
        pictures: the folder of the pictures.
        bundle: id of the bundle that answers from now on; None: everything stays as it was saved.
        file_name: of the file in the annotation folder.

    Returns:
        What is annotated; an empty dataset where there is no file.

    Raises:
        AnnotationError: the file is damaged, not one of ours, or of other pictures.
    """
    path = folder / file_name
    here = path_between(pictures, folder)
    if not path.exists():
        return Dataset(here, bundle or "")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise AnnotationError(f"{path}: {path.stat().st_size} bytes, more than the {MAX_FILE_BYTES} that are read")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: cannot be read as JSON ({error})") from error
    try:
        return _dataset(path, content, here, bundle)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{type(error).__name__}: {error}"
        raise AnnotationError(f"{path}: not a COCO file that `inter2former annotate` wrote ({what})") from error


def _dataset(path: Path, content: Any, here: str, bundle: str | None) -> Dataset:
    info = content["info"]
    known = {str(entry["file_name"]) for entry in content["images"]}
    recorded = str(info["pictures"])
    if recorded != here and not any((path.parent / here / name).is_file() for name in known) and known:
        raise AnnotationError(
            f"{path}: holds annotations of pictures in {recorded!r}, not in {here!r}; choose another folder with --out"
        )
    categories = {_whole(entry["id"]): checked_name(entry["name"]) for entry in content["categories"]}
    replay = bundle in (None, info["bundle"])
    entries: dict[int, list[Annotation]] = {}
    seen: set[int] = set()
    sizes = {_whole(entry["id"]): (_whole(entry["width"]), _whole(entry["height"])) for entry in content["images"]}
    if len(sizes) != len(content["images"]) or len(known) != len(content["images"]):
        raise AnnotationError(f"{path}: two pictures have one id or one name")
    for entry in content["annotations"]:
        annotation = _annotation(path, entry, sizes[_whole(entry["image_id"])], replay)
        if annotation.id in seen:
            raise AnnotationError(f"{path}: two annotations have the id {annotation.id}")
        if annotation.category not in categories:
            raise AnnotationError(f"{path}: annotation {annotation.id}: there is no category {annotation.category}")
        seen.add(annotation.id)
        entries.setdefault(_whole(entry["image_id"]), []).append(annotation)
    pictures = {}
    for entry in content["images"]:
        id, name = _whole(entry["id"]), str(entry["file_name"])
        if not stays_inside(name):
            raise AnnotationError(f"{path}: picture {id}: the file name {name!r:.100} leads out of its folder")
        objects = tuple(entries.get(id, ()))
        pictures[name] = PictureRecord(
            id, name, *sizes[id], objects, entry.get("done") is True, str(entry.get("files", "")), *_content(entry)
        )
    return Dataset(here, bundle or str(info["bundle"]), categories or {1: DEFAULT_CLASS}, pictures)


def _annotation(path: Path, entry: Any, size: tuple[int, int], replay: bool) -> Annotation:
    id = _whole(entry["id"])
    code = entry["segmentation"]
    if not isinstance(code, dict) or not isinstance(code.get("counts"), str):
        raise AnnotationError(
            f"{path}: annotation {id}: expected a mask in compressed run-length code, found {type(code).__name__}"
        )
    width, height = size
    try:
        mask = RLE.checked(height, width, code["counts"])
        clicks = tuple(_click(value, width, height) for value in entry.get("clicks", ()))
        box = _box(entry["box"], width, height) if "box" in entry else None
        start = RLE.checked(height, width, entry["start"]) if "start" in entry else None
    except ArgumentError as error:
        raise AnnotationError(f"{path}: annotation {id}: {error}") from error
    prompt = Prompt(start, box, clicks)
    if not replay or prompt == Prompt():
        prompt = Prompt(start=mask)
    return Annotation(id, _whole(entry["category_id"]), prompt, mask)


def _content(entry: Any) -> tuple[str, int]:
    """Read what is known of a picture file's content; what is no sha256 is taken for nothing."""
    sha256 = str(entry.get("sha256", ""))
    return (sha256, _whole(entry.get("bytes"))) if re.fullmatch("[0-9a-f]{64}", sha256) else ("", 0)


def is_storable(name: str) -> bool:
    """Tell whether a picture of this name can be in the file: UTF-8, and no way out of its folder on any system."""
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of a file name that are not UTF-8
        return False
    return stays_inside(name)


def stays_inside(name: str) -> bool:
    """Tell whether a file name from the file is safe to join to a folder, on any system."""
    if name and not name.startswith("/") and not any(sign in name for sign in ("..", "\\", ":")):
        return True  # as nearly all are: taking a path apart costs more
    windows = PureWindowsPath(name)
    parts = {*PurePosixPath(name).parts, *windows.parts}
    return bool(name) and not windows.anchor and not name.startswith("/") and ".." not in parts


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise ValueError(f"expected a whole number, found {value!r:.60}")
    return value


def _click(value: Any, width: int, height: int) -> Click:
    x, y, positive = (_whole(part) for part in value)
    if x >= width or y >= height or positive > 1:
        raise ArgumentError(f"clicks: {value} is no click in a picture of {width} x {height} pixels")
    return Click(x, y, positive == 1)


def _box(value: Any, width: int, height: int) -> Box:
    box = Box(*(_whole(part) for part in value))
    if not (box.left < box.right <= width and box.top < box.bottom <= height):
        raise ArgumentError(f"box: {value} is no box in a picture of {width} x {height} pixels")
    return box
