"""One click, and what makes a pair of numbers a usable one."""

from __future__ import annotations

import math
from numbers import Real
from typing import NamedTuple

import numpy as np

from ..errors import ClickError


class Click(NamedTuple):
    """A click on a pixel of the original image: column `x`, row `y`; `positive` means "this belongs to the object"."""

    x: int
    y: int
    positive: bool


def make_click(x: object, y: object, positive: object, width: int, height: int) -> Click:
    """Make the click on the pixel that contains a point.

    Args:
        x, y: the point in pixels; pixel (i, j) covers i <= x < i + 1, j <= y < j + 1.
        positive: whether the pixel belongs to the object; True, False, 1 or 0.
        width, height: of the image in pixels.

    Raises:
        ClickError: a coordinate is not a finite number or lies outside the image, or `positive` is not a truth value.
    """
    return Click(_pixel("x", x, width), _pixel("y", y, height), _truth(positive))


def _pixel(name: str, value: object, size: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ClickError(f"click: {name} must be a number from 0 to below {size}, found {value!r:.60}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond all floats
        number = math.inf
    if not 0 <= number < size:  # false for NaN, too
        raise ClickError(f"click: {name} must be from 0 to below {size} (the image's pixels), found {number:.10g}")
    return int(number)


def _truth(value: object) -> bool:
    # 1 and 0 are what SAM's point labels look like; other numbers and texts are more likely a mix-up than a wish.
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return bool(value)
    raise ClickError(f"click: positive must be True or False, found {value!r:.60}")
