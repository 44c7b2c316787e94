"""Linear layers of the blocks (docs/model.md 2 and 7) with the norm before or the residual after, an op each."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .custom_op import emit, exporting


def norm_projection(
    x: Tensor, norm_weight: Tensor, norm_bias: Tensor, weight: Tensor, bias: Tensor, epsilon: float
) -> Tensor:
    """Run LayerNorm, then a linear layer.

    Args:
        x: [..., N, C]; in a graph [N, C] only.
        norm_weight, norm_bias: [C].
        weight, bias: [P, C], [P].
        epsilon: of the LayerNorm.

    Returns:
        [..., N, P]
    """
    if exporting():
        inputs = (x, norm_weight, norm_bias, weight, bias)
        return emit("NormProjection", inputs, [x.dtype], [(x.shape[0], weight.shape[0])], epsilon=epsilon)[0]
    return F.linear(F.layer_norm(x, x.shape[-1:], norm_weight, norm_bias, epsilon), weight, bias)


def residual_projection(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Add a linear layer of x to a residual.

    Args:
        x: [..., N, C]; in a graph [N, C] only.
        residual: [..., N, P].
        weight, bias: [P, C], [P].

    Returns:
        [..., N, P]
    """
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
    """Compute x + linear(GELU(linear(LayerNorm(x)))).

    Args:
        x: [..., N, C]; in a graph [N, C] only.
        norm_weight, norm_bias: [C].
        weight1, bias1: [H, C], [H].
        weight2, bias2: [C, H], [C].
        epsilon: of the LayerNorm.

    Returns:
        The shape of x.
    """
    if exporting():
        inputs = (x, norm_weight, norm_bias, weight1, bias1, weight2, bias2)
        return emit("NormMlp", inputs, [x.dtype], [x.shape], epsilon=epsilon)[0]
    hidden = F.gelu(F.linear(F.layer_norm(x, x.shape[-1:], norm_weight, norm_bias, epsilon), weight1, bias1))
    return x + F.linear(hidden, weight2, bias2)
