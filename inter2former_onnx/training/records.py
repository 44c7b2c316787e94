"""What there is to train on: images and their region maps."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import ArgumentError
from ..evaluation.masks import RegionMap

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


def hold_out(records: Sequence[Record], share: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Split training records into those to train on and a development part, the same share of every source.

    Args:
        records: of all sources.
        share: of the records of a source that is held out, 0 to 1.
        seed: the same one chooses the same records.

    Returns:
        Those to train on and those held out, each in the order of `records`.
    """
    chosen: set[str] = set()
    for source in sorted({record.source for record in records}):
        names = sorted(record.name for record in records if record.source == source)
        chosen.update(random.Random(seed).sample(names, round(share * len(names))))
    train = [record for record in records if record.name not in chosen]
    return train, [record for record in records if record.name in chosen]


def check_size(array: NDArray[Any], height: int, width: int, name: str) -> None:
    """Refuse a region map that has not its image's size.

    Args:
        array: [H, W], the map.
        height, width: of the image, in pixels.
        name: what to call it in errors.

    Raises:
        ArgumentError: another size.
    """
    if array.shape != (height, width):
        raise ArgumentError(f"{name}: region map is {array.shape[1]}x{array.shape[0]}, its image {width}x{height}")
