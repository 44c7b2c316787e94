"""Between an image of H x W pixels and the model's: where clicks land, how logits come back (docs/model.md 1).

The encoder pads the image at the bottom and right to multiples of `divisor`, then to a square of side S, and resizes
that to T x T. In mode `square` that is the model's input; in mode `fit` its upper left part, the whole tokens that the
image reaches. Back: bilinear T -> S, cropped to H x W; what the model did not compute is like its nearest pixel.
"Bilinear" is with half-pixel centres and without antialiasing, as
torch.nn.functional.interpolate(mode="bilinear", align_corners=False) computes it in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from .box import Box, whole

Floats = NDArray[np.float32]
Masks = NDArray[np.bool_]

PATCH_SIZE = 16  # side of a token in model pixels; the prompt convolutions and the upsampling levels are tied to 2**4

GeometryMode = Literal["square", "fit"]
MODES: tuple[GeometryMode, ...] = get_args(GeometryMode)

# Rows of the output made at a time: small enough that a chunk stays in the processor's cache.
_CHUNK_ROWS = 32


class _Axis(NamedTuple):
    """Per output index: the two source indices and their weights (float32), for one axis of a bilinear resize."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    first_weight: Floats
    second_weight: Floats

    def influenced(self, start: int, stop: int) -> tuple[int, int]:
        """Find the half-open range of output indices that read any source index in start..stop-1."""
        return int(np.searchsorted(self.second, start)), int(np.searchsorted(self.first, stop))


def bilinear_axis(source: int, target: int, count: int, known: int | None = None) -> _Axis:
    """Plan the first outputs of a bilinear resize along one axis.

    Args:
        source, target: numbers of samples before and after.
        count: how many outputs are wanted.
        known: of the source only the first `known` samples exist (by default all): the last stands for the rest.
    """
    known = source if known is None else known
    # The rounding of torch's compiled code: scale in float32, then a fused multiply-add. It matters: at index 1000 one
    # rounding more moves the result by 3e-5 of the step between neighbours, and at the box's edge that step is 100.
    scale = np.float32(source) / np.float32(target)
    position = (np.float64(scale) * (np.arange(count) + 0.5) - 0.5).astype(np.float32)
    np.maximum(position, np.float32(0.0), out=position)
    first = position.astype(np.intp)
    np.minimum(first, known - 1, out=first)
    second_weight = np.clip(position - first.astype(np.float32), np.float32(0.0), np.float32(1.0))
    return _Axis(first, np.minimum(first + 1, known - 1), np.float32(1.0) - second_weight, second_weight)


