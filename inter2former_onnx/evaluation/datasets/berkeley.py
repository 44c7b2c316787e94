"""Berkeley (McGuinness and O'Connor 2010, 100 objects on 96 images): `images/` and binary masks in `masks/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..masks import binary_object
from ..targets import Picture
from .pairs import pairs, subfolder


def pictures(folder: Path) -> Sequence[Picture]:
    """List the pictures of the data set in `folder`.

    Raises:
        ArgumentError: `folder` is not laid out so.
    """
    return pairs(subfolder(folder, "images", "img"), subfolder(folder, "masks", "gt"), binary_object)
