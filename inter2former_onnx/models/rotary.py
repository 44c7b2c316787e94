"""Rotary position embedding (docs/model.md 2 and 7): rows turn a head's first half of channels, columns the second."""

from __future__ import annotations

import torch
from torch import Tensor

POSITION_RATIO = 0.5
THETA = 10000.0


def rotary_frequencies(head_dim: int) -> Tensor:
    """Compute theta^(-arange(0, d, 2) / d) with d = head_dim / 2.

    Args:
        head_dim: channels of a head, a multiple of 4.

    Returns:
        float32 [head_dim / 4], without the position ratio (this is what checkpoints hold as `rope.freqs`).
    """
    half = head_dim // 2
    return 1.0 / THETA ** (torch.arange(0, half, 2, dtype=torch.float32) / half)


def rotary_tables(rows: Tensor, columns: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Compute cosine and sine of every token's angles.

    Args:
        rows, columns: [n] positions on the grid.
        frequencies: [head_dim / 4], already multiplied by the position ratio.

    Returns:
        cos, sin: [n, head_dim], each frequency twice in a row.
    """
    angles = torch.cat([rows[:, None] * frequencies, columns[:, None] * frequencies], dim=1)
    angles = angles.repeat_interleave(2, dim=1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Compute x*cos + r(x)*sin with r(x)[0::2] = x[1::2] and r(x)[1::2] = -x[0::2]. x: [..., n, head_dim]."""
    pairs = x.unflatten(-1, (-1, 2))
    turned = torch.stack([pairs[..., 1], -pairs[..., 0]], dim=-1).flatten(-2)
    return x * cos + turned * sin
