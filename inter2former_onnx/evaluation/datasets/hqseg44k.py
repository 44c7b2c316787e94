"""The four evaluation sets of HQSeg-44K (Ke et al., Segment Anything in High Quality, 2023), 1537 images.

    DIS5K/DIS-VD/{im,gt}                                     470
    thin_object_detection/COIFT/{images,masks}               280
    thin_object_detection/HRSOD/{images,masks_max255}        287
    thin_object_detection/ThinObject5K/{images_test,masks_test}  500

Every pixel above 0 is object, as in the published evaluation code of Inter2Former.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..masks import coloured_object
from ..targets import Picture
from .pairs import pairs, subfolder


def pictures(folder: Path) -> Sequence[Picture]:
    """List the pictures of all four sets one after the other, names with their set in front.

    Raises:
        ArgumentError: one of them is not there.
    """
    sets = {"DIS-VD": dis_vd, "COIFT": coift, "HRSOD": hrsod, "ThinObject5K": thinobject5k}
    return [replace(p, name=f"{name}/{p.name}") for name, read in sets.items() for p in read(folder)]


def dis_vd(folder: Path) -> Sequence[Picture]:
    """List the pictures of DIS-VD; `folder` is HQSeg-44K's or the set's own, here and in what follows.

    Raises:
        ArgumentError: `folder` is not laid out so.
    """
    own = _own(folder, "DIS5K/DIS-VD")
    return pairs(subfolder(own, "im"), subfolder(own, "gt"), coloured_object)


def coift(folder: Path) -> Sequence[Picture]:
    """List the pictures of COIFT.

    Raises:
        ArgumentError: `folder` is not laid out so.
    """
    own = _own(folder, "thin_object_detection/COIFT")
    return pairs(subfolder(own, "images"), subfolder(own, "masks"), coloured_object)


def hrsod(folder: Path) -> Sequence[Picture]:
    """List the pictures of HRSOD.

    Raises:
        ArgumentError: `folder` is not laid out so.
    """
    own = _own(folder, "thin_object_detection/HRSOD")
    return pairs(subfolder(own, "images"), subfolder(own, "masks_max255"), coloured_object)


def thinobject5k(folder: Path) -> Sequence[Picture]:
    """List the pictures of ThinObject5K's test part.

    Raises:
        ArgumentError: `folder` is not laid out so.
    """
    own = _own(folder, "thin_object_detection/ThinObject5K")
    return pairs(subfolder(own, "images_test"), subfolder(own, "masks_test"), coloured_object)


def _own(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_dir() else folder
