"""Image files: reading one the way a person sees it (upright, in colour, 8 bits a channel), and writing results.

* EXIF orientation is applied: rows and columns are those of the picture as viewers show it.
* Grey becomes RGB; palettes are resolved; CMYK is converted.
* Transparent pixels are composited over white, as a page would show them: what lies hidden under them is not looked at.
* 16-bit channels keep their high byte (65535 -> 255), so a 16-bit copy of an 8-bit image reads as that image. A picture
  that uses less than an eighth of its 16 bits, as 12-bit cameras write them, is nearly black then: `read_image` warns,
  `read_stretched` brings the range that it uses to 0 ... 255.
* Of an animation or a multi-page file, the first frame. Embedded colour profiles are not applied.

Images of more than half a gigabyte in memory are refused; INTER2FORMER_MAX_PIXELS sets another limit.

`.npy` files (uint8, height x width x 3, RGB) are read with numpy alone; everything else needs Pillow (extra `[image]`),
and HEIC pillow-heif beside it.
"""

from __future__ import annotations

import logging
import os
import struct
import warnings
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from . import sixteen_bits
from .errors import ArgumentError, ImageError
from .extras import missing, require
from .image_formats import HEIF_DISTRIBUTION, HEIF_MODULE, PICTURE_FORMATS
from .sixteen_bits import FULL_RANGE, Range, is_dark

if TYPE_CHECKING:
    from PIL import Image
    from PIL import ImageFile as PillowFile

RGBImage = NDArray[np.uint8]

_LOG = logging.getLogger(__name__)
_ORIENTATION = 0x0112

