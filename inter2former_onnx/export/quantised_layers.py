"""The linear layers of an 8-bit encoder as PyTorch computes them: what the Quant ops of its graph mean.

No module uses these: a model is trained and kept in float32, and becomes 8 bits when it is exported.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 255  # of a row's range
NO_RANGE = 1e-30  # rows that span less become zeros


def quantise_rows(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Round every row to 256 steps from its least to its largest value, zero included.

    Args:
        x: float32 [N, C].

    Returns:
        q uint8 [N, C], scale [N, 1] and zero [N, 1] (a whole number) with x = scale (q - zero) but for the rounding.
    """
    low = x.amin(1, keepdim=True).clamp(max=0)
    span = x.amax(1, keepdim=True).clamp(min=0) - low
    usable = span > NO_RANGE
    factor = torch.where(usable, STEPS / span.where(usable, torch.ones_like(span)), torch.zeros_like(span))
    zero = torch.round(-low * factor)
    q = (torch.round(x * factor) + zero).clamp(0, STEPS).to(torch.uint8)
    return q, torch.where(usable, span / STEPS, torch.zeros_like(span)), zero


def quantise_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round every output channel to 127 steps to either side of zero.

    Args:
        weight: float32 [P, C].

    Returns:
        int8 [P, C] and scale [P] with weight = scale * int8 but for the rounding.
    """
    largest = weight.abs().amax(1)
    scale = torch.where(largest > 0, largest / 127, torch.ones_like(largest))
    return torch.round(weight / scale[:, None]).to(torch.int8), scale


def quant_linear(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Compute x (scale * weight)^T + bias with the rows of x rounded.

    Args:
        x: [N, C].
        weight: int8 [P, C].
        scale, bias: [P].

    Returns:
        [N, P]
    """
    q, row_scale, zero = quantise_rows(x)
    products = q.double() @ weight.double().T  # exact
    return (products.float() - zero * weight.float().sum(1)) * (row_scale * scale) + bias


def quant_norm_projection(
    x: Tensor, norm_weight: Tensor, norm_bias: Tensor, weight: Tensor, scale: Tensor, bias: Tensor, epsilon: float
) -> Tensor:
    """Run LayerNorm, then `quant_linear`. x: [N, C], weight: int8 [P, C] -> [N, P]."""
    return quant_linear(F.layer_norm(x, x.shape[-1:], norm_weight, norm_bias, epsilon), weight, scale, bias)


def quant_residual_projection(x: Tensor, residual: Tensor, weight: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Add `quant_linear` of x to a residual. x: [N, C], weight: int8 [P, C] -> [N, P]."""
    return residual + quant_linear(x, weight, scale, bias)


def quant_norm_mlp(
    x: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight1: Tensor,
    scale1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    scale2: Tensor,
    bias2: Tensor,
    epsilon: float,
) -> Tensor:
    """Compute x + quant_linear(GELU(quant_linear(LayerNorm(x)))). x: [N, C], weights int8 [H, C], [C, H] -> [N, C]."""
    normal = F.layer_norm(x, x.shape[-1:], norm_weight, norm_bias, epsilon)
    return x + quant_linear(F.gelu(quant_linear(normal, weight1, scale1, bias1)), weight2, scale2, bias2)
