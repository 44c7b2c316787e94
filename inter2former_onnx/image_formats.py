"""Names of image files: by which suffixes pictures are found, and in which formats they are written.

Apart from images.py, so that the command line can tell them without importing numpy.
"""

from __future__ import annotations

# What a folder is searched for. `read_image` looks into a file, not at its name, and may read more than these.
READ_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".gif",
    ".ppm",
    ".pgm",
    ".jp2",
    ".avif",
    ".npy",
)

# Suffix -> Pillow's name of the format, for pictures that people look at. Beside these, `write_image` writes .npy.
PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
