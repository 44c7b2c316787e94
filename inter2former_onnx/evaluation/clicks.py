"""Simulated clicks: the middle of the larger error region."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.click import Click
from .targets import Mask


def deepest(region: Mask, clicked: Mask | None = None) -> tuple[float, int, int]:
    """Find the pixel of a region that is farthest from everything outside it (and outside the image).

    Args:
        region: bool [H, W].
        clicked: bool [H, W], pixels that are not chosen, however deep they lie; they still belong to the region.

    Returns:
        Its L2 distance in pixels (0.0 when there is none to choose), row and column; the first in reading order of
        those with exactly the largest distance.
    """
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if rows.size == 0:
        return 0.0, 0, 0
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    # One pixel of zeros around the bounding box stands for all that lies outside it, the image's border included.
    crop = np.pad(region[top:bottom, left:right], 1)
    distance = np.asarray(cv2.distanceTransform(crop.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    if clicked is not None:
        distance[1:-1, 1:-1][clicked[top:bottom, left:right]] = 0.0
    longest = float(distance.max())
    if longest == 0.0:
        return 0.0, 0, 0
    # OpenCV computes in float32: pixels of one true distance get different ones, and not the same in every run.
    # So whatever is near the largest is measured again in whole numbers.
    near = np.argwhere(distance >= longest - _NEAR * (1.0 + longest))
    squares = _squared_distances(crop, near, int(longest) + 2)
    best = int(np.argmax(squares))
    row, column = near[best]
    return float(np.sqrt(squares[best])), top + int(row) - 1, left + int(column) - 1


_NEAR = 1e-3  # some hundred times the error of float32 at a thousand pixels


def _squared_distances(region: Mask, pixels: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Measure the squared distance of some pixels of a region to its outside, in whole numbers.

    First down and up each column, then along the pixel's row: min over columns c of (c - column)^2 + vertical^2.

    Args:
        region: bool [H, W].
        pixels: int64 [n, 2], row and column of each.
        reach: more than any of the distances, in pixels.

    Returns:
        int64 [n]
    """
    (top, left), (bottom, right) = pixels.min(0) - reach, pixels.max(0) + reach + 1
    top, left = max(int(top), 0), max(int(left), 0)
    window = region[top:bottom, left:right]
    height, width = window.shape
    numbers = np.arange(height)[:, None]
    above = np.maximum.accumulate(np.where(window, -reach, numbers), axis=0)
    below = np.minimum.accumulate(np.where(window, height + reach, numbers)[::-1], axis=0)[::-1]
    rows, columns = pixels[:, 0] - top, pixels[:, 1] - left
    vertical = np.minimum(rows[:, None] - above[rows], below[rows] - rows[:, None])
    across = np.arange(-reach, reach + 1)
    # Columns beyond the window count as its border, which is farther away than it looks from there: never too near.
    reached = np.take_along_axis(vertical, np.clip(columns[:, None] + across, 0, width - 1), axis=1)
    squares: NDArray[np.int64] = (reached**2 + across**2).min(1)
    return squares


def simulate_click(
    prediction: Mask, target: Mask, void: Mask | None = None, clicked: Mask | None = None
) -> Click | None:
    """Choose the next click for a prediction.

    Positive in the middle of what is missing, negative in the middle of what is too much, whichever reaches deeper;
    a tie is negative. Before any prediction, pass zeros: the target's own middle.

    Args:
        prediction, target: bool [H, W].
        void: bool [H, W], pixels that count neither as object nor as background and are never clicked on.
        clicked: bool [H, W], pixels clicked on before, which are not chosen again.

    Returns:
        The click, or None when there is no error left to click on.
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
        return Click(column, row, True)
    return Click(other_column, other_row, False)
