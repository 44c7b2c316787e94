"""Every image and region map decoded once, in memory or on the accelerator, ready to be warped in batches."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ArgumentError
from ..evaluation.reduction import reduce_image
from ..progress import progress
from .records import Record, check_size
from .region_table import RegionTable, build_table
from .sources import kind_of


@dataclass(frozen=True)
class ImageStore:
    """Decoded training data.

    Attributes:
        images: uint8 [n, S, S, 3] RGB, top left aligned; the rest holds nothing.
        sizes: int64 [n, 2], height and width of each.
        maps: int16 [m, S, S] connected regions, numbered as in their tables.
        tables: of each map, without its pixels.
        maps_of: for each image, the indices of its maps.
        sources: dataset of each image.
    """

    images: Tensor
    sizes: NDArray[np.int64]
    maps: Tensor
    tables: list[RegionTable]
    maps_of: list[list[int]]
    sources: list[str]


def read_image(path: object) -> NDArray[np.uint8]:
    """Read a picture.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        ArgumentError: not a readable image.
    """
    array = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if array is None:
        raise ArgumentError(f"{path}: not a readable image")
    return np.ascontiguousarray(array[:, :, ::-1])


def load(records: Sequence[Record], side: int, device: torch.device, workers: int) -> ImageStore:
    """Decode all records.

    Args:
        records: what to decode.
        side: S, pixels of the longer side to which larger images are reduced.
        device: where pixels and maps are kept.
        workers: threads that decode.

    Raises:
        ArgumentError: an image cannot be read, or a region map has another size than its image.
        ImageError: a region map cannot be read.
    """
    images = np.zeros((len(records), side, side, 3), dtype=np.uint8)
    sizes = np.zeros((len(records), 2), dtype=np.int64)
    ends = np.cumsum([len(record.annotations) for record in records]).tolist()
    maps_of = [list(range(end - len(record.annotations), end)) for record, end in zip(records, ends, strict=True)]
    maps = np.zeros((ends[-1] if ends else 0, side, side), dtype=np.int16)

    def decode(index: int) -> list[RegionTable]:
        record, kind = records[index], kind_of(records[index].source)
        original = read_image(record.image)
        height, width = original.shape[:2]
        image = reduce_image(original, side)
        target = (image.shape[1], image.shape[0])
        images[index, : target[1], : target[0]] = image
        sizes[index] = target[1], target[0]
        tables = []
        for place, read in zip(maps_of[index], record.annotations, strict=True):
            labels = read()
            check_size(labels, height, width, f"{record.source} {record.name}")
            if image is not original:
                labels = cv2.resize(labels, target, interpolation=cv2.INTER_NEAREST).astype(np.int32)
            table = build_table(labels, record.grouped, kind.split, kind.pieces)
            maps[place, : target[1], : target[0]] = table.regions
            tables.append(replace(table, regions=table.regions[:0]))
        return tables

    with ThreadPoolExecutor(max(1, workers)) as pool:
        per_image = list(progress(pool.map(decode, range(len(records))), total=len(records), label="decode"))
    return ImageStore(
        torch.from_numpy(images).to(device),
        sizes,
        torch.from_numpy(maps).to(device),
        [table for own in per_image for table in own],
        maps_of,
        [record.source for record in records],
    )
