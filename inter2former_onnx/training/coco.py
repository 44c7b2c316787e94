"""COCO JSON: polygons and run-length masks become region maps. Needs pycocotools (extra `[train]`)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..evaluation.coco_masks import segmentation_mask
from ..evaluation.datasets.coco import recorded_folder
from ..evaluation.masks import RegionMap
from ..extras import require
from .records import Record


def read_coco(path: Path, images: Path | None = None) -> list[Record]:
    """List the records of a COCO instances file; images without annotations and crowd annotations are left out.

    Args:
        path: the JSON file.
        images: folder that its `file_name`s are relative to (default: the one that a file of `inter2former annotate`
            records; else the file's own).

    Raises:
        ArgumentError: not JSON of that form, or an image file is missing.
        MissingDependencyError: pycocotools is not installed.
    """
    require("train", "pycocotools")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = {entry["id"]: entry for entry in content["images"]}
        annotations: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            if not annotation.get("iscrowd", 0):
                annotations[annotation["image_id"]].append(annotation)
        folder = images or recorded_folder(path, content) or path.parent
    except ArgumentError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"{path} cannot be read as COCO JSON: {type(error).__name__} {error}") from None
    records = []
    for identifier, entry in entries.items():
        if not annotations[identifier]:
            continue
        file = folder / entry["file_name"]
        if not file.is_file():
            raise ArgumentError(f"{path}: image {identifier} names {file}, which is not a file")
        reader = _reader(annotations[identifier], int(entry["height"]), int(entry["width"]), path)
        records.append(Record(str(identifier), file, (reader,), "coco", False))
    if not records:
        raise ArgumentError(f"{path} has no image with annotations")
    return records


def _reader(annotations: Sequence[Mapping[str, Any]], height: int, width: int, path: Path) -> Callable[[], RegionMap]:
    return lambda: paint(annotations, height, width, str(path))


def paint(annotations: Sequence[Mapping[str, Any]], height: int, width: int, source: str) -> RegionMap:
    """Paint a region map with an id an instance, larger instances below smaller ones.

    Args:
        annotations: of one image.
        height, width: of the image, in pixels.
        source: what to call them in errors.

    Returns:
        int32 [height, width], 0 = unlabelled.

    Raises:
        ArgumentError: a segmentation that cannot be drawn.
    """
    masks = [segmentation_mask(a.get("segmentation"), height, width, source) for a in annotations]
    regions = np.zeros((height, width), dtype=np.int32)
    for number, index in enumerate(sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())), start=1):
        regions[masks[index]] = number
    return regions
