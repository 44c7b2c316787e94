"""COCO instances JSON: `annotations/instances_val2017.json` beside `val2017/`, or any file of that form.

The file of `inter2former annotate` says itself where its pictures are. Crowd annotations are left out.
Needs pycocotools (extra `[eval]`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, ImageError
from ...extras import require
from ..coco_masks import segmentation_mask
from ..targets import Picture, Target

PUBLISHED = (Path("annotations/instances_val2017.json"), Path("annotations/instances_val2014.json"))
_ANNOTATED = Path("coco.json")  # in the folder that `inter2former annotate` writes


def pictures(folder: Path) -> Sequence[Picture]:
    """List the images with annotations, in the order of the file.

    Args:
        folder: the JSON file, a folder that holds the published layout, or the folder of `inter2former annotate`.

    Raises:
        ArgumentError: no JSON of that form.
        MissingDependencyError: pycocotools is not installed.
    """
    require("eval", "pycocotools")
    path = next((folder / p for p in (*PUBLISHED, _ANNOTATED) if (folder / p).is_file()), folder)
    if not path.is_file():
        raise ArgumentError(f"{folder}: expected a COCO .json file, or a folder with {PUBLISHED[0]} or {_ANNOTATED}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        own: dict[Any, list[Any]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            if not annotation.get("iscrowd", 0):
                own[annotation["image_id"]].append((annotation["id"], annotation["segmentation"]))
        recorded = recorded_folder(path, content)
        images = recorded or _image_folder(path)
        found = [
            Picture(
                str(image["id"]),
                images / image["file_name"],
                partial(instances, image["id"], tuple(own[image["id"]]), int(image["height"]), int(image["width"])),
                upright=recorded is not None,
            )
            for image in content["images"]
            if own[image["id"]]
        ]
    except ArgumentError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"{path} cannot be read as COCO JSON: {type(error).__name__} {error}") from None
    if not found:
        raise ArgumentError(f"{path}: no image with annotations in it")
    return found


def recorded_folder(path: Path, content: Any) -> Path | None:
    """Find the pictures' folder that a file of `inter2former annotate` records, as a path from its own folder.

    Args:
        path: of the file.
        content: what it holds.

    Returns:
        The folder; None where the file records none.

    Raises:
        ArgumentError: it is not there.
    """
    info = content.get("info")
    recorded = info.get("pictures") if isinstance(info, dict) else None
    if not isinstance(recorded, str):
        return None
    folder = path.parent / recorded
    if not folder.is_dir():
        raise ArgumentError(f"{path}: records its pictures in {recorded!r}, and there is no folder {folder}")
    return folder


def _image_folder(path: Path) -> Path:
    """Find the images of `instances_NAME.json`: in the published place, or in the JSON file's own folder."""
    published = path.parent.parent / path.stem.removeprefix("instances_")
    return published if published.is_dir() else path.parent


def instances(image: Any, segmentations: Sequence[tuple[Any, Any]], height: int, width: int) -> Sequence[Target]:
    """Draw the objects of one image.

    Args:
        image: its id.
        segmentations: (annotation id, segmentation) of each object.
        height, width: of the image, in pixels.

    Raises:
        ImageError: a segmentation that cannot be drawn.
    """
    try:
        return [Target(f"{image}#{i}", segmentation_mask(s, height, width, f"{image}#{i}")) for i, s in segmentations]
    except ArgumentError as error:
        raise ImageError(str(error)) from None
