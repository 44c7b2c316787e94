"""Linear layers of the blocks (docs/model.md 2 and 7) with the norm before or the residual after, an op each."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .custom_op import emit, exporting
from .weights import LinearWeights, MlpWeights, NormWeights


def norm_projection(x: Tensor, norm: NormWeights, weights: LinearWeights, epsilon: float) -> Tensor:
    """Run LayerNorm, then a linear layer.

    Args:
        x: [..., N, C]; in a graph [N, C] only.
        norm: of the LayerNorm.
        weights: of the linear layer, C to P channels.
        epsilon: of the LayerNorm.

    Returns:
        [..., N, P]
    """
    if exporting():
        shape = (x.shape[0], weights.weight.shape[0])
        return emit("NormProjection", (x, norm, weights), [x.dtype], [shape], epsilon=epsilon)[0]
    return F.linear(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, epsilon), weights.weight, weights.bias)


def residual_projection(x: Tensor, residual: Tensor, weights: LinearWeights) -> Tensor:
    """Add a linear layer of x to a residual.

    Args:
        x: [..., N, C]; in a graph [N, C] only.
        residual: [..., N, P].
        weights: of the linear layer, C to P channels.

    Returns:
        [..., N, P]
    """
    if exporting():
        return emit("ResidualProjection", (x, residual, weights), [x.dtype], [residual.shape])[0]
    return residual + F.linear(x, weights.weight, weights.bias)


def norm_mlp(x: Tensor, norm: NormWeights, weights: MlpWeights, epsilon: float) -> Tensor:
    """Compute x + linear(GELU(linear(LayerNorm(x)))).

    Args:
        x: [..., N, C]; in a graph [N, C] only.
        norm: of the LayerNorm.
        weights: of the linear layers, C to H channels and back.
        epsilon: of the LayerNorm.

    Returns:
        The shape of x.
    """
    if exporting():
        return emit("NormMlp", (x, norm, weights), [x.dtype], [x.shape], epsilon=epsilon)[0]
    normed = F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, epsilon)
    hidden = F.gelu(F.linear(normed, weights.weight1, weights.bias1))
    return x + F.linear(hidden, weights.weight2, weights.bias2)
