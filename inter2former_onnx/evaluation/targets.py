"""What a method is measured on: pictures and the objects marked in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Target:
    """One object: `mask` bool [H, W], and `void` bool [H, W] (None: nowhere), pixels that do not count."""

    name: str
    mask: Mask
    void: Mask | None = None


@dataclass(frozen=True)
class Picture:
    """A picture of a data set, not read yet. Travels to worker processes: `read` is a `functools.partial`.

    Attributes:
        name: unique in its data set.
        image: path of the image file.
        read: gives the objects, each of the image's size, always in the same order.
        upright: the objects are known to be of the image as viewers show it, EXIF orientation applied.
    """

    name: str
    image: Path
    read: Callable[[], Sequence[Target]]
    upright: bool = False


def missing(message: str) -> Sequence[Target]:
    """Stand for the objects of a picture whose annotation is not there.

    Raises:
        ImageError: always, with `message`: the picture is reported when it is its turn.
    """
    raise ImageError(message)


def problem(target: Target, shape: tuple[int, ...]) -> str | None:
    """Say what keeps an object from being evaluated.

    Args:
        target: the object.
        shape: of its image: height, width, ...

    Returns:
        The reason, or None where there is none.
    """
    if target.mask.shape != shape[:2]:
        found, expected = target.mask.shape, shape[:2]
        return f"{target.name}: mask of {found[1]} x {found[0]} pixels, its image has {expected[1]} x {expected[0]}"
    if not (target.mask if target.void is None else target.mask & ~target.void).any():
        return f"{target.name}: the mask is empty"
    return None
