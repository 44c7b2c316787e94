"""Edge detector (CannyNet): hand-made edge channels, then a small convolutional pyramid (docs/model.md 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration import EdgeDetectorConfig
from .custom_op import emit, exporting

THRESHOLD = 2.0
SECTOR = 45.0  # degrees per direction


def _fixed(weight: Tensor) -> nn.Conv2d:
    """A convolution that is never trained and has no bias; only its name and weight matter."""
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], (weight.shape[2], weight.shape[3]), bias=False)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    return conv


def _gaussian() -> Tensor:
    taps = torch.exp(-0.5 * (torch.arange(5, dtype=torch.float64) - 2) ** 2)
    return (taps / taps.sum()).float()


def _directions() -> Tensor:
    """Centre minus the neighbour in each of the eight directions, [8, 1, 3, 3], clockwise from the right."""
    neighbours = [(1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0), (0, 1), (0, 2)]
    weight = torch.zeros(8, 1, 3, 3)
    weight[:, 0, 1, 1] = 1.0
    for index, (row, column) in enumerate(neighbours):
        weight[index, 0, row, column] = -1.0
    return weight


def atan2(y: Tensor, x: Tensor) -> Tensor:
    """Angle of (x, y) in radians; 0 where both are zero.

    ONNX has no Atan2, and onnx exporters divide by zero where there is no gradient: in a graph the quadrant is
    put together from Atan, guarded.
    """
    if not exporting():
        return torch.atan2(y, x)
    upright = x == 0
    angle = torch.atan(y / torch.where(upright, torch.ones_like(x), x))
    angle = torch.where(x < 0, angle + torch.where(y < 0, -math.pi, math.pi), angle)
    return torch.where(upright, torch.sign(y) * (math.pi / 2), angle)


class Canny(nn.Module):
    """Gradient magnitude, orientation and thinned edges of an image. Its filters are stored in the checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        gaussian = _gaussian()
        sobel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
        self.g_h = _fixed(gaussian.view(1, 1, 1, 5))
        self.g_v = _fixed(gaussian.view(1, 1, 5, 1))
        self.sobh = _fixed(sobel.view(1, 1, 3, 3))
        self.sobv = _fixed(sobel.t().reshape(1, 1, 3, 3))
        self.dirf = _fixed(_directions())

    def forward(self, image: Tensor) -> Tensor:
        """[batch, 3, H, W] in [0, 1] -> [batch, 5, H, W], each channel of unit L2 norm.

        Channels: gradient magnitude, orientation in degrees, thinned magnitude, and the last and first of these
        with values below the threshold set to zero.
        """
        batch, channels, height, width = image.shape
        x = image.reshape(batch * channels, 1, height, width)  # every colour channel by itself
        x = F.conv2d(x, self.g_h.weight, padding=(0, 2))
        x = F.conv2d(x, self.g_v.weight, padding=(2, 0))
        gx = F.conv2d(x, self.sobh.weight, padding=1).view(batch, channels, height, width)
        gy = F.conv2d(x, self.sobv.weight, padding=1).view(batch, channels, height, width)
        magnitude = torch.sqrt(gx**2 + gy**2).sum(1, keepdim=True)
        orientation = atan2(gy.sum(1, keepdim=True), gx.sum(1, keepdim=True)) * (180.0 / math.pi) + 180.0
        orientation = torch.round(orientation / SECTOR) * SECTOR
        differences = F.conv2d(magnitude, self.dirf.weight, padding=1)
        direction = (orientation / SECTOR).to(torch.int64) % 8
        ahead = differences.gather(1, direction)
        behind = differences.gather(1, (direction + 4) % 8)
        zero = torch.zeros_like(magnitude)
        thin = torch.where(torch.minimum(ahead, behind) > 0, magnitude, zero)
        strong_thin = torch.where(thin < THRESHOLD, zero, thin)
        strong = torch.where(magnitude < THRESHOLD, zero, magnitude)
        edges = torch.cat([magnitude, orientation, thin, strong_thin, strong], dim=1)
        norm = torch.sqrt((edges * edges).sum(dim=(2, 3), keepdim=True))
        return edges / torch.clamp(norm, min=1e-12)


