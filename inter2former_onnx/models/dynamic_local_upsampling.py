"""Dynamic local upsampling (docs/model.md 9): find the object's box on the token grid, draw the mask only there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration import DecodeHeadConfig
from .custom_op import emit, exporting
from .weights import FourLayerWeights, LinearWeights, NormWeights

OUTSIDE_LOGIT = -100.0
Box = tuple[int, int, int, int]


class EdgeTerms(NamedTuple):
    """What an edge map adds to one level's output, for any crop along the borders of tokens of s pixels (stride).

    In bundles the tensors are called as here, with the level's number behind.

    Attributes:
        edge: [H, W, Co] the edge term of the whole map.
        edge_rows: [2, h, W, Co] what it holds for each row of tokens from the line above it, and from that below.
        edge_columns: [2, H, w, Co] for each column of tokens from the line to its left, and from that to its right.
        edge_corners: [2, 2, h, w, Co] for each token from the pixels beyond its corners, top or bottom, left or right.
    """

    edge: Tensor
    edge_rows: Tensor
    edge_columns: Tensor
    edge_corners: Tensor


def localise(x: Tensor, grid: Tensor, weights: FourLayerWeights) -> Tensor:
    """Ask every token whether the object is in it: linear layers with SiLU between.

    Args:
        x: [N, C] tokens.
        grid: int64 [2], rows and columns.
        weights: of the linear layers, C to C1, C2, C3 and 1 channels.

    Returns:
        [h, w] logits of "the object is in this token".
    """
    *inner, last = weights.layers
    for weight, bias in inner:
        x = F.silu(F.linear(x, weight, bias))
    return F.linear(x, last.weight, last.bias).view(int(grid[0]), int(grid[1]))


def local_box(localisation: Tensor, threshold: Tensor) -> Tensor:
    """Find the bounding box of localisation > threshold, the whole grid when there is none.

    Args:
        localisation: [h, w].
        threshold: [].

    Returns:
        int64 [4], left, top, right, bottom in tokens.
    """
    if exporting():
        return emit("LocalBox", (localisation, threshold), [torch.int64], [(4,)])[0]
    inside = localisation > threshold
    rows, columns = torch.nonzero(inside.any(1)).flatten(), torch.nonzero(inside.any(0)).flatten()
    if rows.numel() == 0:
        return torch.tensor([0, 0, localisation.shape[1], localisation.shape[0]])
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).cpu()


def crop_tokens(x: Tensor, grid: Tensor, box: Tensor) -> Tensor:
    """Cut the tokens of a box out.

    Args:
        x: [N, C] tokens of a grid.
        grid: int64 [2], its rows and columns.
        box: int64 [4], left, top, right, bottom in tokens.

    Returns:
        [b - t, r - l, C]
    """
    if exporting():
        # How large the box is shows only when the graph runs. The exporter needs some shape, and none of it reaches
        # the file (export/onnx_graph.py drops it).
        return emit("CropTokens", (x, grid, box), [x.dtype], [(x.shape[0], 1, x.shape[1])])[0]
    left, top, right, bottom = box.tolist()
    return x.unflatten(0, grid.tolist())[top:bottom, left:right]


def edge_terms(edge: Tensor, conv: LinearWeights, stride: int) -> EdgeTerms:
    """Compute what an edge map adds to one level's output, for any crop along token borders.

    conv3x3(bicubic2x(x) + edge) is conv3x3(bicubic2x(x)) + conv3x3(edge), and the second term does not depend on
    clicks. Its zero padding lies at the crop's border, so beside the convolution of the whole map this keeps what each
    row and column of tokens would get from the edge pixels just outside it; `crop_edge_term` takes that off.

    Args:
        edge: [Ci, H, W] edge map at the level's output size.
        conv: of the level's convolution, [Co, Ci, 3, 3] and [Co].
        stride: output pixels per token side.

    Returns:
        The terms, for tokens of that side.
    """
    weight, bias = conv
    padded = F.pad(edge, (1, 1, 1, 1))[None]
    last = stride + 1  # in the padded map, the line just after the first token; the line before it is 0
    terms = F.conv2d(padded, weight, bias)
    above = F.conv2d(padded[:, :, :-2], weight[:, :, :1], stride=(stride, 1))
    below = F.conv2d(padded[:, :, last:], weight[:, :, 2:], stride=(stride, 1))
    before = F.conv2d(padded[:, :, :, :-2], weight[:, :, :, :1], stride=(1, stride))
    after = F.conv2d(padded[:, :, :, last:], weight[:, :, :, 2:], stride=(1, stride))
    corners = [
        F.conv2d(padded[:, :, top, left], weight[:, :, row : row + 1, column : column + 1], stride=stride)
        for top, row in ((slice(None, -2), 0), (slice(last, None), 2))
        for left, column in ((slice(None, -2), 0), (slice(last, None), 2))
    ]
    rows, columns = torch.cat([above, below]), torch.cat([before, after])
    corner = torch.cat(corners).unflatten(0, (2, 2))
    return EdgeTerms(terms[0].movedim(0, -1), rows.movedim(1, -1), columns.movedim(1, -1), corner.movedim(2, -1))


def crop_edge_term(terms: EdgeTerms, box: Sequence[int]) -> Tensor:
    """Take the edge term of a box out of `edge_terms`, as if the edge map were zero beside the box.

    Args:
        terms: of stride s.
        box: left, top, right, bottom in tokens.

    Returns:
        [s (b - t), s (r - l), Co]
    """
    left, top, right, bottom = box
    edge, rows, columns, corners = terms
    s = edge.shape[0] // corners.shape[2]
    out = edge[s * top : s * bottom, s * left : s * right].clone()
    out[0] -= rows[0, top, s * left : s * right]
    out[-1] -= rows[1, bottom - 1, s * left : s * right]
    out[:, 0] -= columns[0, s * top : s * bottom, left]
    out[:, -1] -= columns[1, s * top : s * bottom, right - 1]
    out[0, 0] += corners[0, 0, top, left]
    out[0, -1] += corners[0, 1, top, right - 1]
    out[-1, 0] += corners[1, 0, bottom - 1, left]
    out[-1, -1] += corners[1, 1, bottom - 1, right - 1]
    return out


def local_upsample_2x(
    x: Tensor,
    box: Tensor,
    terms: EdgeTerms,
    norm: NormWeights,
    weight: Tensor,
    activation: int,
    epsilon: float,
) -> Tensor:
    """Run one level: GroupNorm(1) over the crop, bicubic 2x, 3 x 3 convolution, plus the edge term.

    Args:
        x: [h', w', Ci].
        box: int64 [4], the crop in tokens (l, t, r, b).
        terms: of the level's edge map.
        norm: of the GroupNorm, [Ci].
        weight: [Co, Ci, 3, 3], of the convolution, whose bias is in the edge terms.
        activation: 1 for SiLU, 0 for none.
        epsilon: of the GroupNorm.

    Returns:
        [2h', 2w', Co]
    """
    if exporting():
        inputs = (x, box, terms, norm, weight)
        shape = (2 * x.shape[0], 2 * x.shape[1], weight.shape[0])
        return emit("LocalUpsample2x", inputs, [x.dtype], [shape], activation=activation, epsilon=epsilon)[0]
    normalised = F.group_norm(x.permute(2, 0, 1)[None], 1, norm.weight, norm.bias, epsilon)
    out = F.conv2d(bicubic_2x(normalised), weight, padding=1)[0].permute(1, 2, 0)
    out = out + crop_edge_term(terms, box.tolist())
    return F.silu(out) if activation else out


def bicubic_2x(x: Tensor) -> Tensor:
    """Double both sides: [1, C, h, w] -> [1, C, 2h, 2w]; half-pixel centres, a = -0.75, border replicated."""
    return F.interpolate(x, scale_factor=2.0, mode="bicubic", align_corners=False)


class LocalUpsample2x(nn.Module):
    """The weights of one level."""

    def __init__(self, in_dim: int, out_dim: int, activation: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, in_dim)
        self.conv = nn.Conv2d(in_dim, out_dim, 3, padding=1)
        self.activation = activation

    def forward(self, x: Tensor, edge: Tensor) -> Tensor:
        """Run the level in the published order of steps.

        Args:
            x: [1, Ci, h', w'].
            edge: [1, Ci, 2h', 2w'], the edge map's crop.

        Returns:
            [1, Co, 2h', 2w']
        """
        x = self.conv(bicubic_2x(self.norm(x)) + edge)
        return F.silu(x) if self.activation else x


class DynamicLocalUpsampling(nn.Module):
    """Decode head: localisation and four levels of upsampling."""

    def __init__(self, config: DecodeHeadConfig, edge_dims: Sequence[int]) -> None:
        super().__init__()
        self.config = config
        dims = (*reversed(edge_dims), 1)
        last = len(dims) - 2
        self.upsamplers = nn.ModuleList(
            LocalUpsample2x(dims[level], dims[level + 1], activation=level < last) for level in range(len(dims) - 1)
        )
        widths = [config.embed_dim] + [max(1, config.embed_dim // 4**i) for i in (1, 2, 3)] + [1]
        layers: list[nn.Module] = []
        for before, after in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(before, after, 1), nn.SiLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    @property
    def levels(self) -> list[LocalUpsample2x]:
        """The upsampling levels, coarse to fine."""
        return [module for module in self.upsamplers if isinstance(module, LocalUpsample2x)]

    def localise(self, x: Tensor, grid: Tensor) -> Tensor:
        """Compute the localisation logits: [N, C] tokens, int64 [2] (rows, columns) -> [h, w]."""
        layers = [LinearWeights.of(layer) for layer in self.mlp if isinstance(layer, nn.Conv2d)]
        weights = FourLayerWeights.of([LinearWeights(layer.weight.flatten(1), layer.bias) for layer in layers])
        if exporting():
            shape = (x.shape[0],)  # rows x columns; the exporter cannot know how it splits
            return emit("Localise", (x, grid, weights), [x.dtype], [shape])[0]
        return localise(x, grid, weights)

    def forward(self, x: Tensor, edges: Sequence[Tensor], dense: bool = False) -> tuple[Tensor, Box]:
        """Draw the mask inside the localised box.

        Args:
            x: [h * w, C] tokens.
            edges: edge maps, coarse to fine, each [Ci, H_k, W_k] (see `EdgeDetector`).
            dense: upsample the whole grid, whatever the localisation says.

        Returns:
            logits [16 (b - t), 16 (r - l)] and the box (l, t, r, b) in tokens.
        """
        h, w = edges[0].shape[1] // 2, edges[0].shape[2] // 2
        threshold = torch.tensor(-torch.inf if dense else self.config.threshold, device=x.device)
        left, top, right, bottom = local_box(self.localise(x, torch.tensor([h, w])), threshold).tolist()
        crop = x.unflatten(0, (h, w))[top:bottom, left:right].permute(2, 0, 1)[None]
        for level, (upsampler, edge) in enumerate(zip(self.levels, edges, strict=True)):
            s = 2 ** (level + 1)
            crop = upsampler(crop, edge[None, :, s * top : s * bottom, s * left : s * right])
        return crop[0, 0], (left, top, right, bottom)
