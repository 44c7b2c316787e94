"""Layers of maps [B, H, W, C]: channels last, as the batched forms of edge detector and decode head work."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolve(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Convolve maps [B, H, W, C]."""
    y: Tensor = conv(x.permute(0, 3, 1, 2))
    return y.permute(0, 2, 3, 1)


def group_norm(x: Tensor, norm: nn.GroupNorm, mask: Tensor | None = None) -> Tensor:
    """Apply GroupNorm(1), with statistics from inside the mask if there is one, in float32.

    Not F.group_norm: what torch.compile makes of its backward pass for maps with channels last is one thread going
    through them number by number, an eighth of a whole step.

    Args:
        x: [B, H, W, C].
        norm: the layer.
        mask: bool [B, H, W]; what lies outside means nothing in the result.

    Returns:
        float32 [B, H, W, C]
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.float()
        if mask is None:
            centred = x - x.mean((1, 2, 3), keepdim=True)
            variance = (centred * centred).mean((1, 2, 3), keepdim=True)
        else:
            weight = mask[..., None].float()
            count = weight.sum((1, 2, 3), keepdim=True) * x.shape[3]
            centred = (x - (x * weight).sum((1, 2, 3), keepdim=True) / count) * weight
            variance = (centred * centred).sum((1, 2, 3), keepdim=True) / count
        return centred * torch.rsqrt(variance + norm.eps) * norm.weight + norm.bias
