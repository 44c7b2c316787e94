"""A folder of training data: `index.json`, `images/` and maps of region ids in `labels/`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import ArgumentError
from ..evaluation.masks import VOID, RegionMap, read_values
from .records import NOT_JUDGED, Record
from .sources import kind_of


def read_folder(folder: Path, split: str) -> list[Record]:
    """List the records of one split, in the order of `index.json`.

    Entries of other splits are no training data: photographs to evaluate on, or of public benchmarks.

    Args:
        folder: of the data.
        split: such as "train".

    Raises:
        ArgumentError: no readable index, an entry of another form, or a file that is not there.
    """
    path = folder / "index.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{path} cannot be read as JSON: {error}") from None
    records = []
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        try:
            if entry["split"] != split:
                continue
            files = [folder / entry["image"], *(folder / label for label in entry["labels"])]
            name, source = str(entry["id"]), str(entry["source"])
        except (TypeError, KeyError) as error:
            expected = "id, image, labels, source, split"
            raise ArgumentError(f"{path}: entry {number} has no {error}; expected {expected}") from None
        for file in files:
            if not file.is_file():
                raise ArgumentError(f"{path}: entry {number} names {file}, which is not a file")
        readers = tuple(_map_reader(file) for file in files[1:])
        records.append(Record(name, files[0], readers, source, kind_of(source).grouped))
    if not records:
        raise ArgumentError(f"{path} has no entry of split {split!r}")
    return records


def _map_reader(path: Path) -> Callable[[], RegionMap]:
    return lambda: read_annotation(path)


def read_annotation(path: Path) -> RegionMap:
    """Read a region map for training.

    Args:
        path: of the map; in one of 8 bits, 255 is void.

    Returns:
        int32 [H, W] region ids, 0 = unlabelled, `NOT_JUDGED` = void.

    Raises:
        ImageError: missing or unreadable.
    """
    values = read_values(path)
    regions = values.astype(np.int32)
    if values.dtype == np.uint8:
        regions[values == VOID] = NOT_JUDGED
    return regions