class Geometry:
    """The mapping for one image size. Immutable; the tables are made on first use.

    Attributes:
        height, width: of the image in pixels.
        size: T.
        square: S.
        scale: T / S, model pixels per pixel of the image.
        grid: rows and columns of tokens that the model computes.
        extent: (height, width) of the model's input and of label maps, in model pixels.
    """

    def __init__(self, height: int, width: int, size: int, divisor: int, mode: str = "square") -> None:
        """Work out the mapping.

        Args:
            height, width: of the image in pixels.
            size: T, side of the square that the model gets, a multiple of PATCH_SIZE.
            divisor: of S, the side of the padded square.
            mode: one of MODES.
        """
        self.height = height
        self.width = width
        self.size = size
        self.square = max(-(-height // divisor), -(-width // divisor)) * divisor
        self.scale = size / self.square
        if mode == "fit":
            pixels = PATCH_SIZE * self.square
            self.grid = -(-height * size // pixels), -(-width * size // pixels)
        else:
            self.grid = size // PATCH_SIZE, size // PATCH_SIZE
        self.extent = self.grid[0] * PATCH_SIZE, self.grid[1] * PATCH_SIZE

    def model_pixel(self, row: int, column: int) -> tuple[int, int]:
        """Find the model pixel (row, column) on which a pixel of the original image lands."""
        return int(self.scale * row), int(self.scale * column)

    @cached_property
    def model_rows(self) -> NDArray[np.intp]:
        """`model_pixel` of every row of the image: intp [H], ascending."""
        return (np.arange(self.height) * self.scale).astype(np.intp)

    @cached_property
    def model_columns(self) -> NDArray[np.intp]:
        """`model_pixel` of every column of the image: intp [W], ascending."""
        return (np.arange(self.width) * self.scale).astype(np.intp)

    @cached_property
    def image_rows(self) -> NDArray[np.intp]:
        """The row of the image that every row of the label map shows: intp, ascending.

        There are fewer than `extent` has rows where the last ones show padding.
        """
        return self._origins(self.height, self.extent[0])

    @cached_property
    def image_columns(self) -> NDArray[np.intp]:
        """The column of the image that every column of the label map shows; see `image_rows`."""
        return self._origins(self.width, self.extent[1])

    def _origins(self, pixels: int, model_pixels: int) -> NDArray[np.intp]:
        origins = (np.arange(model_pixels) / self.scale).astype(np.intp)
        return origins[origins < pixels]

    def original_box(self, box: Box) -> Box:
        """Find the pixels of the original image that land on a model pixel inside `box`."""
        return Box(
            int(np.searchsorted(self.model_columns, box.left)),
            int(np.searchsorted(self.model_rows, box.top)),
            int(np.searchsorted(self.model_columns, box.right)),
            int(np.searchsorted(self.model_rows, box.bottom)),
        )

    def mask(self, logits: Floats, positive: Masks, box: Box, outside: float) -> Masks:
        """Bring a prediction to the original image as a mask.

        Args:
            logits, box: as for `logits`.
            positive: `logits > 0` (the caller has it already).
            outside: as for `logits`; must be negative.

        Returns:
            bool [H, W]: logits > 0 in the original image.
        """
        result = np.zeros((self.height, self.width), dtype=np.bool_)
        if self.square == self.size:
            rows, columns = self._visible(box)
            result[rows, columns] = positive[: rows.stop - rows.start, : columns.stop - columns.start]
            return result
        # Only where some model pixel is positive can a blend of its neighbours be.
        around = _around(positive)
        if around is None:
            return result
        around_box = Box(box.left + around.left, box.top + around.top, box.left + around.right, box.top + around.bottom)
        for rows, columns, values in self._chunks(logits[around.slices], around_box, outside):
            np.greater(values, 0.0, out=result[rows, columns])
        return result

    def logits(self, logits: Floats, box: Box, outside: float) -> Floats:
        """Bring a prediction's logits to the original image.

        Args:
            logits: float32 [box.height, box.width].
            box: where they lie, in model pixels.
            outside: what all model pixels outside `box` hold.

        Returns:
            float32 [H, W].
        """
        result = np.full((self.height, self.width), outside, dtype=np.float32)
        if self.square == self.size:
            rows, columns = self._visible(box)
            result[rows, columns] = logits[: rows.stop - rows.start, : columns.stop - columns.start]
            return result
        for rows, columns, values in self._chunks(logits, box, outside):
            result[rows, columns] = values
        return result

    def _visible(self, box: Box) -> tuple[slice, slice]:
        """The part of `box` that is image, not padding, when model pixels are the image's own (S == T)."""
        return (
            slice(box.top, max(min(box.bottom, self.height), box.top)),
            slice(box.left, max(min(box.right, self.width), box.left)),
        )

    def _chunks(self, logits: Floats, box: Box, outside: float) -> Iterator[tuple[slice, slice, Floats]]:
        """Pieces of the resized logits that cover all that `box` influences. A piece is overwritten by the next."""
        top, bottom = self._row_axis.influenced(box.top, box.bottom)
        left, right = self._column_axis.influenced(box.left, box.right)
        if top >= bottom or left >= right:  # the box lies in the padding
            return
        framed = _framed(logits, box, whole(*self.extent), outside)
        columns = slice(left, right)
        yield from _resize(
            framed.logits,
            _shifted(self._row_axis, top, bottom, framed.top),
            _shifted(self._column_axis, left, right, framed.left),
            top,
            columns,
        )

    @cached_property
    def _row_axis(self) -> _Axis:
        return bilinear_axis(self.size, self.square, self.height, self.extent[0])

    @cached_property
    def _column_axis(self) -> _Axis:
        return bilinear_axis(self.size, self.square, self.width, self.extent[1])


def _around(positive: Masks) -> Box | None:
    """Bounding box of the true pixels with one pixel more on each side (clipped); None when there are none."""
    rows = np.flatnonzero(positive.any(axis=1))
    if rows.size == 0:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(positive[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    height, width = positive.shape
    return Box(max(left - 1, 0), max(top - 1, 0), min(right + 1, width), min(bottom + 1, height))


class _Framed(NamedTuple):
    logits: Floats
    top: int
    left: int


def _framed(logits: Floats, box: Box, limits: Box, outside: float) -> _Framed:
    """The box's logits with one pixel of what lies around it, where the map has anything there."""
    top, left = int(box.top > limits.top), int(box.left > limits.left)
    bottom, right = int(box.bottom < limits.bottom), int(box.right < limits.right)
    framed = np.empty((box.height + top + bottom, box.width + left + right), dtype=np.float32)
    if top:
        framed[0] = outside
    if bottom:
        framed[-1] = outside
    if left:
        framed[:, 0] = outside
    if right:
        framed[:, -1] = outside
    framed[top : top + box.height, left : left + box.width] = logits
    return _Framed(framed, box.top - top, box.left - left)


def _shifted(axis: _Axis, start: int, stop: int, origin: int) -> _Axis:
    """Outputs start..stop-1 of an axis whose source begins at index `origin`."""
    return _Axis(
        axis.first[start:stop] - origin,
        axis.second[start:stop] - origin,
        axis.first_weight[start:stop],
        axis.second_weight[start:stop],
    )


def _resize(
    source: Floats, rows: _Axis, columns: _Axis, top: int, column_slice: slice
) -> Iterator[tuple[slice, slice, Floats]]:
    """Bilinear resize, `_CHUNK_ROWS` output rows at a time: columns of the source rows needed, then rows."""
    count = len(rows.first)
    for start in range(0, count, _CHUNK_ROWS):
        stop = min(start + _CHUNK_ROWS, count)
        low = int(rows.first[start])
        strip = source[low : int(rows.second[stop - 1]) + 1]
        strip = _blend(strip, columns.first, columns.second, columns.first_weight, columns.second_weight, axis=1)
        values = _blend(
            strip,
            rows.first[start:stop] - low,
            rows.second[start:stop] - low,
            rows.first_weight[start:stop, None],
            rows.second_weight[start:stop, None],
            axis=0,
        )
        yield slice(top + start, top + stop), column_slice, values


def _blend(
    source: Floats,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    first_weight: Floats,
    second_weight: Floats,
    axis: int,
) -> Floats:
    result = source.take(first, axis=axis)
    result *= first_weight
    neighbour = source.take(second, axis=axis)
    neighbour *= second_weight
    result += neighbour
    return result


def reduced(logits: Floats, factor: int) -> Floats:
    """Resize bilinearly to 1/factor of each side.

    Args:
        logits: float32 [h, w] with h and w multiples of `factor`.
        factor: even.
    """
    # A sample's centre lies between the two middle rows (and columns) of the factor x factor pixels it stands for.
    first, second = factor // 2 - 1, factor // 2
    rows = logits[first::factor] + logits[second::factor]
    return (rows[:, first::factor] + rows[:, second::factor]) * np.float32(0.25)


def enlarged_positive(logits: Floats, factor: int) -> Masks:
    """Find where logits, resized bilinearly to `factor` times each side, are > 0.

    Args:
        logits: float32 [h, w].
        factor: a whole number.

    Returns:
        bool [factor * h, factor * w].
    """
    height, width = logits.shape
    rows = bilinear_axis(height, factor * height, factor * height)
    columns = bilinear_axis(width, factor * width, factor * width)
    result = np.empty((factor * height, factor * width), dtype=np.bool_)
    for row_slice, column_slice, values in _resize(logits, rows, columns, 0, slice(0, factor * width)):
        np.greater(values, 0.0, out=result[row_slice, column_slice])
    return result
