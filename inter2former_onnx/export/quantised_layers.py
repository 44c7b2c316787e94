"""The linear layers of an 8-bit encoder as PyTorch computes them: what the Quant ops of its graph mean.

No module uses these: a model is trained and kept in float32, and becomes 8 bits when it is exported.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.weights import NormWeights

STEPS = 255  # of a row's range
NO_RANGE = 1e-30  # rows that span less become zeros


class QuantWeights(NamedTuple):
    """A linear layer of 8-bit integers.

    Attributes:
        weight: int8 [P, C].
        scale, bias: [P], of each output channel.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor


class QuantMlpWeights(NamedTuple):
    """Two linear layers of 8-bit integers with an activation between, C to H channels and back; see QuantWeights."""

    weight1: Tensor
    scale1: Tensor
    bias1: Tensor
    weight2: Tensor
    scale2: Tensor
    bias2: Tensor

    @property
    def layers(self) -> tuple[QuantWeights, QuantWeights]:
        """The first and the second layer."""
        first = QuantWeights(self.weight1, self.scale1, self.bias1)
        return first, QuantWeights(self.weight2, self.scale2, self.bias2)


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


def quant_linear(x: Tensor, weights: QuantWeights) -> Tensor:
    """Compute x (scale * weight)^T + bias with the rows of x rounded.

    Args:
        x: [N, C].
        weights: C to P channels.

    Returns:
        [N, P]
    """
    weight, scale, bias = weights
    q, row_scale, zero = quantise_rows(x)
    products = q.double() @ weight.double().T  # exact
    return (products.float() - zero * weight.float().sum(1)) * (row_scale * scale) + bias


def quant_norm_projection(x: Tensor, norm: NormWeights, weights: QuantWeights, epsilon: float) -> Tensor:
    """Run LayerNorm, then `quant_linear`. x: [N, C] -> [N, P]."""
    return quant_linear(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, epsilon), weights)


def quant_residual_projection(x: Tensor, residual: Tensor, weights: QuantWeights) -> Tensor:
    """Add `quant_linear` of x to a residual. x: [N, C] -> [N, P]."""
    return residual + quant_linear(x, weights)


def quant_norm_mlp(x: Tensor, norm: NormWeights, weights: QuantMlpWeights, epsilon: float) -> Tensor:
    """Compute x + quant_linear(GELU(quant_linear(LayerNorm(x)))). x: [N, C] -> the same shape."""
    first, second = weights.layers
    normal = F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, epsilon)
    return x + quant_linear(F.gelu(quant_linear(normal, first)), second)
