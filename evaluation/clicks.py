"""Simulated clicks: the middle of the larger error region."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class Click(NamedTuple):
    """A click on pixel (row, column); positive means "this belongs to the object"."""

    row: int
    column: int
    positive: bool


def deepest(region: Mask, clicked: Mask | None = None) -> tuple[float, int, int]:
    """The pixel of a region that is farthest from everything outside it (and outside the image).

    Args:
        region: bool [H, W].
        clicked: bool [H, W], pixels that are not chosen, however deep they lie; they still belong to the region.

    Returns:
        its L2 distance in pixels (0.0 when there is none to choose), row and column; the first in reading order on
        ties. Distances are exact: squared ones are whole numbers, and float32 holds those up to 4096 pixels' distance.
    """
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if rows.size == 0:
        return 0.0, 0, 0
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    # One pixel of zeros around the bounding box stands for all that lies outside it, the image's border included.
    crop = np.pad(region[top:bottom, left:right], 1).astype(np.uint8)
    distance = cv2.distanceTransform(crop, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    if clicked is not None:
        distance[clicked[top:bottom, left:right]] = 0.0
    row, column = np.unravel_index(int(np.argmax(distance)), distance.shape)
    depth = float(distance[row, column])
    return (depth, top + int(row), left + int(column)) if depth else (0.0, 0, 0)


def simulate_click(
    prediction: Mask, target: Mask, void: Mask | None = None, clicked: Mask | None = None
) -> Click | None:
    """The next click for a prediction; None when there is no error left to click on.

    Positive in the middle of what is missing, negative in the middle of what is too much, whichever reaches deeper;
    a tie is negative. Before any prediction, pass zeros: the target's own middle.

    Args:
        prediction, target: bool [H, W].
        void: bool [H, W], pixels that count neither as object nor as background and are never clicked on.
        clicked: bool [H, W], pixels clicked on before, which are not chosen again.
    """
    missing, excess = target & ~prediction, prediction & ~target
    if void is not None:
        missing &= ~void
        excess &= ~void
    depth, row, column = deepest(missing, clicked)
    other_depth, other_row, other_column = deepest(excess, clicked)
    if depth == 0.0 and other_depth == 0.0:
        return None
    if depth > other_depth:
        return Click(row, column, True)
    return Click(other_row, other_column, False)
