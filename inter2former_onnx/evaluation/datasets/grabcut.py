"""GrabCut (Rother et al. 2004, 50 images): `data_GT/` and trimaps in `boundary_GT/`, where 128 is void.

The copy that many repositories pass on has the same files in `img/` and `gt/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..masks import object_with_trimap
from ..targets import Picture
from .pairs import pairs, subfolder


def pictures(folder: Path) -> Sequence[Picture]:
    """List the pictures of the data set in `folder`.

    Raises:
        ArgumentError: `folder` is not laid out so.
    """
    return pairs(subfolder(folder, "data_GT", "img"), subfolder(folder, "boundary_GT", "gt"), object_with_trimap)
