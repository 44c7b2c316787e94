"""Names of image files: by which suffixes pictures are found, and in which formats they are written.

Apart from images.py, so that the command line can tell them without importing numpy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import PurePath

# What phones write, read where this package is installed.
HEIF_SUFFIXES, HEIF_MODULE, HEIF_DISTRIBUTION = (".heic", ".heif"), "pillow_heif", "pillow-heif"

# What a folder is searched for. `read_image` looks into a file, not at its name, and may read more than these.
READ_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jfif",
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
    *(HEIF_SUFFIXES if find_spec(HEIF_MODULE) is not None else ()),
)

# Pictures, too, by their names, but not read. Those of a folder are counted and told, other files are nobody's loss.
_OTHER_PICTURES = {
    *HEIF_SUFFIXES,
    *(
        ".jpe",
        ".jfi",
        ".jif",
        ".hif",
        ".avifs",
        ".jxl",
        ".jpx",
        ".j2k",
        ".jpf",
        ".jxr",
        ".dib",
        ".apng",
        ".svg",
        ".eps",
    ),
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".raw"),
    *(".psd", ".psb", ".xcf", ".exr", ".hdr", ".tga", ".ico", ".pcx", ".pbm", ".pnm", ".pfm", ".dds"),
    *(".dcm", ".nii", ".mha", ".nrrd", ".czi", ".lif", ".nd2", ".svs", ".vsi", ".fits", ".pdf", ".djvu"),
}

# Suffix -> Pillow's name of the format, for pictures that people look at. Beside these, `write_image` writes .npy.
PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def skipped_kinds(names: Iterable[str], every: bool = False) -> str:
    """Say how many pictures of which kinds are not read: "skipped 3 .heic, 1 .dng".

    Args:
        names: of files; those that are read do not count.
        every: other files than pictures count, too.

    Returns:
        The words; empty where there is nothing to say.
    """
    suffixes = (PurePath(name).suffix.lower() for name in names)
    kinds = Counter(s for s in suffixes if s and s not in READ_SUFFIXES and (every or s in _OTHER_PICTURES))
    if not kinds:
        return ""
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0])))
    heif = any(kind in HEIF_SUFFIXES for kind in kinds)
    return f"skipped {listed}" + (
        f" ({HEIF_SUFFIXES[0]} is read where {HEIF_DISTRIBUTION} is installed)" if heif else ""
    )
