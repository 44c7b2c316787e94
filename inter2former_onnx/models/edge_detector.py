"""Edge detector, CannyNet (docs/model.md 3): hand-made edge channels, then a small convolutional pyramid."""

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


def canny_edges(
    image: Tensor,
    mean: Tensor,
    std: Tensor,
    gaussian_h: Tensor,
    gaussian_v: Tensor,
    sobel_h: Tensor,
    sobel_v: Tensor,
    directions: Tensor,
) -> Tensor:
    """Compute gradient magnitude, orientation and thinned edges of a normalised image, each of unit L2 norm.

    Args:
        image: [3, H, W], normalised with `mean` and `std`, [3].
        gaussian_h, gaussian_v, sobel_h, sobel_v, directions: weights of the filters, see Canny.

    Returns:
        [H, W, 5], see `_canny_edges`.
    """
    filters = (gaussian_h, gaussian_v, sobel_h, sobel_v, directions)
    if exporting():
        shape = (image.shape[1], image.shape[2], 5)
        return emit("CannyEdges", (image, mean, std, *filters), [image.dtype], [shape])[0]
    seen = torch.clamp((image * std[:, None, None] + mean[:, None, None]) / 255.0, 0.0, 1.0)
    return _canny_edges(seen[None], filters)[0].permute(1, 2, 0)


def _canny_edges(image: Tensor, filters: Sequence[Tensor]) -> Tensor:
    """Compute the channels: [batch, 3, H, W] in [0, 1] -> [batch, 5, H, W], each of unit L2 norm.

    They are: gradient magnitude, orientation in degrees, thinned magnitude, and the last and first of these with
    values below the threshold set to zero.
    """
    gaussian_h, gaussian_v, sobel_h, sobel_v, directions = filters
    batch, channels, height, width = image.shape
    x = image.reshape(batch * channels, 1, height, width)  # every colour channel by itself
    x = F.conv2d(x, gaussian_h, padding=(0, 2))
    x = F.conv2d(x, gaussian_v, padding=(2, 0))
    gx = F.conv2d(x, sobel_h, padding=1).view(batch, channels, height, width)
    gy = F.conv2d(x, sobel_v, padding=1).view(batch, channels, height, width)
    magnitude = torch.sqrt(gx**2 + gy**2).sum(1, keepdim=True)
    orientation = torch.atan2(gy.sum(1, keepdim=True), gx.sum(1, keepdim=True)) * (180.0 / math.pi) + 180.0
    orientation = torch.round(orientation / SECTOR) * SECTOR
    differences = F.conv2d(magnitude, directions, padding=1)
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


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """Run a 3 x 3 convolution with zero padding.

    Args:
        x: [H, W, Ci].
        weight, bias: [Co, Ci, 3, 3], [Co].
        stride: 1 or 2.

    Returns:
        [H / stride, W / stride, Co], rounded up.
    """
    if exporting():
        height, width = ((size + stride - 1) // stride for size in x.shape[:2])
        return emit("Conv3x3", (x, weight, bias), [x.dtype], [(height, width, weight.shape[0])], stride=stride)[0]
    return F.conv2d(x.permute(2, 0, 1)[None], weight, bias, stride, padding=1)[0].permute(1, 2, 0)


def edge_taps(
    x: Tensor, weight: Tensor, tap_bias: Tensor, bias: Tensor, stride: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run a 3 x 3 convolution of a linear map of x, kept in parts as `edge_terms` does (docs/model.md 10).

    Args:
        x: [H, W, C].
        weight, tap_bias: [9, O, C], [9, O], each tap of the convolution times the linear map, see `fold_lateral`.
        bias: [O], of the convolution.
        stride: pixels per token side.

    Returns:
        terms [H, W, O], rows [2, h, W, O], columns [2, H, w, O] and corners [2, 2, h, w, O], see `edge_terms`.
    """
    height, width, outs = x.shape[0], x.shape[1], weight.shape[1]
    h, w = height // stride, width // stride
    if exporting():
        shapes = [(height, width, outs), (2, h, width, outs), (2, height, w, outs), (2, 2, h, w, outs)]
        terms, rows, columns, corners = emit(
            "EdgeTaps", (x, weight, tap_bias, bias), [x.dtype] * 4, shapes, stride=stride
        )
        return terms, rows, columns, corners
    products = torch.einsum("yxc,toc->tyxo", x, weight) + tap_bias[:, None, None]
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
    return above + (seen[3] + seen[4] + seen[5]) + below + bias, rows, columns, corners


def fold_lateral(lateral: nn.Conv2d, conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Write the taps of a 3 x 3 convolution behind a 1 x 1 convolution as linear maps of what comes in.

    Args:
        lateral: the 1 x 1 convolution, C to C' channels.
        conv: the 3 x 3 convolution, C' to O channels.

    Returns:
        weight [9, O, C] and tap_bias [9, O]. A tap outside the map adds neither: its padding is behind the 1 x 1 one.
    """
    assert lateral.bias is not None
    taps = conv.weight.flatten(2).permute(2, 0, 1)  # [9, O, C']
    return taps @ lateral.weight[:, :, 0, 0], taps @ lateral.bias


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
    def filters(self) -> tuple[Tensor, ...]:
        """The weights, in the order of `canny_edges`."""
        return tuple(conv.weight for conv in (self.g_h, self.g_v, self.sobh, self.sobv, self.dirf))

    def forward(self, image: Tensor) -> Tensor:
        """Compute the channels: [batch, 3, H, W] in [0, 1] -> [batch, 5, H, W], see `_canny_edges`."""
        return _canny_edges(image, self.filters)


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
    """Run GroupNorm(1), SiLU and a 3 x 3 convolution, twice, with an identity shortcut.

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
    """Run `residual_conv_block` of maps [batch, C, H, W]."""
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
        """Run the block: [batch, dim, H, W] -> the same shape; in a graph [H, W, dim]."""
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
            assert conv1.bias is not None
            edges = canny_edges(image[0], self.mean.view(3), self.std.view(3), *self.canny.filters)
            x = conv3x3(edges, conv1.weight, conv1.bias, 1)
        else:
            x = conv1(self.canny(torch.clamp((image * self.std + self.mean) / 255.0, 0.0, 1.0)))
        levels = []
        for level, blocks in enumerate(self.block_list):
            x = blocks(x)
            levels.append(x)
            if level < len(self.downsamplers):
                down = self.downsamplers[level]
                assert isinstance(down, nn.Conv2d) and down.bias is not None
                x = conv3x3(x, down.weight, down.bias, 2) if exporting() else down(x)
        return levels
