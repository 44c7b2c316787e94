"""Image encoder (docs/model.md 2): an HRSAM-style ViT over two scales of the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration import BackboneConfig
from .custom_op import exporting
from .projections import norm_mlp, norm_projection
from .rotary import POSITION_RATIO, rotary_frequencies
from .weights import LinearWeights, MlpWeights, NormWeights
from .window_attention import WindowAttention, WindowPlan, plan_windows


class PatchEmbed(nn.Module):
    """16 x 16 patches to tokens, a linear layer kept in the shape of a convolution."""

    def __init__(self, in_dim: int, embed_dim: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_dim, embed_dim, patch_size, patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Cut and project: [batch, in_dim, H, W] -> [batch, H/16 * W/16, embed_dim]."""
        return self.proj(x).flatten(2).transpose(1, 2)


class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor, norm: nn.LayerNorm) -> Tensor:
        """Compute x + mlp(norm(x)): [..., dim] -> the same shape."""
        weights = MlpWeights(*LinearWeights.of(self.fc1), *LinearWeights.of(self.fc2))
        return norm_mlp(x, NormWeights.of(norm), weights, norm.eps)


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor, plan: WindowPlan) -> Tensor:
        """Run the block: [..., tokens of all scales, dim] -> the same shape."""
        return self.mlp(self.attn(x, self.norm1, plan), self.norm2)


class RotaryFrequencies(nn.Module):
    """Holds the frequencies under their published name, `rope.freqs`."""

    freqs: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.register_buffer("freqs", rotary_frequencies(head_dim))


class ChannelsLast(nn.Module):
    """A permutation that is a module, so that `out_conv` keeps its published numbering."""

    def forward(self, x: Tensor) -> Tensor:
        """Move the channels: [batch, C, h, w] -> [batch, h, w, C]."""
        return x.permute(0, 2, 3, 1)


