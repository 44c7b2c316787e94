"""The label map: what is known about every pixel of the model's input, uint8 [height, width], one of five states.

The decoder reads it through the prompt embedding; clicks and predictions write it (docs/model.md 4 and 5).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .box import Box, whole
from .geometry import PATCH_SIZE, Geometry

DEFINITE_BACKGROUND = 0  # inside the disc of a negative click
POSSIBLE_BACKGROUND = 1  # predicted background: "nothing of interest here"
UNKNOWN = 2
POSSIBLE_FOREGROUND = 3  # predicted foreground
DEFINITE_FOREGROUND = 4  # inside the disc of a positive click
NUM_LABELS = 5

Labels = NDArray[np.uint8]

_STRIP_PIXELS = 1 << 17


def initial(height: int, width: int) -> Labels:
    """Make the map before the first click, uint8 [height, width]: everything unknown."""
    return np.full((height, width), UNKNOWN, dtype=np.uint8)


def of_mask(mask: NDArray[np.bool_], geometry: Geometry) -> Labels:
    """Make the map that a prediction leaves of an unknown one: possible foreground and background.

    Args:
        mask: what is predicted, bool [H, W] in pixels of the image.
        geometry: the image's.

    Returns:
        uint8 [height, width] of `geometry.extent`; what shows padding is background.
    """
    rows, columns = geometry.image_rows, geometry.image_columns
    labels = np.full(geometry.extent, POSSIBLE_BACKGROUND, dtype=np.uint8)
    labels[: len(rows), : len(columns)][mask[rows[:, None], columns]] = POSSIBLE_FOREGROUND
    return labels


def of_box(box: Box, geometry: Geometry) -> Labels:
    """Make the map of a box: unknown inside, possible background around it.

    Args:
        box: in pixels of the image.
        geometry: the image's.

    Returns:
        uint8 [height, width] of `geometry.extent`.
    """
    top, bottom = np.searchsorted(geometry.image_rows, (box.top, box.bottom))
    left, right = np.searchsorted(geometry.image_columns, (box.left, box.right))
    labels = np.full(geometry.extent, POSSIBLE_BACKGROUND, dtype=np.uint8)
    labels[top:bottom, left:right] = UNKNOWN
    return labels


@lru_cache(maxsize=16)
def _disc(radius: int) -> NDArray[np.bool_]:
    """bool [2r+1, 2r+1]: pixels whose centre is no further than `radius` from the central one."""
    squares = np.arange(-radius, radius + 1, dtype=np.int64) ** 2
    disc: NDArray[np.bool_] = squares[:, None] + squares[None, :] <= radius * radius
    disc.flags.writeable = False  # cached: one array for all callers
    return disc


def disc_box(row: int, column: int, radius: int, height: int, width: int) -> Box:
    """Find the part of a map of height x width that a click on model pixel (row, column) can touch."""
    return Box(
        max(column - radius, 0),
        max(row - radius, 0),
        min(column + radius + 1, width),
        min(row + radius + 1, height),
    )


def draw_click(labels: Labels, row: int, column: int, positive: bool, radius: int) -> Box:
    """Set the disc of a click to its definite label, whatever was there; in place.

    Args:
        labels: the map.
        row, column: the model pixel clicked.
        positive: which of the two definite labels.
        radius: of the disc in model pixels.

    Returns:
        The box touched.
    """
    box = disc_box(row, column, radius, *labels.shape)
    # The disc array is centred on the click: shift the clipped box into it.
    disc = _disc(radius)[box.within(Box(column - radius, row - radius, 0, 0)).slices]
    labels[box.slices][disc] = DEFINITE_FOREGROUND if positive else DEFINITE_BACKGROUND
    return box


def apply_prediction(labels: Labels, region: Box, foreground: NDArray[np.bool_], box: Box) -> Box:
    """Let a prediction move the labels that are not definite; in place.

    Predicted foreground: 2 -> 3, 1 -> 2. Predicted background: 2 -> 1, 3 -> 2. 0 and 4 stay.

    Args:
        labels: the map.
        region: must hold every pixel whose label is not 1: outside both boxes nothing can change then.
        foreground: bool over `box`; all outside it is background.
        box: the decoder's box in model pixels.

    Returns:
        The hull of both boxes, inside which the work is done. It again holds every label other than 1.
    """
    hull = region.hull(box)
    # Strips of rows whose temporaries stay in the processor's cache: half the time of whole-map passes at T = 2048.
    step = max(_STRIP_PIXELS // hull.width, 1)
    for top in range(hull.top, hull.bottom, step):
        bottom = min(top + step, hull.bottom)
        current = labels[top:bottom, hull.left : hull.right]
        predicted = np.zeros(current.shape, dtype=np.bool_)
        first, last = max(top, box.top), min(bottom, box.bottom)
        if first < last:
            columns = slice(box.left - hull.left, box.right - hull.left)
            predicted[first - top : last - top, columns] = foreground[first - box.top : last - box.top]
        # uint8 subtraction wraps, so "x in {a, a + 1}" is one comparison: x - a < 2.
        up = (current - np.uint8(POSSIBLE_BACKGROUND)) < 2
        up &= predicted
        down = (current - np.uint8(UNKNOWN)) < 2
        np.greater(down, predicted, out=down)  # down and not predicted
        current += up.view(np.uint8)
        current -= down.view(np.uint8)
    return hull


def region_of_interest(labels: Labels, searched: Box | None = None) -> Box:
    """Find the box of all labels other than 1, out to whole tokens, one token more on each side, clipped.

    Args:
        labels: the map.
        searched: must hold every label other than 1; by default the whole map. A caller that knows where labels can
            differ makes the search cheap by it.

    Returns:
        The box; the whole map when every label is 1.
    """
    height, width = labels.shape
    if searched is None:
        searched = whole(height, width)
    interesting = labels[searched.slices] != POSSIBLE_BACKGROUND
    rows = np.flatnonzero(interesting.any(axis=1))
    if rows.size == 0:
        return whole(height, width)
    first_row, last_row = int(rows[0]), int(rows[-1])
    columns = np.flatnonzero(interesting[first_row : last_row + 1].any(axis=0))
    top, bottom = searched.top + first_row, searched.top + last_row + 1
    left, right = searched.left + int(columns[0]), searched.left + int(columns[-1]) + 1
    return Box(
        max((left // PATCH_SIZE - 1) * PATCH_SIZE, 0),
        max((top // PATCH_SIZE - 1) * PATCH_SIZE, 0),
        min((-(-right // PATCH_SIZE) + 1) * PATCH_SIZE, width),
        min((-(-bottom // PATCH_SIZE) + 1) * PATCH_SIZE, height),
    )
