"""NormProjection, ResidualProjection, NormMlp, and their 8-bit forms."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from support.ops.oracles.arithmetic import Array, layer_norm

_erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def norm_projection(
    x: Array, norm_weight: Array, norm_bias: Array, weight: Array, bias: Array, epsilon: float
) -> Array:
    return layer_norm(x, norm_weight, norm_bias, epsilon) @ weight.T + bias


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
