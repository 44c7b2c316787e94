"""DAVIS as interactive segmentation uses it (345 frames of Perazzi et al. 2016): `img/` and masks in `gt/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..masks import coloured_object
from ..targets import Picture
from .pairs import pairs, subfolder


def pictures(folder: Path) -> Sequence[Picture]:
    """List the pictures of the data set in `folder`.

    Raises:
        ArgumentError: `folder` is not laid out so.
    """
    return pairs(subfolder(folder, "img", "images"), subfolder(folder, "gt", "masks"), coloured_object)
