"""Which tokens get full attention and an expert of their own ("boundary" tokens), from the labels (docs/model.md 6)."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .box import Box
from .labels import UNKNOWN, Labels

RoutingMode = Literal["boundary", "roi"]
MODES: tuple[RoutingMode, ...] = get_args(RoutingMode)


def boundary_tokens(labels: Labels, kernel_size: int, patch: int = 16) -> NDArray[np.bool_]:
    """The exact rule for one region of interest: bool [rh, rw] for labels uint8 [patch * rh, patch * rw].

    A token is a boundary token if any of its pixels sees more than one label in its kernel_size x kernel_size window
    (reflected at the region's border), or if any of its pixels is unknown. Integers instead of windows: the
    windows of all pixels of a token together cover the token grown by kernel_size // 2 on each side and clipped to
    the region (what reflection adds at the border already lies inside), and they overlap so densely that one of them is
    mixed exactly when that grown square is: so the extremes of the labels over it decide.
    """
    reach = kernel_size // 2
    low = _windowed(np.minimum, labels, reach, patch)
    high = _windowed(np.maximum, labels, reach, patch)
    mixed: NDArray[np.bool_] = low != high
    # Not mixed: one label fills the whole token, so "any pixel unknown" is that label being unknown.
    mixed |= low == UNKNOWN
    return mixed


def _windowed(reduce: np.ufunc, labels: Labels, reach: int, patch: int) -> Labels:
    """Minimum or maximum of every token grown by `reach` pixels: uint8 [rh, rw]."""
    # Two passes over the same code: rows, then (transposed, made contiguous) columns.
    return _windowed_rows(reduce, _windowed_rows(reduce, labels, reach, patch).T, reach, patch).T


def _windowed_rows(reduce: np.ufunc, pixels: Labels, reach: int, patch: int) -> Labels:
    """Reduce axis 0 from pixels to tokens, each token seeing `reach` pixel rows of its two neighbours."""
    tokens = np.ascontiguousarray(pixels).reshape(pixels.shape[0] // patch, patch, pixels.shape[1])
    result: Labels = reduce.reduce(tokens, axis=1)
    # A window no wider than 2 * patch + 1 reaches no further than the next token.
    if reach and len(tokens) > 1:
        reduce(result[1:], reduce.reduce(tokens[:-1, patch - reach :], axis=1), out=result[1:])
        reduce(result[:-1], reduce.reduce(tokens[1:, :reach], axis=1), out=result[:-1])
    return result


def route(
    labels: Labels, region: Box, grid: tuple[int, int], mode: str, kernel_size: int, patch: int = 16
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token indices (row-major over the whole grid, ascending, int64) of the boundary route and of all others.

    `labels` uint8 is the region's part of the label map, `region` its box in pixels. Mode "boundary" is the exact
    rule; mode "roi" takes every token of the region, which is what the published code does in effect.
    """
    chosen = np.zeros(grid, dtype=np.bool_)
    rows = slice(region.top // patch, region.bottom // patch)
    columns = slice(region.left // patch, region.right // patch)
    chosen[rows, columns] = True if mode == "roi" else boundary_tokens(labels, kernel_size, patch)
    flat = chosen.ravel()
    # flatnonzero answers in intp, which is not int64 everywhere.
    boundary = np.flatnonzero(flat).astype(np.int64, copy=False)
    other = np.flatnonzero(np.logical_not(flat, out=flat)).astype(np.int64, copy=False)
    return boundary, other


def changed_tokens(touched: Box, grid: tuple[int, int], patch: int = 16) -> NDArray[np.int64]:
    """Token indices, ascending, whose prompt can change when the labels in `touched` (pixels) do.

    The prompt's four convolutions, 3 x 3 with stride 2, see patch - 1 pixels beyond a token's top left pixel on every
    side (docs/model.md 5).
    """
    rows = np.arange(touched.top // patch, min((touched.bottom + patch - 2) // patch + 1, grid[0]), dtype=np.int64)
    columns = np.arange(touched.left // patch, min((touched.right + patch - 2) // patch + 1, grid[1]), dtype=np.int64)
    return (rows[:, None] * grid[1] + columns).ravel()


def all_tokens(grid: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same pair with every token on the boundary route (dense runs, which are the yardstick for routed ones)."""
    return np.arange(grid[0] * grid[1], dtype=np.int64), np.empty(0, dtype=np.int64)
