"""Linear layers together with what surrounds them in a transformer block, as the ops that graphs have for them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .custom_op import emit, exporting


def norm_projection(
    x: Tensor, norm_weight: Tensor, norm_bias: Tensor, weight: Tensor, bias: Tensor, epsilon: float
) -> Tensor:
    """LayerNorm, then a linear layer. x: [..., N, C], weight: [P, C] -> [..., N, P]; in a graph [N, C] only."""
    if exporting():
        inputs = (x, norm_weight, norm_bias, weight, bias)
        return emit("NormProjection", inputs, [x.dtype], [(x.shape[0], weight.shape[0])], epsilon=epsilon)[0]
    return F.linear(F.layer_norm(x, x.shape[-1:], norm_weight, norm_bias, epsilon), weight, bias)


def residual_projection(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """residual + linear layer of x. x: [..., N, C], weight: [P, C] -> [..., N, P]; in a graph [N, C] only."""
    if exporting():
        return emit("ResidualProjection", (x, residual, weight, bias), [x.dtype], [residual.shape])[0]
    return residual + F.linear(x, weight, bias)


def norm_mlp(
    x: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    epsilon: float,
) -> Tensor:
    """x + linear(GELU(linear(LayerNorm(x)))). x: [..., N, C], weight1: [H, C], weight2: [C, H] -> the shape of x.

    In a graph [N, C] only.
    """
    if exporting():
        inputs = (x, norm_weight, norm_bias, weight1, bias1, weight2, bias2)
        return emit("NormMlp", inputs, [x.dtype], [x.shape], epsilon=epsilon)[0]
    hidden = F.gelu(F.linear(F.layer_norm(x, x.shape[-1:], norm_weight, norm_bias, epsilon), weight1, bias1))
    return x + F.linear(hidden, weight2, bias2)
