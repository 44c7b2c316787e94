"""Simulated clicks: the middle of the larger error region, as in evaluation."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .label_maps import NOWHERE

Mask = NDArray[np.bool_]


class Click(NamedTuple):
    """A click on pixel (row, column); positive means "this belongs to the object"."""

    row: int
    column: int
    positive: bool


def deepest(region: Mask) -> tuple[float, int, int]:
    """The pixel of a region that is farthest from everything outside it (and outside the image).

    Args:
        region: bool [H, W].

    Returns:
        its L2 distance in pixels (0.0 for an empty region), row and column; the first in reading order on ties.
    """
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if rows.size == 0:
        return 0.0, 0, 0
    top, left = int(rows[0]), int(columns[0])
    # One pixel of zeros around the bounding box stands for all that lies outside it, the image's border included.
    crop = np.pad(region[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(np.uint8)
    distance = cv2.distanceTransform(crop, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    row, column = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return float(distance[row, column]), top + int(row) - 1, left + int(column) - 1


def simulate_click(prediction: Mask, target: Mask) -> Click | None:
    """The next click for a prediction, both bool [H, W]; None when there is no error left.

    Positive in the middle of what is missing, negative in the middle of what is too much, whichever reaches deeper;
    a tie is negative. Before any prediction, pass zeros: the target's own middle.
    """
    missing, row, column = deepest(target & ~prediction)
    excess, other_row, other_column = deepest(prediction & ~target)
    if missing == 0.0 and excess == 0.0:
        return None
    if missing > excess:
        return Click(row, column, True)
    return Click(other_row, other_column, False)


def simulate_clicks(predictions: Mask, targets: Mask, pool: Executor | None) -> NDArray[np.int64]:
    """`simulate_click` for every object of a batch.

    Args:
        predictions, targets: bool [B, H, W].
        pool: threads to share the work, or None.

    Returns:
        int64 [B, 3]: row, column (`NOWHERE` where there is no error left), 1 for positive.
    """
    found = (pool.map if pool else map)(simulate_click, predictions, targets)
    return np.array(
        [(c.row, c.column, int(c.positive)) if c else (NOWHERE, NOWHERE, 0) for c in found], dtype=np.int64
    ).reshape(-1, 3)
