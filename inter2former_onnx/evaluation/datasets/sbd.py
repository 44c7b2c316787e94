"""SBD (Hariharan et al. 2011; 2857 images and 6671 objects in its val part): `img/`, `inst/*.mat` and `val.txt`.

Needs scipy (extra `[eval]`) for the .mat files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import ArgumentError, ImageError
from ...extras import require
from ..targets import Picture, Target
from .pairs import subfolder


def pictures(folder: Path) -> Sequence[Picture]:
    """List the pictures of the val part.

    Args:
        folder: of the data set, or the unpacked archive (`benchmark_RELEASE/`), or the folder that holds it.

    Raises:
        ArgumentError: not laid out so.
        MissingDependencyError: scipy is not installed.
    """
    require("eval", "scipy")
    root = next((p for p in (folder / "benchmark_RELEASE/dataset", folder / "dataset") if p.is_dir()), folder)
    images, annotations, names = subfolder(root, "img"), subfolder(root, "inst"), root / "val.txt"
    try:
        stems = names.read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{names}: expected a name of an image on each line ({error})") from None
    if not stems:
        raise ArgumentError(f"{names}: no names in it")
    return [Picture(stem, images / f"{stem}.jpg", partial(instances, annotations / f"{stem}.mat")) for stem in stems]


def instances(path: Path) -> Sequence[Target]:
    """Read the objects of one `inst/*.mat`: GTinst.Segmentation holds 0 and the number of each object.

    Raises:
        ImageError: missing, damaged or without that.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise ImageError(f"{path}: no such file")
    try:
        numbers = loadmat(path)["GTinst"]["Segmentation"][0, 0]
    except Exception as error:  # scipy meets damage with errors of many kinds
        raise ImageError(f"{path}: no GTinst.Segmentation in it, is it complete? ({error})") from error
    void = numbers == 255
    return [Target(f"{path.stem}#{i}", numbers == i, void) for i in np.unique(numbers).tolist() if 0 < i < 255]
