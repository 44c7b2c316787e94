"""What there is to train on: images and their region maps, from a folder with index.json or from COCO JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from ..evaluation.masks import VOID, RegionMap, read_values
from .sources import kind_of

NOT_JUDGED = -1  # in the maps that annotations return: belongs neither to an object nor to what is around it


@dataclass(frozen=True)
class Record:
    """An image and its annotations.

    Attributes:
        name: identifier, unique in its dataset.
        image: path of the image file.
        annotations: one reader an annotator; each returns int32 [H, W], 0 = unlabelled, `NOT_JUDGED` = void.
        source: name of the dataset.
        grouped: the labelled regions of a map together are an object too (garments of a person), and a region may
            be several unconnected pieces of which each is a target of its own.
    """

    name: str
    image: Path
    annotations: tuple[Callable[[], RegionMap], ...]
    source: str
    grouped: bool


def read_folder(folder: Path, split: str) -> list[Record]:
    """Read one split of a folder with `index.json`, `images/` and `labels/`.

    Entries of other splits are no training data: photographs to evaluate on, or of public benchmarks.

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


def hold_out(records: Sequence[Record], share: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Split training records into those to train on and a development part, the same share of every source.

    Returns:
        (train, development), each in the order of `records`.
    """
    chosen: set[str] = set()
    for source in sorted({record.source for record in records}):
        names = sorted(record.name for record in records if record.source == source)
        chosen.update(random.Random(seed).sample(names, round(share * len(names))))
    train = [record for record in records if record.name not in chosen]
    return train, [record for record in records if record.name in chosen]


def read_records(data: Path, split: str, images: Path | None = None) -> list[Record]:
    """Read the records of a folder with index.json, or of a COCO JSON file.

    Args:
        data: the folder or file.
        split: of the folder.
        images: folder of the COCO file's images (default: its own).

    Raises:
        ArgumentError: neither, or the file is not usable.
    """
    if data.is_dir():
        return read_folder(data, split)
    if data.suffix == ".json" and data.is_file():
        from .coco import read_coco

        return read_coco(data, images or data.parent)
    raise ArgumentError(f"--data {data}: expected a folder with index.json or a COCO .json file")


def check_size(array: NDArray[Any], height: int, width: int, name: str) -> None:
    """Raise an ArgumentError unless a region map has its image's size."""
    if array.shape != (height, width):
        raise ArgumentError(f"{name}: region map is {array.shape[1]}x{array.shape[0]}, its image {width}x{height}")
