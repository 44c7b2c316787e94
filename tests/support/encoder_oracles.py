"""What the encoder's ops mean, in float64 numpy, written for reading; op_oracles.py has the others."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
_erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def layer_norm(x: Array, weight: Array, bias: Array, epsilon: float) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * weight + bias


def residual_projection(x: Array, residual: Array, weight: Array, bias: Array) -> Array:
    return residual + x @ weight.T + bias


def norm_mlp(
    x: Array,
    norm_weight: Array,
    norm_bias: Array,
    weight1: Array,
    bias1: Array,
    weight2: Array,
    bias2: Array,
    epsilon: float,
) -> Array:
    hidden = gelu(layer_norm(x, norm_weight, norm_bias, epsilon) @ weight1.T + bias1)
    return x + hidden @ weight2.T + bias2


def rotate(x: Array, cos: Array, sin: Array) -> Array:
    turned = np.empty_like(x)
    turned[..., 0::2], turned[..., 1::2] = x[..., 1::2], -x[..., 0::2]
    return x * cos + turned * sin


def window_attention(
    qkv: Array, padding: Array, tokens: Indices, positions: Indices, cos: Array, sin: Array, num_heads: int
) -> Array:
    windows, _, area, head = cos.shape
    rows = np.concatenate([qkv, padding[None]])[tokens]
    channels = qkv.shape[1] // 3
    out = np.empty((windows * area, channels))
    for window in range(windows):
        inside = slice(window * area, (window + 1) * area)
        for n in range(num_heads):
            q, k, v = (rows[inside, part * channels + n * head :][:, :head] for part in range(3))
            q, k = (rotate(x, cos[window, 0], sin[window, 0]) for x in (q, k))
            scores = q @ k.T / math.sqrt(head)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            out[inside, n * head : (n + 1) * head] = weights / weights.sum(-1, keepdims=True) @ v
    return out[positions]


def conv3x3(x: Array, weight: Array, bias: Array, stride: int) -> Array:
    """[H, W, Ci] -> [ceil(H / stride), ceil(W / stride), Co], zero padding."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((-(-height // stride), -(-width // stride), len(weight))) + bias
    for dy in range(3):
        for dx in range(3):
            seen = padded[dy : dy + height : stride, dx : dx + width : stride]
            out += seen @ weight[:, :, dy, dx].T
    return out


def sample_image(
    image: NDArray[np.uint8],
    rows: Indices,
    rows_inside: Array,
    down: Array,
    columns: Indices,
    columns_inside: Array,
    across: Array,
    mean: Array,
    std: Array,
    reverse: int,
) -> Array:
    pixels = image[:, :, ::-1] if reverse else image
    values = (pixels.astype(np.float64) - mean) / std
    out = np.zeros((len(down), len(across), 3))
    for row, row_inside, row_weight in zip(rows, rows_inside, (1 - down, down), strict=True):
        for column, column_inside, column_weight in zip(columns, columns_inside, (1 - across, across), strict=True):
            weights = np.outer(row_inside * row_weight, column_inside * column_weight)
            out += values[row][:, column] * weights[:, :, None]
    return out.transpose(2, 0, 1)


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


def norm_silu(x: Array, weight: Array, bias: Array, epsilon: float) -> Array:
    y = (x - x.mean()) / np.sqrt(x.var() + epsilon) * weight + bias
    return y / (1 + np.exp(-y))


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


def quant_linear(x: Array, weight: NDArray[np.int8], scale: Array, bias: Array) -> Array:
    """Rows rounded to 256 steps over their range, zero included."""
    out = np.empty((len(x), len(weight)))
    for i, row in enumerate(x):
        low, high = min(row.min(initial=0), 0.0), max(row.max(initial=0), 0.0)
        step = (high - low) / 255
        if high - low <= 1e-30:
            out[i] = bias
            continue
        zero = np.round(-low / step)
        q = np.clip(np.round(row / step) + zero, 0, 255)
        out[i] = weight.astype(np.float64) @ (q - zero) * step * scale + bias
    return out


def quant_norm_projection(
    x: Array,
    norm_weight: Array,
    norm_bias: Array,
    weight: NDArray[np.int8],
    scale: Array,
    bias: Array,
    epsilon: float,
) -> Array:
    return quant_linear(layer_norm(x, norm_weight, norm_bias, epsilon), weight, scale, bias)


def quant_residual_projection(x: Array, residual: Array, weight: NDArray[np.int8], scale: Array, bias: Array) -> Array:
    return residual + quant_linear(x, weight, scale, bias)


def quant_norm_mlp(
    x: Array,
    norm_weight: Array,
    norm_bias: Array,
    weight1: NDArray[np.int8],
    scale1: Array,
    bias1: Array,
    weight2: NDArray[np.int8],
    scale2: Array,
    bias2: Array,
    epsilon: float,
) -> Array:
    hidden = gelu(quant_linear(layer_norm(x, norm_weight, norm_bias, epsilon), weight1, scale1, bias1))
    return x + quant_linear(hidden, weight2, scale2, bias2)


def assert_edges_agree(found: np.ndarray, expected: np.ndarray, plain: bool, what: str) -> None:
    """But for the few pixels whose orientation or neighbourhood lies on a border between two decisions.

    On a plain image rounding decides on the orientation where it is flat, and on which of the equal neighbours along a
    straight edge are thinned away: only the magnitude is certain.
    """
    assert found.shape == expected.shape and np.isfinite(found).all()
    channels = [0, 4] if plain else [0, 1, 2, 3, 4]
    off = np.abs(found - expected)[:, :, channels].max(-1) > 1e-4 * np.abs(expected).max(initial=1e-3)
    assert np.count_nonzero(off) <= 1 + off.size // 100, f"{what}: {np.count_nonzero(off)} of {off.size} pixels"
