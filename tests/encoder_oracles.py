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


def conv3x3(x: Array, weight: Array, bias: Array, stride: int = 1) -> Array:
    """[H, W, Ci] -> [ceil(H / stride), ceil(W / stride), Co], zero padding."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((-(-height // stride), -(-width // stride), len(weight))) + bias
    for dy in range(3):
        for dx in range(3):
            seen = padded[dy : dy + height : stride, dx : dx + width : stride]
            out += seen @ weight[:, :, dy, dx].T
    return out


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
    between = conv3x3(norm_silu(x, norm1_weight, norm1_bias, epsilon), conv1_weight, conv1_bias)
    return x + conv3x3(norm_silu(between, norm2_weight, norm2_bias, epsilon), conv2_weight, conv2_bias)


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
