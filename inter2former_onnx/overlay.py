"""Pictures of a mask for people: the object tinted, its outline crisp, every click marked. Needs Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .runtime.click import Click

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]

TINT: Colour = (30, 144, 255)
TINT_OPACITY = 0.4
OUTLINE: Colour = (255, 255, 255)
OUTLINE_SHADOW: Colour = (0, 0, 0)
POSITIVE: Colour = (22, 163, 74)
NEGATIVE: Colour = (220, 38, 38)


def draw_overlay(image: Picture, mask: Mask, clicks: Sequence[Click]) -> Picture:
    """Draw a mask and clicks over an image.

    Positive clicks are green discs with a plus, negative ones red discs with a minus, numbered in their order from 1.
    The outline is two lines, light just inside the mask and dark just outside, so that it shows on any background.

    Args:
        image: uint8 [height, width, 3].
        mask: bool [height, width].
        clicks: in their order.

    Returns:
        A new array of the image's size.
    """
    picture = image.astype(np.float32)
    picture[mask] += TINT_OPACITY * (np.array(TINT, np.float32) - picture[mask])
    thickness = max(1, round(max(mask.shape) / 350))
    picture[_grow(mask, thickness) & ~mask] = OUTLINE_SHADOW
    picture[mask & _grow(~mask, thickness)] = OUTLINE
    radius = marker_radius(mask.shape)
    for click in clicks:
        _draw_marker(picture, click, radius)
    return _draw_numbers(np.rint(picture).astype(np.uint8), clicks, radius)


def marker_radius(shape: tuple[int, ...]) -> float:
    """Choose the radius of a click's disc: visible, and not in the way.

    Args:
        shape: (height, width) of the image.

    Returns:
        Pixels.
    """
    return max(3.0, max(shape) / 75)


def _grow(mask: Mask, steps: int) -> Mask:
    """Grow `mask` by `steps` pixels, diagonals and straight steps in turn (close to round)."""
    for step in range(steps):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        if step % 2:
            mask = grown.copy()
        grown[:, 1:] |= mask[:, :-1]
        grown[:, :-1] |= mask[:, 1:]
        mask = grown
    return mask


def _draw_marker(picture: NDArray[np.float32], click: Click, radius: float) -> None:
    """Draw one disc with its sign into `picture` (float32 [height, width, 3]), smooth, clipped at the border."""
    reach = int(np.ceil(radius)) + 3
    top, left = max(0, click.y - reach), max(0, click.x - reach)
    window = picture[top : click.y + reach + 1, left : click.x + reach + 1]
    rows = np.arange(top, top + window.shape[0], dtype=np.float32)[:, None] - click.y
    columns = np.arange(left, left + window.shape[1], dtype=np.float32)[None, :] - click.x
    distance = np.hypot(rows, columns)
    arm, half = 0.55 * radius, max(0.5, 0.13 * radius)
    bar = _inside(arm - np.abs(columns)) * _inside(half - np.abs(rows))
    post = _inside(arm - np.abs(rows)) * _inside(half - np.abs(columns))
    sign = np.maximum(bar, post) if click.positive else bar
    line = max(1.0, 0.16 * radius)
    _blend(window, _inside(radius + line - distance), OUTLINE)
    _blend(window, _inside(radius - distance), POSITIVE if click.positive else NEGATIVE)
    _blend(window, sign, OUTLINE)


def _inside(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn signed depth inside a shape, in pixels, into how much of a pixel the shape covers, 0 to 1."""
    return np.clip(depth + 0.5, 0.0, 1.0)


def _blend(window: NDArray[np.float32], cover: NDArray[np.float32], colour: Colour) -> None:
    window += cover[:, :, None] * (np.array(colour, np.float32) - window)


def _draw_numbers(picture: Picture, clicks: Sequence[Click], radius: float) -> Picture:
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(max(10.0, 2.3 * radius))
    stroke = max(1, round(radius / 6))
    height, width = picture.shape[:2]
    for number, click in enumerate(clicks, start=1):
        left, top, right, bottom = draw.textbbox((0, 0), str(number), font=font, stroke_width=stroke)
        # Right of the marker and a little above; on the other side where the picture ends.
        x = click.x + 1.3 * radius if click.x + 1.3 * radius + right <= width else click.x - 1.3 * radius - right
        y = min(max(click.y - 0.6 * radius - (top + bottom) / 2, -top), height - bottom)
        draw.text((x, y), str(number), fill="white", font=font, stroke_width=stroke, stroke_fill="black")
    return np.asarray(canvas)


def side_by_side(panels: Sequence[Picture], captions: Sequence[str]) -> Picture:
    """Put pictures of one size next to each other, each with its line of text above.

    Args:
        panels: uint8 [h, w, 3], all of one size.
        captions: a line for each.

    Returns:
        uint8 [height, width, 3]
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = panels[0].shape[:2]
    gap = max(2, width // 60)
    size = max(10.0, width / 28)
    strip = round(1.9 * size)
    canvas = Image.new("RGB", (gap + (width + gap) * len(panels), strip + height + gap), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        left = gap + (width + gap) * index
        draw.text((left, strip / 2), caption, fill="black", font=ImageFont.load_default(size), anchor="lm")
        canvas.paste(Image.fromarray(panel), (left, strip))
    return np.asarray(canvas)
