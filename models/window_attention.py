"""Window attention of the image encoder (docs/model.md 2): windows of several scales side by side in one batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .custom_op import emit, exporting
from .projections import norm_projection, residual_projection
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


def plan_windows(grids: list[tuple[int, int]], window: int, shift: bool, frequencies: Tensor) -> WindowPlan:
    """Cut every scale's grid into windows.

    A shifted grid is padded by half a window at the top and left, any grid to a multiple of the window at the
    bottom and right. A scale is shifted only if a side of its grid exceeds the window.

    Args:
        grids: (rows, columns) of each scale, in the order of their tokens.
        window: tokens per window side.
        shift: whether this is the arrangement of the odd blocks.
        frequencies: [head_dim / 4], already multiplied by the position ratio.
    """
    count = sum(rows * columns for rows, columns in grids)
    tokens: list[Tensor] = []
    row_positions: list[Tensor] = []
    column_positions: list[Tensor] = []
    first = 0
    for rows, columns in grids:
        offset = window // 2 if shift and max(rows, columns) > window else 0
        before = (window - offset) % window
        padded_rows = -(-(before + rows) // window) * window
        padded_columns = -(-(before + columns) // window) * window
        grid = torch.full((padded_rows, padded_columns), count, dtype=torch.int64)
        own = torch.arange(first, first + rows * columns).view(rows, columns)
        grid[before : before + rows, before : before + columns] = own
        first += rows * columns
        row, column = torch.meshgrid(torch.arange(padded_rows), torch.arange(padded_columns), indexing="ij")
        for source, target in ((grid, tokens), (row, row_positions), (column, column_positions)):
            cut = source.view(padded_rows // window, window, padded_columns // window, window)
            target.append(cut.permute(0, 2, 1, 3).reshape(-1))
    flat = torch.cat(tokens)
    real = torch.nonzero(flat < count).flatten()
    positions = torch.empty(count, dtype=torch.int64)
    positions[flat[real]] = real
    cos, sin = rotary_tables(torch.cat(row_positions).float(), torch.cat(column_positions).float(), frequencies)
    shape = (-1, 1, window * window, cos.shape[-1])
    return WindowPlan(flat, positions, cos.view(shape), sin.view(shape), count)


def window_attention(
    qkv: Tensor, padding: Tensor, tokens: Tensor, positions: Tensor, cos: Tensor, sin: Tensor, num_heads: int
) -> Tensor:
    """Multi-head attention with rotary embedding inside windows.

    Args:
        qkv: [..., N, 3C], the columns of q, k and v side by side; in a graph [N, 3C] only.
        padding: [3C], the row of positions without a token.
        tokens, positions, cos, sin: of a WindowPlan.
        num_heads: heads of C.

    Returns:
        [..., N, C]
    """
    channels = qkv.shape[-1] // 3
    if exporting():
        inputs = (qkv, padding, tokens, positions, cos, sin)
        return emit("WindowAttention", inputs, [qkv.dtype], [(qkv.shape[0], channels)], num_heads=num_heads)[0]
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
        """x + attention(norm(x)). x: [..., plan.count, dim] -> the same shape.

        Projecting the tokens before they are arranged into windows, and the padding by itself, saves a third of the
        projections in the shifted arrangement.
        """
        qkv = norm_projection(x, norm.weight, norm.bias, self.qkv.weight, self.qkv.bias, norm.eps)
        if exporting():
            assert self.padding_row is not None, "fold_padding() comes before an export"
            padding = self.padding_row
        else:
            padding = self.qkv(self.padding)[0]
        out = window_attention(qkv, padding, plan.tokens, plan.positions, plan.cos, plan.sin, self.num_heads)
        return residual_projection(out, x, self.proj.weight, self.proj.bias)