# A file of some kilobytes can claim any size; this many pixels are half a gigabyte in memory. Pillow's own limit.
MAX_PIXELS = 2 * (1024**3 // 4 // 3)
MAX_PIXELS_VARIABLE = "INTER2FORMER_MAX_PIXELS"


def max_pixels() -> int:
    """Read how many pixels an image may have: MAX_PIXELS, or what INTER2FORMER_MAX_PIXELS says.

    Raises:
        ArgumentError: the variable is no whole number from 1.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "")
    if not text:
        return MAX_PIXELS
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
        raise ArgumentError(f"{MAX_PIXELS_VARIABLE}={text[:60]}: expected a whole number of pixels, 1 or more")
    return int(text)


def open_image(path: Path) -> PillowFile.ImageFile:
    """Open an image file with Pillow, under our limit of pixels.

    Where INTER2FORMER_MAX_PIXELS asks for more than Pillow allows, Pillow's own limit is raised, for the whole process.

    Args:
        path: the file.

    Returns:
        What `PIL.Image.open` returns; pixels are not read yet.

    Raises:
        Exception: whatever Pillow raises.
    """
    from PIL import Image, UnidentifiedImageError

    limit, pillows = max_pixels(), Image.MAX_IMAGE_PIXELS
    if pillows is not None and limit > 2 * pillows:  # it warns above its limit and refuses above twice
        Image.MAX_IMAGE_PIXELS = (limit + 1) // 2
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        if not _looks_like_heif(path):
            raise
        if missing(HEIF_MODULE):
            raise ImageError(f"{path}: a HEIC picture, which is read where {HEIF_DISTRIBUTION} is installed") from None
        import_module(HEIF_MODULE).register_heif_opener()
        return Image.open(path)


def _looks_like_heif(path: Path) -> bool:
    """Tell whether a file is of the family that phones write, by its first box."""
    with path.open("rb") as stream:
        head = stream.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in (
        b"heic",
        b"heix",
        b"heim",
        b"heis",
        b"hevc",
        b"hevx",
        b"mif1",
        b"msf1",
    )


@dataclass(frozen=True)
class ImageFile:
    """What an image file holds.

    Attributes:
        pixels: C-contiguous uint8 [height, width, 3], RGB, upright.
        orientation: EXIF's word for how the stored pixels were turned to be upright; 1: not at all.
        used: smallest and largest value of a picture of 16 bits a channel; None for those of 8.
    """

    pixels: RGBImage
    orientation: int = 1
    used: Range | None = None

    @property
    def is_dark(self) -> bool:
        """Whether its high bytes alone are nearly black."""
        return self.used is not None and is_dark(self.used)


def read_image(path: str | Path) -> RGBImage:
    """Read an image file, and warn of one that is nearly black because it uses few of its 16 bits.

    Args:
        path: of any kind that Pillow reads, or .npy.

    Returns:
        C-contiguous uint8 [height, width, 3], RGB.

    Raises:
        ImageError: missing, unreadable, truncated, too large or of a kind that has no plain 8-bit reading; the message
            names the file.
        MissingDependencyError: it needs Pillow and Pillow is not installed.
        ArgumentError: INTER2FORMER_MAX_PIXELS is no number.
    """
    file = read_image_file(path)
    if file.used is not None and file.is_dark:
        _LOG.warning("%s: %s, so it reads as nearly black; store its full range", path, range_in_words(file.used))
    return file.pixels


def read_stretched(path: str | Path) -> RGBImage:
    """Read an image file as `read_image` does; if it uses few of its 16 bits, with the range that it uses as 0 ... 255.

    Raises:
        As `read_image` does.
    """
    return read_image_file(path, stretched=True).pixels


def used_range(path: str | Path) -> Range | None:
    """Find the range that a picture of 16 bits a channel uses.

    Returns:
        Its smallest and largest value; None for a picture of 8 bits.

    Raises:
        As `read_image` does.
    """
    return read_image_file(path).used


def range_in_words(used: Range) -> str:
    """Say what `used_range` found, for a message."""
    return f"of 16 bits (0 to {FULL_RANGE}) it uses {used[0]} to {used[1]}"


def read_image_file(path: str | Path, stretched: bool = False) -> ImageFile:
    """Read an image file and what is to be known of it.

    Args:
        path: of any kind that Pillow reads, or .npy.
        stretched: bring the range of a picture that uses few of its 16 bits to 0 ... 255.

    Raises:
        As `read_image` does.
    """
    path = Path(path)
    max_pixels()  # a limit that is none is not this image's fault
    if path.is_dir():
        raise ImageError(f"{path}: a folder, not an image file")
    if not path.exists():
        raise ImageError(f"{path}: no such image file")
    if path.suffix.lower() == ".npy":
        return ImageFile(_read_npy(path))
    require("image", "PIL")
    return _read_with_pillow(path, stretched)


def _read_npy(path: Path) -> RGBImage:
    try:
        # Mapped, so that a header that claims a huge shape is held against the file's size before memory is asked for.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f"{path}: not a readable .npy file of numbers ({error})") from error
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(
            f"{path}: found {array.dtype} of shape {list(array.shape)}, expected uint8 [height, width, 3] in RGB order"
        )
    check_pixel_count(path, array.shape[1], array.shape[0])
    return np.array(array, order="C")


def _read_with_pillow(path: Path, stretched: bool) -> ImageFile:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow's remarks (large image, damaged metadata) come on several lines and are no errors.
            warnings.simplefilter("ignore")
            with open_image(path) as image:
                check_pixel_count(path, *image.size)
                deep = sixteen_bits.is_deep_colour(image)
                # Pillow turns TIFF files while it loads them; PNG files have their metadata after the pixels.
                orientation = exif_orientation(image) if image.format == "TIFF" else 0
                image.load()
                orientation = orientation or exif_orientation(image)
                picture = _upright(image)
            values, used = _values_of_16_bits(path, picture, deep)
            if stretched and values is not None and used is not None and is_dark(used):
                picture = _with_values(picture, sixteen_bits.stretch(values, used))
            return ImageFile(_to_rgb(path, picture), orientation, used)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: too large to read, see {MAX_PIXELS_VARIABLE} ({error})") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not an image file of a known format") from error
    except MemoryError:
        raise
    # Decoders meet damage with OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError and more.
    except Exception as error:
        raise ImageError(f"{path}: cannot be read as an image, is it complete? ({error})") from error


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, KeyError, struct.error):
        return image  # metadata that cannot be parsed says nothing about the orientation; the pixels are whole


def exif_orientation(image: Image.Image) -> int:
    """Read how a file's stored pixels are to be turned: EXIF's 1 to 8, 1 (not at all) where it does not say."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, KeyError, struct.error):
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _values_of_16_bits(path: Path, image: Image.Image, deep: bool) -> tuple[NDArray[Any] | None, Range | None]:
    """Look at the values behind a picture's pixels.

    Args:
        path: read again where the range cannot be told from the pixels.
        image: upright.
        deep: it has colours of 16 bits, of which `image` has the high bytes.

    Returns:
        The values [height, width] or [height, width, 3], where they are at hand, and their range; None and
        None for 8 bits.
    """
    if image.mode.startswith("I"):
        values = _grey_values(path, image)
        return values, (int(values.min()), int(values.max()))
    if not deep:
        return None, None
    used = sixteen_bits.high_range(image)
    if not is_dark(used):
        return None, used
    high = np.asarray(image.convert("RGB")).astype(np.uint16)
    with open_image(path) as again:
        if not sixteen_bits.ask_for_low_bytes(again):
            return high * 257, used
        again.load()
        values = high * 256 + np.asarray(_upright(again).convert("RGB"))
    return values, (int(values.min()), int(values.max()))


def _with_values(image: Image.Image, values: NDArray[np.uint8]) -> Image.Image:
    """Give a picture other greys or colours; its opacity stays."""
    from PIL import Image as PillowImage

    changed = PillowImage.fromarray(values)
    if image.has_transparency_data and not image.mode.startswith("I"):
        changed.putalpha(image.convert("RGBA").getchannel("A"))
    return changed


def check_pixel_count(path: Path, width: int, height: int) -> None:
    """Refuse an image without pixels, or with more than are read.

    Args:
        path: named in the message.
        width, height: in pixels.

    Raises:
        ImageError: it is one of these.
    """
    limit = max_pixels()
    if width * height > limit:
        raise ImageError(
            f"{path}: {width} x {height} pixels, more than the {limit} that are read ({MAX_PIXELS_VARIABLE})"
        )
    if width * height == 0:
        raise ImageError(f"{path}: an image without pixels ({width} x {height})")


def _to_rgb(path: Path, image: Image.Image) -> RGBImage:
    """Convert any mode that Pillow opens to uint8 [height, width, 3]."""
    if image.mode == "F":
        raise ImageError(f"{path}: floating-point pixels have no fixed range; store it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        from PIL import Image as PillowImage

        image = PillowImage.fromarray((_grey_values(path, image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        from PIL import Image as PillowImage

        layer = image.convert("RGBA")
        image = PillowImage.alpha_composite(PillowImage.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"), dtype=np.uint8, order="C")


def _grey_values(path: Path, image: Image.Image) -> NDArray[Any]:
    """Give the values of 16-bit grey: modes I;16, I;16B, and I, in which some Pillow versions open it."""
    values: NDArray[Any] = np.asarray(image)
    if values.min() < 0 or values.max() > FULL_RANGE:
        raise ImageError(
            f"{path}: grey values from {values.min()} to {values.max()}; at most 16 bits (0 to 65535) are read"
        )
    return values


def write_image(stream: BinaryIO, array: RGBImage | NDArray[np.bool_], suffix: str) -> None:
    """Write a picture or a mask.

    Args:
        stream: where to.
        array: a picture, uint8 [height, width, 3], or a mask, bool [height, width].
        suffix: says the format: `.npy` keeps the array as it is and needs no Pillow; in those of PICTURE_FORMATS a mask
            becomes 0 and 255.
    """
    suffix = suffix.lower()
    if suffix == ".npy":
        np.save(stream, array)
        return
    from PIL import Image

    pixels = np.where(array, np.uint8(255), np.uint8(0)) if array.dtype == np.bool_ else array
    Image.fromarray(pixels).save(stream, PICTURE_FORMATS[suffix], quality=92)
