"""Encoding a batch of images for training, with the edge channels brought to the magnitude of the configured size."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..models import Inter2Former
from ..models.edge_detector import ResidualBlock
from ..models.window_attention import WindowPlan
from .channels_last import convolve, group_norm
from .losses import weighted_mean

Plans = tuple[WindowPlan, WindowPlan]


@dataclass(frozen=True)
class BatchFeatures:
    """Features of I images: `embed` [I, C, h, w] and `edges`, coarse to fine, each [I, H_k, W_k, C_k]."""

    embed: Tensor
    edges: list[Tensor]


def window_plans(model: Inter2Former, size: int, device: torch.device) -> Plans:
    """Plan the encoder's windows for size x size pixels.

    They are planned on the CPU: planning is index work, and the plan's tensors are moved afterwards.

    Args:
        model: whose encoder it is.
        size: in pixels.
        device: where the plans go.

    Returns:
        The plain and the shifted arrangement.
    """
    backbone = model.backbone
    frequencies = backbone.rope.freqs
    backbone.rope.freqs = frequencies.cpu()
    try:
        plain, shifted = backbone.plans(size, size)
    finally:
        backbone.rope.freqs = frequencies
    return _to(plain, device), _to(shifted, device)


def _to(plan: WindowPlan, device: torch.device) -> WindowPlan:
    return WindowPlan(*(tensor.to(device) for tensor in plan))


def edge_channels(model: Inter2Former, inputs: Tensor) -> Tensor:
    """Compute the hand-made edge channels of images, in float32 whatever autocast says (they are discontinuous).

    Each channel has unit L2 norm over the image, so its values shrink as the image grows. At another size than the
    configured one they are scaled to what the configured size would show; at that size the factor is 1 and this is
    exactly the inference form.

    Args:
        model: whose edge detector it is.
        inputs: float32 [I, 3, T, T], normalised.

    Returns:
        float32 [I, 5, T, T]
    """
    detector = model.edge_detector
    with torch.autocast(inputs.device.type, enabled=False), torch.no_grad():
        pixels = torch.clamp((inputs * detector.std + detector.mean) / 255.0, 0.0, 1.0)
        return detector.canny(pixels) * (inputs.shape[-1] / model.config.geometry.size)


def edge_pyramid(model: Inter2Former, channels: Tensor) -> list[Tensor]:
    """Compute edge maps from the edge channels, coarse to fine.

    This is what `EdgeDetector.forward` goes on with; channels come last because that is how the decode head works.

    Args:
        model: whose edge detector it is.
        channels: float32 [I, 5, T, T] from `edge_channels`.

    Returns:
        Maps [I, H_k, W_k, C_k].
    """
    detector = model.edge_detector
    x = convolve(channels.permute(0, 2, 3, 1).contiguous(), detector.conv1)
    maps = []
    for level, blocks in enumerate(detector.block_list):
        assert isinstance(blocks, nn.Sequential)
        for block in blocks:
            assert isinstance(block, ResidualBlock)
            y = convolve(_norm_silu(x, block.norm1), block.conv1)
            x = x + convolve(_norm_silu(y, block.norm2), block.conv2)
        lateral = detector.lateral_convs[level]
        assert isinstance(lateral, nn.Conv2d)
        maps.append(convolve(x, lateral))
        if level < len(detector.downsamplers):
            down = detector.downsamplers[level]
            assert isinstance(down, nn.Conv2d)
            x = convolve(x, down)
    return maps[::-1]


def _norm_silu(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Apply GroupNorm(1) and SiLU to maps [I, H, W, C], in float32 whatever autocast says."""
    return F.silu(group_norm(x, norm)).to(x.dtype)


def encode_batch(model: Inter2Former, inputs: Tensor, channels: Tensor, plans: Plans) -> BatchFeatures:
    """Compute the features of images.

    Args:
        model: the model.
        inputs: float32 [I, 3, T, T], normalised.
        channels: float32 [I, 5, T, T] from `edge_channels`.
        plans: from `window_plans` for T.
    """
    # PyTorch's fused attention is made for long sequences; on a CPU its backward pass takes 3 times as long as the
    # plain one for windows of 64 tokens (bfloat16).
    with sdpa_kernel(SDPBackend.MATH) if inputs.device.type == "cpu" else nullcontext():
        embed = model.backbone(inputs, plans)
    return BatchFeatures(embed, edge_pyramid(model, channels))


def per_object(x: Tensor, objects: int) -> Tensor:
    """Repeat each image's entry for its objects.

    Args:
        x: [I, ...].
        objects: of each image.

    Returns:
        [I * objects, ...]
    """
    return x[:, None].expand(x.shape[0], objects, *x.shape[1:]).flatten(0, 1)


def same_region_loss(embed: Tensor, regions: Tensor) -> Tensor:
    """Compute an auxiliary loss: tokens of one region should have similar embeddings, tokens of different ones not.

    A click only ever names one object of an image; this uses the whole region map, every step.

    Args:
        embed: [I, C, h, w].
        regions: int64 [I, h, w] region at each token's centre, -1 where there is no image.

    Returns:
        Scalar, binary cross entropy over pairs of tokens, same and different pairs weighing equally.
    """
    tokens = F.normalize(embed.flatten(2).transpose(1, 2).float(), dim=2)
    logits = 8.0 * (tokens @ tokens.transpose(1, 2)) - 4.0
    ids = regions.flatten(1)
    known = (ids >= 0).float()
    pairs = known[:, :, None] * known[:, None, :]
    same = (ids[:, :, None] == ids[:, None, :]).float()
    loss = F.binary_cross_entropy_with_logits(logits, same, reduction="none")
    positive, negative = same * pairs, (1 - same) * pairs
    return 0.5 * (weighted_mean(loss, positive) + weighted_mean(loss, negative)).mean()
