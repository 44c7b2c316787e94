"""Images and masks that belong together by their file names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ...errors import ArgumentError
from ...image_formats import READ_SUFFIXES, skipped_kinds
from ...picture_folder import is_results_folder
from ..targets import Picture, Target, missing

_LOG = logging.getLogger(__name__)

MaskReader = Callable[[Path], Sequence[Target]]

SEPARATORS = "_-#"  # between an image's name and the number of one of its masks


def subfolder(root: Path, *names: str) -> Path:
    """Find the first of the folders `names` that is in `root`.

    Raises:
        ArgumentError: there is none.
    """
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise ArgumentError(f"{root}: expected a folder {' or '.join(names)} in it, found none")


def files(folder: Path) -> list[Path]:
    """List the pictures of a folder in the order of their names, and say which kinds of files were skipped.

    Hidden files are not meant (Thumbs.db counts as hidden). Files without a suffix are among the pictures, and links to
    nowhere: they are reported as broken when it is their turn.
    """
    there = [p for p in folder.iterdir() if not p.is_dir() and not p.name.startswith(".") and p.name != "Thumbs.db"]
    if skipped := skipped_kinds((path.name for path in there), every=True):
        _LOG.warning("%s: %s", folder, skipped)
    return sorted(path for path in there if not path.suffix or path.suffix.lower() in READ_SUFFIXES)


def pairs(images: Path, masks: Path, read: MaskReader) -> list[Picture]:
    """Pair each image with the mask of the same name, whatever the endings, or with several named NAME_1, NAME#2, ...

    What has no counterpart is kept: the picture says so when it is read, and is counted as broken.

    Args:
        images, masks: the two folders.
        read: gives the objects of a mask file.

    Raises:
        ArgumentError: no images, or results of this program in their place.
    """
    if is_results_folder(images):
        raise ArgumentError(f"{images}: expected photographs, found results of this program")
    pictures = {path.stem: path for path in files(images)}
    if not pictures:
        raise ArgumentError(f"{images}: no image in this folder")
    own: dict[str, list[Path]] = {stem: [] for stem in pictures}
    lost: list[Path] = []
    for path in files(masks):
        image = next((stem for stem in _owners(path.stem) if stem in pictures), None)
        (lost if image is None else own[image]).append(path)
    found = [Picture(stem, pictures[stem], _reader(images / stem, masks, own[stem], read)) for stem in pictures]
    return found + [
        Picture(path.stem, path, partial(missing, f"{path}: no image of this name in {images}")) for path in lost
    ]


def _owners(stem: str) -> list[str]:
    """List the names that the image of a mask `stem` may have: its own, or what stands before a number."""
    head = stem.rstrip("0123456789")
    numbered = head != stem and len(head) > 1 and head[-1] in SEPARATORS
    return [stem, head[:-1]] if numbered else [stem]


def _reader(image: Path, masks: Path, own: list[Path], read: MaskReader) -> Callable[[], Sequence[Target]]:
    if not own:
        return partial(missing, f"{image}: no mask of this name in {masks}")
    return partial(read_all, tuple(own), read)


def read_all(paths: Sequence[Path], read: MaskReader) -> list[Target]:
    """Read the objects of several annotation files of one picture."""
    return [target for path in paths for target in read(path)]
