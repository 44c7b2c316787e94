"""Which photographs of a folder an 8-bit encoder is fitted to."""

from __future__ import annotations

import logging
from pathlib import Path

from ..errors import ArgumentError
from ..image_formats import READ_SUFFIXES
from ..images import read_image
from ..picture_folder import find_pictures

MOST_IMAGES = 32

_LOG = logging.getLogger(__name__)


def calibration_images(folder: str | Path) -> list[Path]:
    """Choose photographs from a folder and those in it, evenly from their sorted names.

    Args:
        folder: see `find_pictures`.

    Returns:
        At most MOST_IMAGES files. All are readable.

    Raises:
        ArgumentError: no folder, or no image in it.
        ImageError: one of the images cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArgumentError(f"calibration: {folder} is not a folder")
    found = find_pictures(folder)
    if not found.names:
        nothing = f"calibration: no image in {folder} (looked for {', '.join(sorted(READ_SUFFIXES))})"
        raise ArgumentError("; ".join((nothing, *found.left_out)))
    for line in found.left_out:
        _LOG.warning("calibration: %s in %s", line, folder)
    count = min(len(found.names), MOST_IMAGES)
    chosen = [folder / found.names[index * len(found.names) // count] for index in range(count)]
    for path in chosen:
        read_image(path)  # now, not after minutes of work
    return chosen
