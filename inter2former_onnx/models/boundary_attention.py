"""Boundary attention (docs/model.md 7): full attention with rotary embedding for the boundary tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .custom_op import emit, exporting
from .rotary import rotary_tables, rotate


def boundary_attention(
    q: Tensor, k: Tensor, v: Tensor, boundary: Tensor, grid: Tensor, freqs: Tensor, num_heads: int
) -> Tensor:
    """Let every boundary token look at all tokens.

    Args:
        q: [Nb, D] queries of the boundary tokens.
        k, v: [N, D] of all tokens.
        boundary: int64 [Nb] token indices of the queries.
        grid: int64 [2], rows and columns of the token grid, N = rows * columns.
        freqs: [D / num_heads / 4] rotary frequencies, already multiplied by the position ratio.
        num_heads: D splits into this many heads.

    Returns:
        [Nb, D] what the boundary tokens attend to.
    """
    q = _rotated(q, boundary, grid, freqs, num_heads)
    k = _rotated(k, torch.arange(k.shape[0], device=k.device), grid, freqs, num_heads)
    out = F.scaled_dot_product_attention(q[None], k[None], _heads(v, num_heads)[None])[0]
    return out.transpose(0, 1).flatten(1)


def unclicked_attention(qkv: Tensor, grid: Tensor, freqs: Tensor, num_heads: int) -> tuple[Tensor, Tensor]:
    """Compute the boundary attention of all tokens, and what it takes to exchange some of its keys afterwards.

    In graphs this is the op FirstAttention.

    Args:
        qkv: [N, 3D], the columns of q, k and v side by side.
        grid, freqs, num_heads: see `boundary_attention`.

    Returns:
        [N, D], and the logarithm of each softmax's denominator, [N, num_heads].
    """
    if exporting():
        n, d = qkv.shape[0], qkv.shape[1] // 3
        attended, lse = emit(
            "FirstAttention", (qkv, grid, freqs), [qkv.dtype, qkv.dtype], [(n, d), (n, num_heads)], num_heads=num_heads
        )
        return attended, lse
    q, k, v = qkv.chunk(3, dim=1)
    tokens = torch.arange(qkv.shape[0], device=qkv.device)
    q, k = (_rotated(part, tokens, grid, freqs, num_heads) for part in (q, k))
    scores = q @ k.transpose(1, 2) * q.shape[2] ** -0.5
    out = torch.softmax(scores, dim=2) @ _heads(v, num_heads)
    return out.transpose(0, 1).flatten(1), torch.logsumexp(scores, dim=2).T


def _heads(x: Tensor, num_heads: int) -> Tensor:
    """Split channels into heads: [n, D] -> [heads, n, D / heads]."""
    return x.unflatten(1, (num_heads, -1)).transpose(0, 1)


def _rotated(x: Tensor, tokens: Tensor, grid: Tensor, freqs: Tensor, num_heads: int) -> Tensor:
    """Rotate the rows of tokens by their places on the grid: [n, D] -> [heads, n, D / heads]."""
    columns = int(grid[1])
    rows = tokens.div(columns, rounding_mode="floor").to(x.dtype)
    cos, sin = rotary_tables(rows, (tokens % columns).to(x.dtype), freqs)
    return rotate(_heads(x, num_heads), cos, sin)
