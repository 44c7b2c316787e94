"""Training data in any form that is read."""

from __future__ import annotations

from pathlib import Path

from ..errors import ArgumentError
from .coco import read_coco
from .folder import read_folder
from .records import Record


def read_records(data: Path, split: str, images: Path | None = None) -> list[Record]:
    """List what there is to train on.

    Args:
        data: a folder with index.json, or a COCO JSON file.
        split: of the folder; a COCO file is one split by itself.
        images: folder of a COCO file's images (default: see `read_coco`).

    Raises:
        ArgumentError: neither, or the file is not usable.
        MissingDependencyError: a COCO file, and pycocotools is not installed.
    """
    if data.is_dir():
        return read_folder(data, split)
    if data.suffix == ".json" and data.is_file():
        return read_coco(data, images)
    raise ArgumentError(f"--data {data}: expected a folder with index.json or a COCO .json file")
