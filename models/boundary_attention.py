"""Boundary attention: full attention with rotary embedding for the boundary tokens (docs/model.md 7)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .rotary import rotary_tables, rotate


def boundary_attention(
    q: Tensor, k: Tensor, v: Tensor, boundary: Tensor, grid: Tensor, freqs: Tensor, num_heads: int
) -> Tensor:
    """Every boundary token looks at all tokens.

    Args:
        q: [Nb, D] queries of the boundary tokens.
        k, v: [N, D] of all tokens.
        boundary: int64 [Nb] token indices of the queries.
        grid: int64 [2], rows and columns of the token grid, N = rows * columns.
        freqs: [D / num_heads / 4] rotary frequencies, already multiplied by the position ratio.
        num_heads: D splits into this many heads.

    Returns:
        [Nb, D]
    """
    columns = int(grid[1])
    index = torch.arange(k.shape[0], device=k.device)
    cos, sin = rotary_tables(
        index.div(columns, rounding_mode="floor").to(k.dtype), (index % columns).to(k.dtype), freqs
    )
    heads = (num_heads, -1)
    q = rotate(q.unflatten(1, heads).transpose(0, 1), cos[boundary], sin[boundary])
    k = rotate(k.unflatten(1, heads).transpose(0, 1), cos, sin)
    out = F.scaled_dot_product_attention(q[None], k[None], v.unflatten(1, heads).transpose(0, 1)[None])[0]
    return out.transpose(0, 1).flatten(1)
