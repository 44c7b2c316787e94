"""Which tokens get full attention and an expert of their own ("boundary" tokens), from the labels (docs/model.md 6)."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .box import Box
from .geometry import PATCH_SIZE
from .labels import UNKNOWN, Labels

RoutingMode = Literal["boundary", "roi"]
MODES: tuple[RoutingMode, ...] = get_args(RoutingMode)


def boundary_tokens(labels: Labels, kernel_size: int) -> NDArray[np.bool_]:
    """Apply the exact rule to one region of interest: bool [rh, rw] for labels uint8 [16 rh, 16 rw].

    A token is a boundary token if any of its pixels sees more than one label in its kernel_size x kernel_size window
    (reflected at the region's border), or if any of its pixels is unknown. Integers instead of windows: the
    windows of all pixels of a token together cover the token grown by kernel_size // 2 on each side and clipped to
    the region (what reflection adds at the border already lies inside), and they overlap so densely that one of them is
    mixed exactly when that grown square is: so the extremes of the labels over it decide.
    """
    reach = kernel_size // 2
    low = _windowed(np.minimum, labels, reach)
    high = _windowed(np.maximum, labels, reach)
    mixed: NDArray[np.bool_] = low != high
    # Not mixed: one label fills the whole token, so "any pixel unknown" is that label being unknown.
    mixed |= low == UNKNOWN
    return mixed


def _windowed(reduce: np.ufunc, labels: Labels, reach: int) -> Labels:
    """Minimum or maximum of every token grown by `reach` pixels: uint8 [rh, rw]."""
    # Two passes over the same code: rows, then (transposed, made contiguous) columns.
    return _windowed_rows(reduce, _windowed_rows(reduce, labels, reach).T, reach).T


def _windowed_rows(reduce: np.ufunc, pixels: Labels, reach: int) -> Labels:
    """Reduce axis 0 from pixels to tokens, each token seeing `reach` pixel rows of its two neighbours."""
    tokens = np.ascontiguousarray(pixels).reshape(pixels.shape[0] // PATCH_SIZE, PATCH_SIZE, pixels.shape[1])
    result: Labels = reduce.reduce(tokens, axis=1)
    # A window no wider than 2 * PATCH_SIZE + 1 reaches no further than the next token.
    if reach and len(tokens) > 1:
        reduce(result[1:], reduce.reduce(tokens[:-1, PATCH_SIZE - reach :], axis=1), out=result[1:])
        reduce(result[:-1], reduce.reduce(tokens[1:, :reach], axis=1), out=result[:-1])
    return result


def route(
    labels: Labels, region: Box, grid: tuple[int, int], mode: str, kernel_size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Share the tokens out to the boundary route and the other one.

    Args:
        labels: the region's part of the label map.
        region: the region of interest in pixels.
        grid: rows and columns of tokens.
        mode: "boundary" is the exact rule; "roi" takes every token of the region, which is what the published code
            does in effect.
        kernel_size: of the exact rule; see `boundary_tokens`.

    Returns:
        Token indices (row-major over the whole grid, ascending, int64) of the boundary route, and of all others.
    """
    chosen = np.zeros(grid, dtype=np.bool_)
    rows = slice(region.top // PATCH_SIZE, region.bottom // PATCH_SIZE)
    columns = slice(region.left // PATCH_SIZE, region.right // PATCH_SIZE)
    chosen[rows, columns] = True if mode == "roi" else boundary_tokens(labels, kernel_size)
    flat = chosen.ravel()
    # flatnonzero answers in intp, which is not int64 everywhere.
    boundary = np.flatnonzero(flat).astype(np.int64, copy=False)
    other = np.flatnonzero(np.logical_not(flat, out=flat)).astype(np.int64, copy=False)
    return boundary, other


def changed_tokens(touched: Box, grid: tuple[int, int]) -> NDArray[np.int64]:
    """List the tokens whose prompt can change when the labels in `touched` (pixels) do: indices, ascending.

    The prompt's four convolutions, 3 x 3 with stride 2, see 15 pixels beyond a token's top left pixel on every side
    (docs/model.md 5).
    """
    beyond = PATCH_SIZE - 2
    bottom = min((touched.bottom + beyond) // PATCH_SIZE + 1, grid[0])
    right = min((touched.right + beyond) // PATCH_SIZE + 1, grid[1])
    rows = np.arange(touched.top // PATCH_SIZE, bottom, dtype=np.int64)
    columns = np.arange(touched.left // PATCH_SIZE, right, dtype=np.int64)
    return (rows[:, None] * grid[1] + columns).ravel()


def all_tokens(grid: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put every token on the boundary route: `route`'s pair for dense runs, the yardstick for routed ones."""
    return np.arange(grid[0] * grid[1], dtype=np.int64), np.empty(0, dtype=np.int64)
