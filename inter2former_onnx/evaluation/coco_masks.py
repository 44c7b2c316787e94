"""COCO's segmentations as masks, pixel for pixel as its own tools draw them: polygons and run lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError

_FINER = 5  # polygons are traced on a grid this much finer than the pixels


def segmentation_mask(segmentation: Any, height: int, width: int, source: str) -> NDArray[np.bool_]:
    """bool [height, width] of a COCO segmentation: polygons, uncompressed or compressed run lengths.

    Raises:
        ArgumentError: neither, or run lengths of another size; `source` is named.
    """
    if isinstance(segmentation, list) and all(isinstance(p, list) and len(p) >= 6 for p in segmentation):
        mask = np.zeros((height, width), dtype=np.bool_)
        for polygon in segmentation:
            mask |= polygon_mask(polygon, height, width)
        return mask
    if isinstance(segmentation, Mapping) and "counts" in segmentation:
        counts = segmentation["counts"]
        try:
            runs = decode_counts(counts) if isinstance(counts, str) else [int(count) for count in counts]
        except IndexError:
            raise ArgumentError(f"{source}: the compressed run lengths end in the middle of a number") from None
        if min(runs, default=0) < 0 or sum(runs) != height * width:
            raise ArgumentError(f"{source}: run lengths cover {sum(runs)} pixels, the image has {height * width}")
        values = np.arange(len(runs)) % 2 == 1
        return np.repeat(values, runs).reshape(width, height).T  # runs go down the columns
    raise ArgumentError(f"{source}: a segmentation is neither polygons nor run lengths: {str(segmentation)[:60]!r}")


def polygon_mask(polygon: Sequence[float], height: int, width: int) -> NDArray[np.bool_]:
    """bool [height, width]: a polygon x0, y0, x1, y1, ... as COCO's `rleFrPoly` fills it.

    Its outline is traced in whole steps on a finer grid; where it enters another pixel column, that column's pixels
    from there down are turned over.
    """
    points = np.asarray(polygon, dtype=np.float64)[: len(polygon) // 2 * 2].reshape(-1, 2)
    corners = np.trunc(_FINER * points + 0.5).astype(np.int64)
    outline = np.concatenate([_line(a, b) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)])
    x, y = outline[:, 0], outline[:, 1]
    moved = np.flatnonzero(np.diff(x))
    column = (np.minimum(x[moved], x[moved + 1]) + 0.5) / _FINER - 0.5
    row = (np.minimum(y[moved], y[moved + 1]) + 0.5) / _FINER - 0.5
    kept = (column == np.floor(column)) & (column >= 0) & (column <= width - 1)
    turned = column[kept].astype(np.int64) * height + np.ceil(np.clip(row[kept], 0, height)).astype(np.int64)
    flips = np.bincount(turned, minlength=height * width + 1)[: height * width]
    filled: NDArray[np.bool_] = (np.cumsum(flips) % 2 == 1).reshape(width, height).T
    return filled


def _line(start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Grid points [n, 2] from corner to corner, both included: a step each along the longer axis."""
    (dx, dy) = np.abs(end - start)
    along = 0 if dx >= dy else 1
    flipped = bool(start[along] > end[along])
    first, last = (end, start) if flipped else (start, end)
    length = int(max(dx, dy))
    steps = np.arange(length, -1, -1) if flipped else np.arange(length + 1)
    slope = (last[1 - along] - first[1 - along]) / length if length else 0.0
    points = np.empty((length + 1, 2), dtype=np.int64)
    points[:, along] = first[along] + steps
    points[:, 1 - along] = np.trunc(first[1 - along] + slope * steps + 0.5).astype(np.int64)
    return points


def decode_counts(text: str) -> list[int]:
    """COCO's compressed run lengths: six bits a character from '0' on, bit 5 = more follows; from the third run on
    each is stored as the difference to the last but one."""
    counts: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            bits = ord(text[position]) - 48
            position += 1
            value |= (bits & 0x1F) << shift
            shift += 5
            more = bool(bits & 0x20)
            if not more and bits & 0x10:
                value |= -1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts
