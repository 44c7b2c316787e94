"""A picture with its objects, and what a reader of the results must know of the two.

Pictures are read upright. A mask that was drawn by a program that passes over EXIF has the stored pixels' rows and
columns. Where the picture lies on its side and is not square, the mask's size tells which it is, and it is turned as
the picture was. Otherwise nothing tells. Both are said: no object is measured silently with a mask that may be turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..images import RGBImage, range_in_words, read_image_file
from .targets import Mask, Picture, Target

_ON_ITS_SIDE = 5  # from this EXIF orientation on, rows and columns are exchanged


def read_picture(picture: Picture) -> tuple[RGBImage, Sequence[Target], str]:
    """Read a picture and its objects.

    Returns:
        The pixels, upright, uint8 [H, W, 3]; the objects; and what is to be said of them, empty for nothing.

    Raises:
        ImageError: the picture or an annotation cannot be read.
    """
    file, targets = read_image_file(picture.image), picture.read()
    notes = []
    if file.used is not None and file.is_dark:
        notes.append(f"{range_in_words(file.used)}, so it reads as nearly black")
    if file.orientation != 1 and not picture.upright:
        targets, note = _oriented(targets, file.orientation, *file.pixels.shape[:2])
        notes.append(note)
    said = "; ".join(note for note in notes if note)
    return file.pixels, targets, f"{picture.image}: {said}" if said else ""


def _oriented(targets: Sequence[Target], orientation: int, height: int, width: int) -> tuple[Sequence[Target], str]:
    """Turn masks that are known to be of the stored pixels; the words say what is known.

    Args:
        targets: of the picture.
        orientation: EXIF's, not 1.
        height, width: of the upright picture.
    """
    about = f"EXIF orientation {orientation}"
    if orientation < _ON_ITS_SIDE or height == width:
        return targets, f"{about}, and no size tells whether its masks are of the upright picture, as is taken here"
    stored = (width, height)
    if all(target.mask.shape != stored for target in targets):
        return targets, ""
    changed = [_turned(target, orientation) if target.mask.shape == stored else target for target in targets]
    return changed, f"{about}; masks of the stored size, {height} x {width}, were turned as the picture is"


def _turned(target: Target, orientation: int) -> Target:
    void = None if target.void is None else turned(target.void, orientation)
    return replace(target, mask=turned(target.mask, orientation), void=void)


def turned(stored: Mask, orientation: int) -> Mask:
    """Turn a mask of the stored pixels as a picture is turned to be upright.

    Args:
        stored: bool [W, H].
        orientation: EXIF's, from 5 to 8.

    Returns:
        bool [H, W]
    """
    if orientation == 5:
        return np.ascontiguousarray(stored.T)
    if orientation == 7:
        return np.ascontiguousarray(np.rot90(stored, 2).T)
    return np.ascontiguousarray(np.rot90(stored, -1 if orientation == 6 else 1))
