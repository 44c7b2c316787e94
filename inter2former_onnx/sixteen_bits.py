"""Pictures of 16 bits a channel of which few are used: what range they use, and that range stretched to 8 bits.

Cameras and microscopes store 10 or 12 bits in files of 16. The high byte of such a picture, which is what 8 bits show,
is nearly black.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image, ImageFile

FULL_RANGE = 65535
DARK_BELOW = (FULL_RANGE + 1) // 8  # a picture whose largest value is below this reads as nearly black

Range = tuple[int, int]  # the smallest and the largest value

# Pillow keeps one byte of a 16-bit colour, the high one. The raw mode of the other byte order gives the low one.
_OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}" for mode in ("RGB", "RGBA") for order, other in (("B", "L"), ("L", "B"))
}
_NATIVE, _OTHER = ("L", "B") if sys.byteorder == "little" else ("B", "L")
_OTHER_BYTE |= {f"{mode};16N": f"{mode};16{_OTHER}" for mode in ("RGB", "RGBA")}


def is_dark(used: Range) -> bool:
    """Tell whether a picture that uses this range reads as nearly black. One of a single value does not count."""
    return used[0] < used[1] < DARK_BELOW


def is_deep_colour(image: ImageFile.ImageFile) -> bool:
    """Tell whether a file that Pillow has opened, and not loaded yet, has 16 bits in each channel of its colours."""
    if not image.tile:
        return False
    arguments = image.tile[0].args
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    if image.tile[0].codec_name in ("ppm", "ppm_plain"):
        return image.mode == "RGB" and isinstance(arguments, tuple) and int(arguments[1]) > 255
    return isinstance(first, str) and ";16" in first and not first.startswith("I;16")


def high_range(image: Image.Image) -> Range:
    """Find the range of 16-bit colours from their high bytes, the pixels of `image`; opacity does not count."""
    colours = [name not in ("A", "a") for name in image.getbands()]
    extrema: Any = image.getextrema()
    bands = (
        [extrema]
        if len(colours) == 1
        else [band for band, is_colour in zip(extrema, colours, strict=True) if is_colour]
    )
    return 256 * min(low for low, _ in bands), 256 * max(high for _, high in bands) + 255


def ask_for_low_bytes(image: ImageFile.ImageFile) -> bool:
    """Let a file that Pillow has opened, and not loaded yet, give the low bytes of its 16-bit colours.

    Returns:
        Whether this kind of file can.
    """
    tiles = []
    for tile in image.tile:
        raw, *others = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if raw not in _OTHER_BYTE:
            return False
        tiles.append(tile._replace(args=(_OTHER_BYTE[raw], *others) if others else _OTHER_BYTE[raw]))
    image.tile = tiles
    return bool(tiles)


def stretch(values: NDArray[np.integer], used: Range) -> NDArray[np.uint8]:
    """Bring a range of values to 0 ... 255.

    Args:
        values: of any shape.
        used: what becomes 0 and 255; what lies beside is cut.
    """
    low, high = used
    scaled = (values.astype(np.float32) - low) * (255 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