def residual_conv_block(
    x: Tensor,
    norm1_weight: Tensor,
    norm1_bias: Tensor,
    conv1_weight: Tensor,
    conv1_bias: Tensor,
    norm2_weight: Tensor,
    norm2_bias: Tensor,
    conv2_weight: Tensor,
    conv2_bias: Tensor,
    epsilon: float,
) -> Tensor:
    """GroupNorm(1), SiLU, 3 x 3 convolution, twice, with an identity shortcut.

    Args:
        x: [H, W, C].
        norm1_weight, norm1_bias, norm2_weight, norm2_bias: [C].
        conv1_weight, conv2_weight: [C, C, 3, 3]; conv1_bias, conv2_bias: [C].
        epsilon: of the norms.

    Returns:
        [H, W, C]
    """
    weights = (norm1_weight, norm1_bias, conv1_weight, conv1_bias, norm2_weight, norm2_bias, conv2_weight, conv2_bias)
    if exporting():
        return emit("ResidualConvBlock", (x, *weights), [x.dtype], [x.shape], epsilon=epsilon)[0]
    return _residual_conv_block(x.permute(2, 0, 1)[None], weights, epsilon)[0].permute(1, 2, 0)


def _residual_conv_block(x: Tensor, weights: Sequence[Tensor], epsilon: float) -> Tensor:
    """`residual_conv_block` of maps [batch, C, H, W]."""
    y = x
    for norm_weight, norm_bias, conv_weight, conv_bias in (weights[:4], weights[4:]):
        y = F.silu(F.group_norm(y, 1, norm_weight, norm_bias, epsilon))
        y = F.conv2d(y, conv_weight, conv_bias, padding=1)
    return x + y


class ResidualBlock(nn.Module):
    """GroupNorm(1), SiLU, 3 x 3 convolution, twice, with an identity shortcut."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(1, dim)
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.norm2 = nn.GroupNorm(1, dim)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, dim, H, W] -> the same shape; in a graph [H, W, dim]."""
        norm1, conv1, norm2, conv2 = self.norm1, self.conv1, self.norm2, self.conv2
        assert conv1.bias is not None and conv2.bias is not None
        first = (norm1.weight, norm1.bias, conv1.weight, conv1.bias)
        second = (norm2.weight, norm2.bias, conv2.weight, conv2.bias)
        if exporting():
            return residual_conv_block(x, *first, *second, norm1.eps)
        return _residual_conv_block(x, (*first, *second), norm1.eps)


class EdgeDetector(nn.Module):
    """Edge maps for every upsampling level."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: EdgeDetectorConfig, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        dims = config.dims
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.canny = Canny()
        self.conv1 = nn.Conv2d(5, dims[0], 3, padding=1)
        self.block_list = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(dim) for _ in range(config.depth))) for dim in dims
        )
        self.lateral_convs = nn.ModuleList(nn.Conv2d(dim, dim, 1) for dim in dims)
        self.downsamplers = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in zip(dims[:-1], dims[1:], strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Edge maps of normalised images.

        Args:
            image: float32 [batch, 3, H, W] in the model's channel order; H and W are multiples of 16.

        Returns:
            Coarse to fine: [batch, dims[3], H/8, W/8], [batch, dims[2], H/4, W/4], ..., [batch, dims[0], H, W].
        """
        x = self.conv1(self.canny(torch.clamp((image * self.std + self.mean) / 255.0, 0.0, 1.0)))
        maps = []
        for level, blocks in enumerate(self.block_list):
            # The blocks of a graph take maps with the channels last.
            x = blocks(x[0].permute(1, 2, 0)).permute(2, 0, 1)[None] if exporting() else blocks(x)
            maps.append(self.lateral_convs[level](x))
            if level < len(self.downsamplers):
                x = self.downsamplers[level](x)
        return maps[::-1]
