"""The pictures to annotate: which files a folder offers, their sizes, and what a browser can show of them.

A picture is reached by its place in the list only, so no request can name a file. A picture may be a link, as for every
command (picture_folder.py). Its folder lies in the folder of the pictures, and so does the file, unless it was a link
out of it from the beginning: this is looked at again when the file is opened.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageError
from ..image_formats import READ_SUFFIXES
from ..images import RGBImage, check_pixel_count, open_image, range_in_words, read_stretched, used_range
from ..picture_folder import find_pictures
from ..sixteen_bits import is_dark, is_deep_colour
from ..wording import counted, listed
from .dataset import is_storable

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MAX_FILE_BYTES = 1 << 30
THUMBNAIL_SIDE = 240
_UNSTORABLE = "the name is not UTF-8, or reads as a path on another system"

# What every browser shows as `read_image` reads it, if it is upright, opaque and of 8 bits; the rest is converted.
_SHOWN_AS_IT_IS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_PLAIN_MODES = ("RGB", "L")
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Photo:
    """One picture.

    Attributes:
        root: the folder of the pictures.
        name: its path from `root` with slashes.
        leads_out: it was a link to a file outside `root` when the pictures were listed, so it may be one now.
    """

    root: Path
    name: str
    leads_out: bool = False

    @property
    def path(self) -> Path:
        """Where the file is.

        Raises:
            ImageError: it is no longer there, or leads out of the folder by now.
        """
        path = self.root / PurePosixPath(self.name)
        place = _place_within(path, self.root, self.leads_out)
        if place is None:
            raise ImageError(f"{path}: no longer a file in {self.root}")
        size = place.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImageError(f"{path}: {size} bytes, more than the {MAX_FILE_BYTES} that are read")
        return place

    def pixels(self) -> RGBImage:
        """Read the picture. One that uses few of its 16 bits is stretched to the range that it uses.

        Returns:
            uint8 [height, width, 3], RGB.

        Raises:
            ImageError: not a readable picture; see images.read_image.
        """
        return read_stretched(self.path)

    def note(self) -> str:
        """Say what a person should know of the picture before masks are made on it.

        Returns:
            The words; empty where there is nothing to say.

        Raises:
            ImageError: not a readable picture.
        """
        path = self.path
        if path.suffix.lower() == ".npy":
            return ""
        with _opened(path) as image:
            if not image.mode.startswith("I") and not is_deep_colour(image):
                return ""
        used = used_range(path)
        return f"{range_in_words(used)}, and is shown by that range" if used is not None and is_dark(used) else ""

    def size(self) -> tuple[int, int]:
        """Read the size of `pixels()` from the file's header.

        A PNG is read to its end: only there can it say that it lies on its side.

        Returns:
            (width, height) in pixels.

        Raises:
            ImageError: not a readable picture, or too large.
        """
        path = self.path
        if path.suffix.lower() == ".npy":
            height, width = self.pixels().shape[:2]
            return width, height
        with _opened(path) as image:
            width, height = image.size
            check_pixel_count(path, width, height)
            if image.getexif().get(_ORIENTATION, 1) not in (5, 6, 7, 8):
                return width, height
            if image.format in _SHOWN_AS_IT_IS:
                return height, width
        # With other formats it depends on Pillow's version whether the size is meant before or after turning.
        height, width = self.pixels().shape[:2]
        return width, height

    def for_browser(self) -> tuple[bytes, str]:
        """Make a file for the browser, which shows `pixels()`.

        Returns:
            The file's bytes, and its media type.

        Raises:
            ImageError: not a readable picture.
        """
        path = self.path
        lossy = False
        if path.suffix.lower() != ".npy":
            with _opened(path) as image:
                lossy = image.format == "JPEG"
                plain = image.mode in _PLAIN_MODES and not image.has_transparency_data and not is_deep_colour(image)
                if plain and image.getexif().get(_ORIENTATION, 1) == 1 and image.format in _SHOWN_AS_IT_IS:
                    return path.read_bytes(), _SHOWN_AS_IT_IS[image.format]
        return _encoded(self.pixels(), "JPEG" if lossy else "PNG")

    def thumbnail(self) -> tuple[bytes, str]:
        """Make a small JPEG of the picture.

        Returns:
            The file's bytes, and its media type.

        Raises:
            ImageError: not a readable picture.
        """
        from PIL import Image, ImageOps

        path = self.path
        bounds = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        if path.suffix.lower() != ".npy":
            with _opened(path) as image:
                if image.format == "JPEG" and image.mode in _PLAIN_MODES:
                    # The decoder leaves most of the work out; it may do so here, where nobody counts pixels.
                    image.draft("RGB", (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
                    small = ImageOps.exif_transpose(image).convert("RGB")
                    small.thumbnail(bounds)
                    return _encoded(np.asarray(small), "JPEG")
        reduced = Image.fromarray(self.pixels())
        reduced.thumbnail(bounds)
        return _encoded(np.asarray(reduced), "JPEG")


@dataclass(frozen=True)
class Gallery:
    """The pictures of `root` that are annotated in this run, in their order."""

    root: Path
    photos: tuple[Photo, ...] = field(repr=False)
    left_out: tuple[str, ...] = ()  # what could have been meant and is not among them, a line for each reason
    is_whole: bool = True  # these are all pictures of `root`

    @classmethod
    def open(cls, path: Path, without: Path | None = None) -> Gallery:
        """List a photograph, or all pictures in a folder and the folders in it, in the order people count.

        Args:
            path: the photograph or folder; see picture_folder.find_pictures.
            without: a folder of ours that may lie in it, not looked into.

        Raises:
            ImageError: there is no such file or folder, no picture in it, or a photograph whose name cannot be stored.
        """
        if not path.exists():
            raise ImageError(f"{path}: no such photograph or folder")
        if path.is_file():
            if path.suffix.lower() not in READ_SUFFIXES:
                raise ImageError(f"{path}: not an image file ({', '.join(sorted(READ_SUFFIXES))} are)")
            if not is_storable(path.name):
                raise ImageError(f"{path}: {_UNSTORABLE}; rename it")
            root = path.parent.resolve()
            return cls(root, (_photo(root, path.name),), is_whole=False)
        found = find_pictures(path, without)
        left_out = found.left_out
        unstorable = [name for name in found.names if not is_storable(name)]
        if unstorable:
            what = counted(len(unstorable), "picture")
            left_out = (*left_out, f"{what} left out, {_UNSTORABLE}; to be renamed: {listed(unstorable)}")
        names = sorted(set(found.names).difference(unstorable), key=_counted)
        if not names:
            kinds = ", ".join(sorted(READ_SUFFIXES))
            raise ImageError("; ".join((f"{path}: no pictures in this folder ({kinds})", *left_out)))
        return cls(found.root, tuple(_photo(found.root, name) for name in names), left_out)


def _counted(name: str) -> list[tuple[str, int]]:
    """Make a sorting key: photo2 before photo10."""
    return [(text.lower(), int(number or 0)) for text, number in re.findall(r"(\D*)(\d{0,18})", name)]


def _photo(root: Path, name: str) -> Photo:
    path = root / PurePosixPath(name)
    return Photo(root, name, path.is_symlink() and not path.resolve().is_relative_to(root))


def _place_within(path: Path, root: Path, may_lead_out: bool) -> Path | None:
    """Find the file that `path` leads to, if its folder is inside `root` (which is resolved), and so is the file.

    Args:
        path: of a picture.
        root: the folder of the pictures.
        may_lead_out: the file itself may be outside.
    """
    try:
        folder = path.parent.resolve(strict=True)
        place = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    inside = ".." not in path.parts and folder.is_relative_to(root)
    inside = inside and (may_lead_out or place.is_relative_to(root))
    return place if inside and place.is_file() else None


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    """Open a file with Pillow: its header is read, its pixels are not. What fails inside is an ImageError."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_image(path) as image:
                yield image
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # see images.py on what decoders raise
        raise ImageError(f"{path}: cannot be read as an image, is it complete? ({error})") from error


def _encoded(pixels: RGBImage, kind: str) -> tuple[bytes, str]:
    from PIL import Image

    stream = io.BytesIO()
    options = {"quality": 92} if kind == "JPEG" else {"compress_level": 1}
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue(), f"image/{kind.lower()}"
