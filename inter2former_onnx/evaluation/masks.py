"""Masks from annotation files: binary masks, and maps of region ids."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..images import exif_orientation, read_image
from .targets import Mask, Target

RegionMap = NDArray[np.int32]

VOID = 255  # "ignore" in 8-bit annotations
_WHITE_16 = 65535


def read_values(path: Path) -> NDArray[np.integer]:
    """Read the numbers stored in an image file: ids of a palette image rather than colours.

    Returns:
        Integers [H, W], of the file's own type.

    Raises:
        ImageError: missing, unreadable, of colours that differ between channels, or with an EXIF orientation of its
            own: whether the program that drew it meant it nobody knows.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[NDArray[np.integer], bool]:
    """Do the work of `read_values`, and tell whether a palette gives the values colours, as it does with ids."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on large images are no errors
            with Image.open(path) as file:
                values = np.array(file if file.mode not in ("1", "LA") else file.convert("L"))
                turned = exif_orientation(file)
                palette = np.array(file.getpalette() or [], np.uint8) if file.mode == "P" else np.zeros(0, np.uint8)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders meet damage with errors of many kinds
        raise ImageError(f"{path}: cannot be read as an image, is it complete? ({error})") from error
    if turned != 1:
        raise ImageError(f"{path}: a mask with EXIF orientation {turned} of its own; store it upright and without it")
    if values.ndim == 3:
        # A mask saved as a colour picture, perhaps with opacity: the channels are the same.
        if (values[:, :, 1:3] != values[:, :, :1]).any():
            raise ImageError(f"{path}: expected one value a pixel, found colours")
        values = values[:, :, 0]
    colours = palette[: palette.size // 3 * 3].reshape(-1, 3)
    return values, bool((colours != colours[:, :1]).any())


def coloured_object(path: Path) -> Sequence[Target]:
    """Read one object: every pixel that is not black.

    Raises:
        ImageError: missing or unreadable.
    """
    return [Target(path.stem, np.any(read_image(path) > 0, axis=2))]


def object_with_trimap(path: Path) -> Sequence[Target]:
    """Read one object of a trimap: 0 background, 128 void, above that the object.

    Raises:
        ImageError: as `read_values` does, or the file holds region ids.
    """
    values = _one_object(path)
    return [Target(path.stem, values > 128, values == 128)]


def binary_object(path: Path) -> Sequence[Target]:
    """Read one object of a binary mask.

    It is stored as 0 and 1 (then 255 is void), or as 0 and 255 (then above 127 is object).

    Raises:
        ImageError: as `read_values` does, or the file holds region ids.
    """
    values = _one_object(path)
    found = set(np.unique(values).tolist())
    if 1 in found and found <= {0, 1, VOID}:
        return [Target(path.stem, values == 1, values == VOID)]
    return [Target(path.stem, values > 127)]


def _one_object(path: Path) -> NDArray[np.integer]:
    """Read a mask of one object, and refuse a map of region ids, of which a part would be taken for the object."""
    values, coloured = _read(path)
    found: list[int] = np.unique(values).tolist()
    largest, ids = found[-1], len(set(found) - {0, VOID})
    binary = set(found) <= {0, 1, VOID} or (len(found) <= 2 and largest == _WHITE_16)
    wide = values.dtype != np.uint8
    if largest > 0 and not binary and (largest <= 127 or wide or (coloured and ids > 1)):
        some = ", ".join(map(str, found[:4])) + (", ..." if len(found) > 4 else "")
        raise ImageError(f"{path}: values {some}: use --dataset regions; a mask of one object has {VOID} or 1 there")
    return values


def every_region(path: Path) -> Sequence[Target]:
    """Read an object for each id of a region map other than 0; 255 is void in a map of 8 bits.

    Raises:
        ImageError: as `read_values` does, or the map holds 0 and 255 alone: a mask of one object.
    """
    values = read_values(path)
    void = values == VOID if values.dtype == np.uint8 else None
    ids = [int(i) for i in np.unique(values) if i > 0 and not (void is not None and i == VOID)]
    if not ids and void is not None and void.any():
        raise ImageError(f"{path}: no ids but {VOID}, which is void here: use --dataset folder for masks of one object")
    return [Target(f"{path.stem}#{i}", values == i, void) for i in ids]


def largest_component(mask: Mask) -> Mask:
    """Keep the largest 8-connected component of a mask.

    Args:
        mask: bool [H, W].

    Returns:
        bool [H, W]
    """
    count, numbered, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return mask
    component: Mask = numbered == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    return component


def region_mask(regions: RegionMap, region: int | str) -> Mask:
    """Draw the largest component of one region, or of everything labelled.

    Args:
        regions: int32 [H, W].
        region: its id, or "union".

    Returns:
        bool [H, W]
    """
    return largest_component(regions > 0 if region == "union" else regions == int(region))
