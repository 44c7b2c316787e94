"""COCO's segmentations as masks, by pycocotools: polygons and run lengths.

pycocotools trusts what it is given: it reads on behind a text that was cut short, and leaves pixels that no run covers
as the memory was. So forms and sums are checked before it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from .targets import Mask

# pycocotools counts in 32 bits and does not ask whether it got the memory that it wants.
MOST_PIXELS = 1 << 28  # of an image
LONGEST_OUTLINE = 1_000_000  # pixels along one polygon, all of which it walks in fifths


def segmentation_mask(segmentation: Any, height: int, width: int, source: str) -> Mask:
    """Draw a COCO segmentation: polygons, or run lengths as numbers or as text. Needs pycocotools.

    Args:
        segmentation: as it was in the JSON file.
        height, width: of the image, in pixels.
        source: what to call it in errors.

    Returns:
        bool [height, width]

    Raises:
        ArgumentError: neither form, run lengths of another size, or an image that cannot be of this size.
    """
    from pycocotools import mask as coco

    if height < 1 or width < 1 or height * width > MOST_PIXELS:
        raise ArgumentError(f"{source}: expected an image of 1 to {MOST_PIXELS} pixels, found {width} x {height}")
    if isinstance(segmentation, list) and all(isinstance(p, list) and len(p) >= 6 for p in segmentation):
        polygons = [_checked_polygon(polygon, source) for polygon in segmentation]
        if not polygons:
            return np.zeros((height, width), dtype=np.bool_)
        runs = coco.merge(coco.frPyObjects(polygons, height, width))
    elif isinstance(segmentation, Mapping) and "counts" in segmentation:
        runs = _checked_runs(segmentation["counts"], height, width, source)
        if not isinstance(runs["counts"], bytes):
            runs = coco.frPyObjects(runs, height, width)
    else:
        raise ArgumentError(f"{source}: a segmentation is neither polygons nor run lengths: {str(segmentation)[:60]!r}")
    return np.array(coco.decode(runs), dtype=np.bool_, order="C")


def _checked_polygon(polygon: Sequence[Any], source: str) -> list[float]:
    """Refuse a polygon x0, y0, x1, y1, ... that pycocotools cannot trace."""
    try:
        corners = np.array(polygon, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        corners = np.array([np.nan])
    if corners.ndim != 1 or not np.isfinite(corners).all():
        raise ArgumentError(f"{source}: a polygon has a corner that is no pair of numbers: {str(polygon)[:60]!r}")
    if len(corners) % 2:
        raise ArgumentError(f"{source}: a polygon has {len(corners)} numbers, which are no pairs of x and y")
    steps = np.abs(np.roll(corners, -2) - corners).reshape(-1, 2).max(axis=1)
    # A corner that is far away has a long way to it, or all of them are.
    if max(steps.sum(), np.abs(corners).max()) > LONGEST_OUTLINE:
        raise ArgumentError(f"{source}: a polygon's outline is longer than {LONGEST_OUTLINE} pixels, or as far away")
    return corners.tolist()


def _checked_runs(counts: Any, height: int, width: int, source: str) -> dict[str, Any]:
    """Refuse run lengths that do not cover the image exactly; give the others in pycocotools' own form."""
    try:
        runs = _run_lengths(counts) if isinstance(counts, str) else [int(count) for count in counts]
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"{source}: run lengths are neither numbers nor text: {str(counts)[:60]!r}") from None
    except EOFError:
        raise ArgumentError(f"{source}: the compressed run lengths end in the middle of a number") from None
    if min(runs, default=0) < 0:
        raise ArgumentError(f"{source}: run lengths below 0, such as {min(runs)}")
    if sum(runs) != height * width:
        raise ArgumentError(f"{source}: run lengths cover {sum(runs)} pixels, the image has {height * width}")
    return {"size": [height, width], "counts": counts.encode() if isinstance(counts, str) else runs}


def _run_lengths(text: str) -> list[int]:
    """List the runs of COCO's compressed text, which is all that tells whether they cover the image.

    Six bits a character from "0" on, low ones first, bit 5 = more follows; from the fourth run on each is stored as the
    difference to the last but one.

    Args:
        text: as it was in the JSON file.

    Returns:
        The length of each run, in pixels.

    Raises:
        ValueError: another character, or a number of more than 30 bits.
        EOFError: the last number is not complete.
    """
    codes = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) - ord("0")
    if codes.size == 0:
        return []
    if codes.min() < 0 or codes.max() > 63:
        raise ValueError
    last = np.flatnonzero(codes < 32)
    if last.size == 0 or last[-1] != codes.size - 1:
        raise EOFError
    lengths: NDArray[np.int64] = np.diff(last, prepend=-1)
    if lengths.max() > 6:
        raise ValueError
    shifts = 5 * (np.arange(codes.size) - np.repeat(last - lengths + 1, lengths))
    numbers = np.add.reduceat((codes & 31) << shifts, last - lengths + 1)
    numbers -= (codes[last] >> 4) << 5 * lengths  # bit 4 of the last character is the sign
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    runs: list[int] = numbers.tolist()
    return runs
