"""A plain folder: `images/`, and binary masks of the same names (or NAME_1, NAME_2, ...) in `masks/`."""

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
    return pairs(subfolder(folder, "images"), subfolder(folder, "masks"), binary_object)
