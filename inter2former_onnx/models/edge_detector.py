"""Edge detector, CannyNet (docs/model.md 3): hand-made edge channels, then a small convolutional pyramid."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration import EdgeDetectorConfig
from .custom_op import emit, exporting
from .dynamic_local_upsampling import EdgeTerms
from .weights import LinearWeights, NormWeights

THRESHOLD = 2.0
SECTOR = 45.0  # degrees per direction


class CannyFilters(NamedTuple):
    """The convolutions that the hand-made channels come from, see Canny.

    Attributes:
        gaussian_h, gaussian_v: [1, 1, 1, 5], [1, 1, 5, 1].
        sobel_h, sobel_v: [1, 1, 3, 3].
        directions: [8, 1, 3, 3].
    """

    gaussian_h: Tensor
    gaussian_v: Tensor
    sobel_h: Tensor
    sobel_v: Tensor
    directions: Tensor


class TapWeights(NamedTuple):
    """The taps of a 3 x 3 convolution of a linear map, see `fold_lateral`.

    Attributes:
        weight, tap_bias: [9, O, C], [9, O], each tap times the linear map.
        bias: [O], of the convolution.
    """

    weight: Tensor
    tap_bias: Tensor
    bias: Tensor


class ResidualBlockWeights(NamedTuple):
    """What a `residual_conv_block` of C channels holds."""

    norm1: NormWeights
    conv1: LinearWeights
    norm2: NormWeights
    conv2: LinearWeights


def _fixed(weight: Tensor) -> nn.Conv2d:
    """Make a convolution that is never trained and has no bias; only its name and weight matter."""
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], (weight.shape[2], weight.shape[3]), bias=False)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    return conv


def _gaussian() -> Tensor:
    taps = torch.exp(-0.5 * (torch.arange(5, dtype=torch.float64) - 2) ** 2)
    return (taps / taps.sum()).float()


def _directions() -> Tensor:
    """Make the filters of the centre minus each of its eight neighbours, [8, 1, 3, 3], clockwise from the right."""
    neighbours = [(1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0), (0, 1), (0, 2)]
    weight = torch.zeros(8, 1, 3, 3)
    weight[:, 0, 1, 1] = 1.0
    for index, (row, column) in enumerate(neighbours):
        weight[index, 0, row, column] = -1.0
    return weight


def canny_edges(image: Tensor, mean: Tensor, std: Tensor, filters: CannyFilters) -> Tensor:
    """Compute gradient magnitude, orientation and thinned edges of a normalised image, each of unit L2 norm.

    Args:
        image: [3, H, W], normalised with `mean` and `std`, [3].
        filters: of Canny.

    Returns:
        [H, W, 5], see `_canny_edges`.
    """
    if exporting():
        shape = (image.shape[1], image.shape[2], 5)
        return emit("CannyEdges", (image, mean, std, filters), [image.dtype], [shape])[0]
    seen = torch.clamp((image * std[:, None, None] + mean[:, None, None]) / 255.0, 0.0, 1.0)
    return _canny_edges(seen[None], filters)[0].permute(1, 2, 0)


def _canny_edges(image: Tensor, filters: CannyFilters) -> Tensor:
    """Compute the channels: [batch, 3, H, W] in [0, 1] -> [batch, 5, H, W], each of unit L2 norm.

    They are: gradient magnitude, orientation in degrees, thinned magnitude, and the last and first of these with
    values below the threshold set to zero.
    """
    batch, channels, height, width = image.shape
    x = image.reshape(batch * channels, 1, height, width)  # every colour channel by itself
    x = F.conv2d(x, filters.gaussian_h, padding=(0, 2))
    x = F.conv2d(x, filters.gaussian_v, padding=(2, 0))
    gx = F.conv2d(x, filters.sobel_h, padding=1).view(batch, channels, height, width)
    gy = F.conv2d(x, filters.sobel_v, padding=1).view(batch, channels, height, width)
    magnitude = torch.sqrt(gx**2 + gy**2).sum(1, keepdim=True)
    orientation = torch.atan2(gy.sum(1, keepdim=True), gx.sum(1, keepdim=True)) * (180.0 / math.pi) + 180.0
    orientation = torch.round(orientation / SECTOR) * SECTOR
    differences = F.conv2d(magnitude, filters.directions, padding=1)
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


def conv3x3(x: Tensor, weights: LinearWeights, stride: int) -> Tensor:
    """Run a 3 x 3 convolution with zero padding.

    Args:
        x: [H, W, Ci].
        weights: [Co, Ci, 3, 3] and [Co].
        stride: 1 or 2.

    Returns:
        [H / stride, W / stride, Co], rounded up.
    """
    if exporting():
        height, width = ((size + stride - 1) // stride for size in x.shape[:2])
        shape = (height, width, weights.weight.shape[0])
        return emit("Conv3x3", (x, weights), [x.dtype], [shape], stride=stride)[0]
    planes = x.permute(2, 0, 1)[None]
    return F.conv2d(planes, weights.weight, weights.bias, stride, padding=1)[0].permute(1, 2, 0)


def edge_taps(x: Tensor, weights: TapWeights, stride: int) -> EdgeTerms:
    """Run a 3 x 3 convolution of a linear map of x, kept in parts as `edge_terms` does (docs/model.md 10).

    Args:
        x: [H, W, C].
        weights: of the convolution and the linear map.
        stride: pixels per token side.

    Returns:
        The terms of O channels, for tokens of that side.
    """
    height, width, outs = x.shape[0], x.shape[1], weights.weight.shape[1]
    h, w = height // stride, width // stride
    if exporting():
        shapes = [(height, width, outs), (2, h, width, outs), (2, height, w, outs), (2, 2, h, w, outs)]
        return EdgeTerms(*emit("EdgeTaps", (x, weights), [x.dtype] * 4, shapes, stride=stride))
    products = torch.einsum("yxc,toc->tyxo", x, weights.weight) + weights.tap_bias[:, None, None]
    padded = F.pad(products, (0, 0, 1, 1, 1, 1))
    seen = [padded[3 * dy + dx, dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
    above, below = seen[0] + seen[1] + seen[2], seen[6] + seen[7] + seen[8]
    before, after = seen[0] + seen[3] + seen[6], seen[2] + seen[5] + seen[8]
    last = stride - 1
    corners = torch.stack(
        [
            torch.stack([seen[0][::stride, ::stride], seen[2][::stride, last::stride]]),
            torch.stack([seen[6][last::stride, ::stride], seen[8][last::stride, last::stride]]),
        ]
    )
    rows = torch.stack([above[::stride], below[last::stride]])
    columns = torch.stack([before[:, ::stride], after[:, last::stride]])
    edge = above + (seen[3] + seen[4] + seen[5]) + below + weights.bias
    return EdgeTerms(edge, rows, columns, corners)


def fold_lateral(lateral: nn.Conv2d, conv: nn.Conv2d) -> TapWeights:
    """Write the taps of a 3 x 3 convolution behind a 1 x 1 convolution as linear maps of what comes in.

    Args:
        lateral: the 1 x 1 convolution, C to C' channels.
        conv: the 3 x 3 convolution, C' to O channels.

    Returns:
        The taps. One outside the map adds neither weight nor tap_bias: its padding is behind the 1 x 1 convolution.
    """
    assert lateral.bias is not None and conv.bias is not None
    taps = conv.weight.flatten(2).permute(2, 0, 1)  # [9, O, C']
    return TapWeights(taps @ lateral.weight[:, :, 0, 0], taps @ lateral.bias, conv.bias)


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

    @property
    def filters(self) -> CannyFilters:
        """The weights."""
        return CannyFilters(
            gaussian_h=self.g_h.weight,
            gaussian_v=self.g_v.weight,
            sobel_h=self.sobh.weight,
            sobel_v=self.sobv.weight,
            directions=self.dirf.weight,
        )

    def forward(self, image: Tensor) -> Tensor:
        """Compute the channels: [batch, 3, H, W] in [0, 1] -> [batch, 5, H, W], see `_canny_edges`."""
        return _canny_edges(image, self.filters)


def residual_conv_block(x: Tensor, weights: ResidualBlockWeights, epsilon: float) -> Tensor:
    """Run GroupNorm(1), SiLU and a 3 x 3 convolution, twice, with an identity shortcut.

    Args:
        x: [H, W, C].
        weights: of C channels.
        epsilon: of the norms.

    Returns:
        [H, W, C]
    """
    if exporting():
        return emit("ResidualConvBlock", (x, weights), [x.dtype], [x.shape], epsilon=epsilon)[0]
    return _residual_conv_block(x.permute(2, 0, 1)[None], weights, epsilon)[0].permute(1, 2, 0)


def _residual_conv_block(x: Tensor, weights: ResidualBlockWeights, epsilon: float) -> Tensor:
    """Run `residual_conv_block` of maps [batch, C, H, W]."""
    y = x
    for norm, conv in ((weights.norm1, weights.conv1), (weights.norm2, weights.conv2)):
        y = F.silu(F.group_norm(y, 1, norm.weight, norm.bias, epsilon))
        y = F.conv2d(y, conv.weight, conv.bias, padding=1)
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
        """Run the block: [batch, dim, H, W] -> the same shape; in a graph [H, W, dim]."""
        weights = ResidualBlockWeights(
            NormWeights.of(self.norm1),
            LinearWeights.of(self.conv1),
            NormWeights.of(self.norm2),
            LinearWeights.of(self.conv2),
        )
        if exporting():
            return residual_conv_block(x, weights, self.norm1.eps)
        return _residual_conv_block(x, weights, self.norm1.eps)


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
        """Compute the edge maps of normalised images.

        Args:
            image: float32 [batch, 3, H, W] in the model's channel order; H and W are multiples of 16.

        Returns:
            Coarse to fine: [batch, dims[3], H/8, W/8], [batch, dims[2], H/4, W/4], ..., [batch, dims[0], H, W].
        """
        return [lateral(x) for lateral, x in zip(self.lateral_convs, self.pyramid(image), strict=True)][::-1]

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """Compute every level before its 1 x 1 convolution.

        Args:
            image: as for `forward`.

        Returns:
            Fine to coarse: [batch, dims[k], H / 2^k, W / 2^k]; in a graph, where there is one image and the channels
            come last, [H / 2^k, W / 2^k, dims[k]].
        """
        conv1 = self.conv1
        if exporting():
            edges = canny_edges(image[0], self.mean.view(3), self.std.view(3), self.canny.filters)
            x = conv3x3(edges, LinearWeights.of(conv1), 1)
        else:
            x = conv1(self.canny(torch.clamp((image * self.std + self.mean) / 255.0, 0.0, 1.0)))
        levels = []
        for level, blocks in enumerate(self.block_list):
            x = blocks(x)
            levels.append(x)
            if level < len(self.downsamplers):
                down = self.downsamplers[level]
                assert isinstance(down, nn.Conv2d)
                x = conv3x3(x, LinearWeights.of(down), 2) if exporting() else down(x)
        return levels
