"""Window attention of the image encoder (docs/model.md 2): windows of several scales side by side in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .rotary import rotary_tables, rotate


@dataclass(frozen=True)
class WindowPlan:
    """Which token sits where in the windows, for one arrangement (plain or shifted) of all scales.

    Attributes:
        tokens: int64 [windows * window^2], the token at each window position; `count` stands for padding.
        positions: int64 [count], where each token went: an index into `tokens`.
        cos, sin: float32 [windows, 1, window^2, head_dim] rotary tables of the padded grids' positions.
        count: number of tokens over all scales.
    """

    tokens: Tensor
    positions: Tensor
    cos: Tensor
    sin: Tensor
    count: int


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
    return WindowPlan(torch.cat(tokens), torch.cat(positions), cos.view(shape), sin.view(shape), count)


class WindowAttention(nn.Module):
    """Multi-head attention inside windows; padded positions hold a learned token and take part as keys and values."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.padding = nn.Parameter(torch.zeros(1, dim))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, plan: WindowPlan) -> Tensor:
        """x: [batch, plan.count, dim] -> the same shape."""
        batch, _, dim = x.shape
        padded = torch.cat([x, self.padding.expand(batch, 1, dim)], dim=1)
        windows, _, area, head_dim = plan.cos.shape
        qkv = self.qkv(padded.index_select(1, plan.tokens)).view(batch * windows, area, 3, self.num_heads, head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        cos, sin = plan.cos, plan.sin
        if batch > 1:
            cos, sin = cos.repeat(batch, 1, 1, 1), sin.repeat(batch, 1, 1, 1)
        out = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        out = out.transpose(1, 2).reshape(batch, windows * area, dim)
        return self.proj(out.index_select(1, plan.positions))
