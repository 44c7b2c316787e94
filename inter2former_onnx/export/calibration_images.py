"""Which photographs of a folder an 8-bit encoder is fitted to."""

from __future__ import annotations

import logging
from pathlib import Path

from ..errors import ArgumentError
from ..image_formats import READ_SUFFIXES, skipped_kinds
from ..images import read_image

MOST_IMAGES = 32

_LOG = logging.getLogger(__name__)


def calibration_images(folder: str | Path) -> list[Path]:
    """Choose photographs from a folder, evenly from their sorted names.

    Args:
        folder: what is in its subfolders does not count.

    Returns:
        At most MOST_IMAGES files. All are readable.

    Raises:
        ArgumentError: no folder, or no image in it.
        ImageError: one of the images cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArgumentError(f"calibration: {folder} is not a folder")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in READ_SUFFIXES)
    skipped = skipped_kinds(path.name for path in folder.iterdir())
    if not found:
        kinds, left_out = ", ".join(sorted(READ_SUFFIXES)), f"; {skipped}" if skipped else ""
        raise ArgumentError(f"calibration: no image in {folder} (looked for {kinds}){left_out}")
    if skipped:
        _LOG.warning("calibration: %s in %s", skipped, folder)
    count = min(len(found), MOST_IMAGES)
    chosen = [found[index * len(found) // count] for index in range(count)]
    for path in chosen:
        read_image(path)  # now, not after minutes of work
    return chosen
