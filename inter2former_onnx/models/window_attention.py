"""Window attention of the image encoder (docs/model.md 2): windows of several scales side by side in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .custom_op import emit, exporting
from .projections import norm_projection, residual_projection
from .rotary import rotary_tables, rotate
from .weights import LinearWeights, NormWeights


class WindowPlan(NamedTuple):
    """Which token sits where in the windows, for one arrangement (plain or shifted) of all scales.

    Attributes:
        tokens: int64 [windows * window^2], the token at each window position; their number N stands for padding.
        positions: int64 [N], where each token of all scales went: an index into `tokens`.
        cos, sin: float32 [windows, 1, window^2, head_dim] rotary tables of the padded grids' positions.
    """

    tokens: Tensor
    positions: Tensor
    cos: Tensor
    sin: Tensor


def plan_windows(
    grids: Sequence[tuple[int, int]], offsets: Sequence[int], window: int, frequencies: Tensor
) -> WindowPlan:
    """Cut every scale's grid into windows.

    A grid that is shifted by `offset` is padded by (window - offset) % window tokens at the top and left, any grid to a
    multiple of the window at the bottom and right. Only arithmetic on indices, so that an export can trace it for
    grids whose sizes it does not know.

    Args:
        grids: (rows, columns) of each scale, in the order of their tokens.
        offsets: how far each scale's windows are shifted, in tokens.
        window: tokens per window side.
        frequencies: [head_dim / 4], already multiplied by the position ratio.

    Returns:
        The windows of all scales, one scale after the other.
    """
    count = sum(rows * columns for rows, columns in grids)
    tokens: list[Tensor] = []
    positions: list[Tensor] = []
    row_positions: list[Tensor] = []
    column_positions: list[Tensor] = []
    first_token, first_place = 0, 0
    for (rows, columns), offset in zip(grids, offsets, strict=True):
        before = (window - offset) % window
        high, wide = (before + rows + window - 1) // window, (before + columns + window - 1) // window  # in windows
        # Over [high, wide, window, window], the order of the places.
        row = torch.arange(high * window).view(high, 1, window, 1)
        column = torch.arange(wide * window).view(1, wide, 1, window)
        inside = (row >= before) & (row < before + rows) & (column >= before) & (column < before + columns)
        own = first_token + (row - before) * columns + (column - before)
        tokens.append(torch.where(inside, own, count).flatten())
        shape = (high, wide, window, window)
        row_positions.append(row.expand(shape).flatten())
        column_positions.append(column.expand(shape).flatten())
        # Where the token in (row, column) of the grid went.
        row, column = torch.arange(rows) + before, torch.arange(columns) + before
        area = window * window
        from_row = (row // window) * (wide * area) + row % window * window
        from_column = (column // window) * area + column % window
        positions.append((first_place + from_row[:, None] + from_column[None]).flatten())
        first_token = first_token + rows * columns
        first_place = first_place + high * wide * area
    cos, sin = rotary_tables(torch.cat(row_positions).float(), torch.cat(column_positions).float(), frequencies)
    shape = (-1, 1, window * window, cos.shape[-1])
    return WindowPlan(torch.cat(tokens), torch.cat(positions), cos.view(shape), sin.view(shape))


def window_attention(qkv: Tensor, padding: Tensor, plan: WindowPlan, num_heads: int) -> Tensor:
    """Run multi-head attention with rotary embedding inside windows.

    Args:
        qkv: [..., N, 3C], the columns of q, k and v side by side; in a graph [N, 3C] only.
        padding: [3C], the row of positions without a token.
        plan: of the windows.
        num_heads: heads of C.

    Returns:
        [..., N, C]
    """
    channels = qkv.shape[-1] // 3
    if exporting():
        shape = (qkv.shape[0], channels)
        return emit("WindowAttention", (qkv, padding, plan), [qkv.dtype], [shape], num_heads=num_heads)[0]
    tokens, positions, cos, sin = plan
    windows, _, area, head_dim = cos.shape
    rows = torch.cat([qkv, padding.expand(*qkv.shape[:-2], 1, 3 * channels)], dim=-2)
    q, k, v = rows.index_select(-2, tokens).view(-1, area, 3, num_heads, head_dim).permute(2, 0, 3, 1, 4)
    images = q.shape[0] // windows
    if images > 1:
        cos, sin = cos.repeat(images, 1, 1, 1), sin.repeat(images, 1, 1, 1)
    out = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
    out = out.transpose(1, 2).reshape(*qkv.shape[:-2], windows * area, channels)
    return out.index_select(-2, positions)


class WindowAttention(nn.Module):
    """Multi-head attention inside windows; padded positions hold a learned token and take part as keys and values."""

    padding_row: Tensor | None

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.padding = nn.Parameter(torch.zeros(1, dim))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.register_buffer("padding_row", None, persistent=False)

    def fold_padding(self) -> None:
        """Compute q, k and v of the padding now, for a graph to hold as a constant. Only exported graphs use it."""
        with torch.no_grad():
            self.padding_row = self.qkv(self.padding)[0]

    def forward(self, x: Tensor, norm: nn.LayerNorm, plan: WindowPlan) -> Tensor:
        """Compute x + attention(norm(x)): [..., N, dim] -> the same shape.

        Projecting the tokens before they are arranged into windows, and the padding by itself, saves a third of the
        projections in the shifted arrangement.
        """
        qkv = norm_projection(x, NormWeights.of(norm), LinearWeights.of(self.qkv), norm.eps)
        if exporting():
            assert self.padding_row is not None, "fold_padding() comes before an export"
            padding = self.padding_row
        else:
            padding = self.qkv(self.padding)[0]
        out = window_attention(qkv, padding, plan, self.num_heads)
        return residual_projection(out, x, LinearWeights.of(self.proj))
