"""CannyEdges, Conv3x3, ResidualConvBlock and EdgeTaps."""

from __future__ import annotations

import numpy as np

from support.ops.oracles import arithmetic
from support.ops.oracles.arithmetic import Array, silu


def filtered(x: Array, weight: Array) -> Array:
    """One plane through one filter, zeros around it."""
    high, wide = weight.shape
    padded = np.pad(x, ((high // 2,) * 2, (wide // 2,) * 2))
    seen = np.lib.stride_tricks.sliding_window_view(padded, (high, wide))
    return np.asarray((seen * weight).sum((2, 3)))


def canny_edges(
    image: Array,
    mean: Array,
    std: Array,
    gaussian_h: Array,
    gaussian_v: Array,
    sobel_h: Array,
    sobel_v: Array,
    directions: Array,
) -> Array:
    # In float32: what rounding leaves of black decides on orientations at the image's border.
    image, mean, std = (array.astype(np.float32) for array in (image, mean, std))
    seen = np.clip((image * std[:, None, None] + mean[:, None, None]) / np.float32(255), 0, 1).astype(np.float64)
    smooth = [filtered(filtered(plane, gaussian_h[0, 0]), gaussian_v[0, 0]) for plane in seen]
    gx = np.array([filtered(plane, sobel_h[0, 0]) for plane in smooth])
    gy = np.array([filtered(plane, sobel_v[0, 0]) for plane in smooth])
    # Differences that rounding left of nothing are nothing.
    gx[np.abs(gx) < 1e-12], gy[np.abs(gy) < 1e-12] = 0, 0
    magnitude = np.sqrt(gx**2 + gy**2).sum(0)
    sector = np.round((np.degrees(np.arctan2(gy.sum(0), gx.sum(0))) + 180) / 45).astype(np.int64)
    differences = np.array([filtered(magnitude, direction[0]) for direction in directions])
    ahead, behind = (np.take_along_axis(differences, (sector + turn)[None] % 8, 0)[0] for turn in (0, 4))
    thin = np.where(np.minimum(ahead, behind) > 0, magnitude, 0)
    planes = [magnitude, sector * 45.0, thin, np.where(thin < 2, 0, thin), np.where(magnitude < 2, 0, magnitude)]
    return np.stack([plane / max(np.linalg.norm(plane), 1e-12) for plane in planes], axis=2)


def conv3x3(x: Array, weight: Array, bias: Array, stride: int) -> Array:
    return arithmetic.conv3x3(x, weight, stride) + bias


def norm_silu(x: Array, weight: Array, bias: Array, epsilon: float) -> Array:
    return silu((x - x.mean()) / np.sqrt(x.var() + epsilon) * weight + bias)


def residual_conv_block(
    x: Array,
    norm1_weight: Array,
    norm1_bias: Array,
    conv1_weight: Array,
    conv1_bias: Array,
    norm2_weight: Array,
    norm2_bias: Array,
    conv2_weight: Array,
    conv2_bias: Array,
    epsilon: float,
) -> Array:
    between = conv3x3(norm_silu(x, norm1_weight, norm1_bias, epsilon), conv1_weight, conv1_bias, 1)
    return x + conv3x3(norm_silu(between, norm2_weight, norm2_bias, epsilon), conv2_weight, conv2_bias, 1)


def edge_taps(x: Array, weight: Array, tap_bias: Array, bias: Array, stride: int) -> tuple[Array, ...]:
    height, width, _ = x.shape
    outs, s = len(bias), stride
    h, w = height // s, width // s
    terms = np.zeros((height, width, outs)) + bias
    rows, columns = np.zeros((2, h, width, outs)), np.zeros((2, height, w, outs))
    corners = np.zeros((2, 2, h, w, outs))
    for y, column, dy, dx in np.ndindex(height, width, 3, 3):
        source = (y + dy - 1, column + dx - 1)
        if not (0 <= source[0] < height and 0 <= source[1] < width):
            continue
        value = weight[3 * dy + dx] @ x[source] + tap_bias[3 * dy + dx]
        terms[y, column] += value
        # From a pixel in the token above or below, and to the left or right of this pixel's.
        across_row = 0 if dy == 0 and y % s == 0 else 1 if dy == 2 and y % s == s - 1 else None
        across_column = 0 if dx == 0 and column % s == 0 else 1 if dx == 2 and column % s == s - 1 else None
        if across_row is not None:
            rows[across_row, y // s, column] += value
        if across_column is not None:
            columns[across_column, y, column // s] += value
        if across_row is not None and across_column is not None:
            corners[across_row, across_column, y // s, column // s] += value
    return terms, rows, columns, corners
