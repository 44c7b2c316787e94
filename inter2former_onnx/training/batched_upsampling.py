"""The decode head for a batch of objects, each drawn inside a box of its own.

Crops of different sizes do not stack, so every object keeps the whole grid and its box acts as a mask: statistics are
taken inside it, the bicubic interpolation replicates its border, and what lies outside is zero before a convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.dynamic_local_upsampling import OUTSIDE_LOGIT, DynamicLocalUpsampling, LocalUpsample2x
from .batched_neck import compute_dtype
from .channels_last import convolve, group_norm
from .label_maps import bounding_boxes, box_mask

# Weights of the four taps of bicubic 2x (a = -0.75) for even and odd outputs, in 256ths: exact in bfloat16.
_EVEN = (-9.0, 67.0, 225.0, -27.0)
_ODD = (-27.0, 225.0, 67.0, -9.0)


def localise(head: DynamicLocalUpsampling, tokens: Tensor) -> Tensor:
    """Compute the localisation logits.

    Args:
        head: whose they are.
        tokens: [B, N, C].

    Returns:
        [B, N]
    """
    x = tokens
    layers = [layer for layer in head.mlp if isinstance(layer, nn.Conv2d)]
    for index, layer in enumerate(layers):
        x = F.linear(x, layer.weight.flatten(1), layer.bias)
        if index < len(layers) - 1:
            x = F.silu(x)
    return x[..., 0]


def predicted_boxes(localisation: Tensor, side: int, threshold: float) -> Tensor:
    """Find the bounding box of localisation > threshold, the whole grid where none is.

    Args:
        localisation: [B, N] logits.
        side: tokens per side of the square grid.
        threshold: of the logits.

    Returns:
        int64 [B, 4] in tokens.
    """
    return bounding_boxes((localisation > threshold).unflatten(1, (side, side)))


def interpolation_matrices(first: Tensor, last: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Write bicubic 2x along one axis as a matrix, for cells first..last-1 only.

    Args:
        first, last: int64 [B], the half-open range of input cells; neighbours beyond it repeat its border.
        size: input cells.
        dtype: of the result.

    Returns:
        [B, 2 * size, size]; rows of outputs outside the range are zero.
    """
    output = torch.arange(2 * size, device=first.device)
    low = (output - 1).div(2, rounding_mode="floor") - 1  # first of the four taps
    odd = (output % 2).bool()
    cells = torch.arange(size, device=first.device)
    matrix = torch.zeros(first.shape[0], 2 * size, size, dtype=torch.float32, device=first.device)
    for tap in range(4):
        weight = torch.where(odd, _ODD[tap] / 256.0, _EVEN[tap] / 256.0)
        source = torch.maximum(torch.minimum(low + tap, last[:, None] - 1), first[:, None])
        matrix = matrix + (source[:, :, None] == cells) * weight[:, None]
    inside = (output >= 2 * first[:, None]) & (output < 2 * last[:, None])
    return (matrix * inside[:, :, None]).to(dtype)


def upsample_level(level: LocalUpsample2x, x: Tensor, edge: Tensor, boxes: Tensor, compute: torch.dtype) -> Tensor:
    """Run one level inside each object's box.

    Args:
        level: the level.
        x: [B, h, w, Ci].
        edge: [I, 2h, 2w, Ci] of the images, B / I objects each.
        boxes: int64 [B, 4] in cells of x.
        compute: dtype of the products.

    Returns:
        [B, 2h, 2w, Co]; what lies outside the boxes means nothing.
    """
    batch, height, width, channels = x.shape
    x = group_norm(x, level.norm, box_mask(boxes, height)).to(compute)
    left, top, right, bottom = boxes.unbind(1)
    down = interpolation_matrices(top, bottom, height, compute)
    across = interpolation_matrices(left, right, width, compute)
    # Columns first, on the transposed low resolution map: two small copies instead of a matrix for every row.
    x = (across @ x.transpose(1, 2).flatten(2)).view(batch, 2 * width, height, channels)
    x = (down @ x.transpose(1, 2).flatten(2)).view(batch, 2 * height, 2 * width, channels)
    inside = box_mask(2 * boxes, 2 * height)[..., None].to(compute)
    images = edge.shape[0]
    x = (x.unflatten(0, (images, -1)) + edge[:, None]).flatten(0, 1) * inside
    x = convolve(x, level.conv)
    return F.silu(x) if level.activation else x


def draw(head: DynamicLocalUpsampling, tokens: Tensor, edges: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Draw the masks of a batch of objects.

    Args:
        head: the decode head.
        tokens: [B, h * h, C].
        edges: of the images, coarse to fine, each [I, H_k, W_k, Ci]; the objects of one image are side by side.
        boxes: int64 [B, 4] in tokens.

    Returns:
        float32 logits [B, 16 h, 16 h], -100 outside the boxes.
    """
    side = edges[0].shape[1] // 2
    x = tokens.unflatten(1, (side, side))
    compute = compute_dtype(tokens)
    scale = 1
    for level, edge in zip(head.upsamplers, edges, strict=True):
        assert isinstance(level, LocalUpsample2x)
        x = upsample_level(level, x, edge, boxes * scale, compute)
        scale *= 2
    inside = box_mask(boxes * scale, side * scale)
    return torch.where(inside, x[..., 0].float(), OUTSIDE_LOGIT)