class ImageEncoder(nn.Module):
    """The image, at full size and as small copies, to one embedding per 16 x 16 pixels."""

    def __init__(self, config: BackboneConfig, square: int | None = None) -> None:
        """Make the layers.

        Args:
            config: their sizes.
            square: the side in pixels of which every image is the upper left part (geometry `fit`); else None.
        """
        super().__init__()
        self.config = config
        self.square = square
        dim, out_dim = config.embed_dim, config.final_embed_dim
        head_dim = dim // config.num_heads
        self.scales = 1 + len(config.downsample_sizes)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (config.img_size // config.patch_size) ** 2, dim))
        self.patch_embed = PatchEmbed(config.in_dim, dim, config.patch_size)
        self.rope = RotaryFrequencies(head_dim)
        self.blocks = nn.ModuleList(Block(dim, config.num_heads, config.mlp_ratio) for _ in range(config.depth))
        outs = range(len(config.out_indices))
        self.multi_scale_fusion = nn.ModuleList(nn.Sequential(nn.LayerNorm(dim)) for _ in outs)
        self.lateral_convs = nn.ModuleList(
            nn.Sequential(nn.Linear(self.scales * dim, out_dim, bias=False), nn.LayerNorm(out_dim)) for _ in outs
        )
        self.lateral_parts: list[list[Tensor]] | None = None  # only exported graphs use them
        self.out_conv = nn.Sequential(
            nn.Conv2d(out_dim, out_dim, 3, padding=1, groups=out_dim, bias=False),
            ChannelsLast(),
            nn.LayerNorm(out_dim),
        )

    def grids(self, height: int, width: int) -> list[tuple[int, int]]:
        """Give the token rows and columns of every scale for an image of this size in pixels."""
        patch = self.config.patch_size
        return [(height // patch, width // patch), *((size // patch,) * 2 for size in self.config.downsample_sizes)]

    def whole(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Give token rows and columns of the square that a full-size grid is part of: the grid itself without one."""
        return grid if self.square is None else (self.square // self.config.patch_size,) * 2

    def plans(self, height: int, width: int) -> tuple[WindowPlan, WindowPlan]:
        """Plan the plain and the shifted arrangement of windows, for even and odd blocks.

        A scale is shifted, by half a window, only if a side of its grid exceeds the window. A part of a square is
        arranged as the square is.
        """
        window, grids = self.config.window_size, self.grids(height, width)
        sides = [max(self.whole(grids[0])), *(max(grid) for grid in grids[1:])]
        offsets = [window // 2 if side > window else 0 for side in sides]
        frequencies = self.rope.freqs * POSITION_RATIO
        plain = plan_windows(grids, [0] * len(grids), window, frequencies)
        return plain, plan_windows(grids, offsets, window, frequencies)

    def fold_constants(self) -> None:
        """Compute now what a graph holds as constants: q, k, v of the padding; each scale's part of the laterals."""
        for block in self.blocks.children():
            assert isinstance(block, Block)
            block.attn.fold_padding()
        laterals = [layer.weight.detach() for layer in self.lateral_convs.modules() if isinstance(layer, nn.Linear)]
        dim = self.config.embed_dim
        self.lateral_parts = [[part.contiguous() for part in weight.split(dim, dim=1)] for weight in laterals]

    def forward(self, image: Tensor, plans: tuple[WindowPlan, WindowPlan] | None = None) -> Tensor:
        """Encode normalised images.

        Args:
            image: float32 [batch, 3, H, W]; H and W are multiples of 16, and at most `square`.
            plans: of that size, if they are at hand (an export makes constants of them).

        Returns:
            float32 [batch, final_embed_dim, H/16, W/16].
        """
        height, width = image.shape[-2:]
        grids = self.grids(height, width)
        tokens = [self.patch_embed(image) + self.position_embedding(self.whole(grids[0]), grids[0])]
        around = image  # the small copies are the whole square's
        if self.square is not None:
            around = F.pad(image, (0, self.square - width, 0, self.square - height))
        for size, grid in zip(self.config.downsample_sizes, grids[1:], strict=True):
            copy = F.interpolate(around, size=(size, size), mode="bilinear", align_corners=False)
            tokens.append(self.patch_embed(copy) + self.position_embedding(grid, grid))
        x = torch.cat(tokens, dim=1)
        if exporting():
            x = x[0]  # the ops of a graph take one image's tokens
        plans = plans or self.plans(height, width)
        fused: Tensor | None = None
        level = 0
        for index, block in enumerate(self.blocks):
            x = block(x, plans[index % 2])
            for _ in range(self.config.out_indices.count(index)):
                lateral = self.fuse_scales(x, grids, level)
                fused = lateral if fused is None else fused + lateral
                level += 1
        assert fused is not None  # out_indices is never empty (configuration)
        rows, columns = grids[0]
        fused = fused.view(-1, rows, columns, self.config.final_embed_dim).permute(0, 3, 1, 2)
        return self.out_conv(fused).permute(0, 3, 1, 2)

    def position_embedding(self, whole: tuple[int, int], grid: tuple[int, int]) -> Tensor:
        """Resize the learned positions to `whole` bilinearly, and take `grid` of that: [1, rows * columns, dim]."""
        side = self.config.img_size // self.config.patch_size
        learned = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        resized = F.interpolate(learned, size=whole, mode="bilinear", align_corners=False)
        return resized[:, :, : grid[0], : grid[1]].flatten(2).transpose(1, 2)

    def fuse_scales(self, x: Tensor, grids: list[tuple[int, int]], level: int) -> Tensor:
        """Bring every scale to the full grid and join them.

        Args:
            x: [..., tokens of all scales, dim].
            grids: rows and columns of every scale, the full one first.
            level: which of the fused blocks these are, from 0.

        Returns:
            [..., h * w, out_dim]
        """
        parts = torch.split(x, [rows * columns for rows, columns in grids], dim=-2)
        resized = [parts[0]]
        for part, grid in zip(parts[1:], grids[1:], strict=True):
            small = part.transpose(-1, -2).reshape(-1, self.config.embed_dim, *grid)
            large = F.interpolate(small, size=self.whole(grids[0]), mode="bilinear", align_corners=False)
            large = large[:, :, : grids[0][0], : grids[0][1]]
            resized.append(large.flatten(2).transpose(1, 2).reshape(*x.shape[:-2], -1, self.config.embed_dim))
        norm, lateral = self.multi_scale_fusion[level], self.lateral_convs[level]
        if not exporting():
            return lateral(torch.cat([norm(part) for part in resized], dim=-1))
        # The linear layer of joined channels as a sum over scales: each with its norm is an op, nothing is joined.
        assert self.lateral_parts is not None, "fold_constants() comes before an export"
        assert isinstance(norm, nn.Sequential) and isinstance(norm[0], nn.LayerNorm)
        assert isinstance(lateral, nn.Sequential)
        no_bias = torch.zeros(self.config.final_embed_dim)
        weights = [LinearWeights(part, no_bias) for part in self.lateral_parts[level]]
        scales = zip(resized, weights, strict=True)
        terms = [norm_projection(y, NormWeights.of(norm[0]), part, norm[0].eps) for y, part in scales]
        return lateral[1](sum(terms[1:], start=terms[0]))
