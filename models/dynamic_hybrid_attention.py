"""Dynamic hybrid attention: full attention for boundary tokens, BSQ attention for the rest (docs/model.md 7)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .boundary_attention import boundary_attention
from .boundary_tokens import boundary_gather, boundary_scatter
from .bsq_attention import BSQAttention, bsq_attention
from .configuration import NeckConfig
from .custom_op import emit, exporting
from .hybrid_mixture_of_experts import HybridMixtureOfExperts
from .projections import norm_projection
from .rotary import POSITION_RATIO, rotary_frequencies


def hybrid_attention(
    x: Tensor,
    qkv: Tensor,
    boundary: Tensor,
    other: Tensor,
    grid: Tensor,
    freqs: Tensor,
    code_weight: Tensor,
    code_bias: Tensor,
    codebook: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    num_heads: int,
) -> Tensor:
    """Both routes of attention, output projection and residual.

    Args:
        x: [N, C] tokens, the residual.
        qkv: [N, 3D], the columns of q, k and v side by side.
        boundary, other: int64 [Nb], [No] token indices.
        grid: int64 [2], rows and columns.
        freqs: [D / num_heads / 4] rotary frequencies times the position ratio.
        code_weight, code_bias, codebook: see `bsq_attention`.
        proj_weight, proj_bias: [C, D], [C] output projection.
        num_heads: heads of D.

    Returns:
        [N, C]
    """
    if exporting():
        inputs = (x, qkv, boundary, other, grid, freqs, code_weight, code_bias, codebook, proj_weight, proj_bias)
        return emit("HybridAttention", inputs, [x.dtype], [x.shape], num_heads=num_heads)[0]
    q, k, v = qkv.chunk(3, dim=1)
    q_boundary, q_other = boundary_gather(q, boundary, other)
    out_boundary = boundary_attention(q_boundary, k, v, boundary, grid, freqs, num_heads)
    out_other = bsq_attention(q_other, k, v, code_weight, code_bias, codebook, num_heads)
    return x + F.linear(boundary_scatter(out_boundary, out_other, boundary, other), proj_weight, proj_bias)


class DynamicHybridAttention(nn.Module):
    """One block: hybrid attention, then the hybrid mixture of experts, both pre-norm with residuals."""

    freqs: Tensor

    def __init__(self, config: NeckConfig) -> None:
        super().__init__()
        dim, inner = config.embed_dim, config.attention_dim
        self.num_heads = config.attention_heads
        self.norm1 = nn.LayerNorm(dim)
        self.qkv_proj = nn.Linear(dim, 3 * inner)
        self.o_proj = nn.Linear(inner, dim)
        self.bsq_attn = BSQAttention(inner, config.code_size)
        self.norm2 = nn.LayerNorm(dim)
        self.ffn = HybridMixtureOfExperts(config)
        freqs = rotary_frequencies(inner // self.num_heads) * POSITION_RATIO
        self.register_buffer("freqs", freqs, persistent=False)

    def forward(self, x: Tensor, boundary: Tensor, other: Tensor, grid: Tensor) -> Tensor:
        """x: [N, C]; boundary, other: int64 token indices; grid: int64 [2] (rows, columns) -> [N, C]."""
        norm, bsq = self.norm1, self.bsq_attn
        qkv = norm_projection(x, norm.weight, norm.bias, self.qkv_proj.weight, self.qkv_proj.bias, norm.eps)
        x = hybrid_attention(
            x,
            qkv,
            boundary,
            other,
            grid,
            self.freqs,
            bsq.code_proj.weight,
            bsq.code_proj.bias,
            bsq.codebook,
            self.o_proj.weight,
            self.o_proj.bias,
            self.num_heads,
        )
        return self.ffn(x, boundary, self.norm2)
