"""What one region map offers as targets: connected regions, their areas and neighbours, and groups."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_REGIONS = 1024  # ids of one map, 0 and the pasted region included
PASTED = MAX_REGIONS - 1  # id of what augmentation pastes onto a picture
VOID_REGION = MAX_REGIONS - 2  # id of what is not judged
_MOST_REGIONS = MAX_REGIONS - 3  # 0, VOID_REGION and PASTED have ids too
_MIN_PIXELS = 24  # smaller pieces join the unlabelled


@dataclass(frozen=True)
class RegionTable:
    """One annotator's regions.

    Attributes:
        regions: int16 [H, W], connected regions 1..n; 0 = unlabelled or too small to count; `VOID_REGION` = void.
        areas: float32 [n + 1], share of the image; index 0 is the unlabelled rest.
        boxes: int32 [n + 1, 4] left, top, right, bottom in pixels; of 0 the whole image.
        neighbours: for each id the ids that touch it (0 never counts).
        interior: bool [n + 1], touches no border of the image.
        groups: arrays of ids that together are one object.
    """

    regions: NDArray[np.int16]
    areas: NDArray[np.float32]
    boxes: NDArray[np.int32]
    neighbours: tuple[NDArray[np.int64], ...]
    interior: NDArray[np.bool_]
    groups: tuple[NDArray[np.int64], ...]


def connected_regions(labels: NDArray[np.int32], split: bool) -> NDArray[np.int16]:
    """Number the regions 1..n from large to small.

    Args:
        labels: [H, W] region ids, 0 or less = unlabelled.
        split: whether unconnected pieces (8-neighbourhood) of one id are regions of their own.

    Returns:
        int16 [H, W]; 0 = unlabelled, too small, or one too many.
    """
    pieces: list[tuple[int, tuple[slice, slice], NDArray[np.bool_]]] = []
    for identifier in np.unique(labels):
        if identifier <= 0:
            continue
        mask = labels == identifier
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        crop = mask[window]
        if not split:
            pieces.append((int(crop.sum()), window, crop))
            continue
        count, numbered, statistics, _ = cv2.connectedComponentsWithStats(crop.astype(np.uint8), connectivity=8)
        for number in range(1, count):
            pieces.append((int(statistics[number, cv2.CC_STAT_AREA]), window, numbered == number))
    pieces.sort(key=lambda piece: -piece[0])
    result = np.zeros(labels.shape, dtype=np.int16)
    for number, (area, window, crop) in enumerate(pieces[:_MOST_REGIONS], start=1):
        if area >= _MIN_PIXELS:
            result[window][crop] = number
    return result


def build_table(labels: NDArray[np.int32], grouped: bool, split: bool, pieces: bool = False) -> RegionTable:
    """Build the table of a region map.

    Args:
        labels: int32 [H, W] region ids, 0 = unlabelled, less than 0 = void.
        grouped: everything labelled and connected is one more target.
        split: as for `connected_regions`.
        pieces: all pieces of an id, where it has several, are one more target.
    """
    regions = connected_regions(labels, split)
    void = labels < 0
    height, width = regions.shape
    count = int(regions.max()) + 1
    areas = (np.bincount(regions.ravel(), minlength=count) / regions.size).astype(np.float32)
    areas[0] -= np.float32(void.mean())
    boxes = np.zeros((count, 4), dtype=np.int32)
    boxes[0] = 0, 0, width, height
    for number in range(1, count):
        mask = regions == number
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes[number] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    interior = (boxes[:, 0] > 0) & (boxes[:, 1] > 0) & (boxes[:, 2] < width) & (boxes[:, 3] < height)
    groups = [_largest_group(regions)] if grouped and count > 1 else []
    groups += _piece_groups(labels, regions) if pieces else []
    neighbours = _neighbours(regions, count)
    regions[void] = VOID_REGION
    return RegionTable(regions, areas, boxes, neighbours, interior, tuple(groups))


def _largest_group(regions: NDArray[np.int16]) -> NDArray[np.int64]:
    """List the ids inside the largest connected piece of everything labelled."""
    count, numbered, statistics, _ = cv2.connectedComponentsWithStats((regions > 0).astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros(0, dtype=np.int64)
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    return np.unique(regions[numbered == largest]).astype(np.int64)


def _piece_groups(labels: NDArray[np.int32], regions: NDArray[np.int16]) -> list[NDArray[np.int64]]:
    """The numbers of every id's pieces, where it has several."""
    groups = []
    for identifier in np.unique(labels[labels > 0]):
        numbers = np.unique(regions[labels == identifier]).astype(np.int64)
        if (numbers > 0).sum() > 1:
            groups.append(numbers[numbers > 0])
    return groups


def _neighbours(regions: NDArray[np.int16], count: int) -> tuple[NDArray[np.int64], ...]:
    wide = regions.astype(np.int64)
    pairs = []
    for one, other in ((wide[:, 1:], wide[:, :-1]), (wide[1:], wide[:-1])):
        touching = (one != other) & (one > 0) & (other > 0)
        pairs.append(one[touching] * MAX_REGIONS + other[touching])
    packed = np.unique(np.concatenate(pairs))
    first, second = packed // MAX_REGIONS, packed % MAX_REGIONS
    both = np.concatenate([np.stack([first, second]), np.stack([second, first])], axis=1)
    return tuple(np.unique(both[1, both[0] == number]) for number in range(count))
