"""Dynamic hybrid attention (docs/model.md 7): full attention for boundary tokens, BSQ attention for the rest."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .boundary_attention import boundary_attention, unclicked_attention
from .boundary_tokens import boundary_gather, boundary_scatter
from .bsq_attention import BSQAttention, BSQWeights, bsq_attention
from .configuration import NeckConfig
from .custom_op import emit, exporting
from .dynamic_prompt_embedding import add_prompt
from .hybrid_mixture_of_experts import HybridMixtureOfExperts
from .projections import norm_projection
from .rotary import POSITION_RATIO, rotary_frequencies
from .weights import LinearWeights, NormWeights


class AttentionWeights(NamedTuple):
    """What `hybrid_attention` needs beside the tokens.

    Attributes:
        freqs: [D / heads / 4] rotary frequencies times the position ratio.
        bsq: of the buckets.
        proj: of the output projection, D to C channels.
    """

    freqs: Tensor
    bsq: BSQWeights
    proj: LinearWeights


def hybrid_attention(
    x: Tensor, qkv: Tensor, boundary: Tensor, other: Tensor, grid: Tensor, weights: AttentionWeights, num_heads: int
) -> Tensor:
    """Run both routes of attention, the output projection and the residual.

    Args:
        x: [N, C] tokens, the residual.
        qkv: [N, 3D], the columns of q, k and v side by side.
        boundary, other: int64 [Nb], [No] token indices.
        grid: int64 [2], rows and columns.
        weights: of the block.
        num_heads: heads of D.

    Returns:
        [N, C]
    """
    if exporting():
        inputs = (x, qkv, boundary, other, grid, weights)
        return emit("HybridAttention", inputs, [x.dtype], [x.shape], num_heads=num_heads)[0]
    q, k, v = qkv.chunk(3, dim=1)
    q_boundary, q_other = boundary_gather(q, boundary, other)
    out_boundary = boundary_attention(q_boundary, k, v, boundary, grid, weights.freqs, num_heads)
    out_other = bsq_attention(q_other, k, v, weights.bsq, num_heads)
    out = boundary_scatter(out_boundary, out_other, boundary, other)
    return x + F.linear(out, weights.proj.weight, weights.proj.bias)


class UnclickedBlock(NamedTuple):
    """What the first block makes of an image that nobody has clicked on; every click finds most of it unchanged.

    The unclicked label map is the one on which everything is unknown. In bundles the tensors are called as here.

    Attributes:
        background_qkv: [N, 3D] q, k and v of every token with the background's prompt.
        first_qkv: [N, 3D] q, k and v of every token under the unclicked map.
        first_attention: [N, D] boundary attention of every token under the unclicked map.
        first_lse: [N, heads] the logarithm of the sum of exponentials that `first_attention` was divided by.
    """

    background_qkv: Tensor
    first_qkv: Tensor
    first_attention: Tensor
    first_lse: Tensor


class KnownProjection(NamedTuple):
    """What is known of the result of `prompt_projection` before a click.

    Attributes:
        background_qkv, first_qkv: see UnclickedBlock; the result for the tokens outside the region, and for those
            inside it that are not in `changed`.
        changed: int64 [n], ascending, the tokens whose prompt is not the unclicked map's.
    """

    background_qkv: Tensor
    first_qkv: Tensor
    changed: Tensor


class KnownAttention(NamedTuple):
    """What is known of the result of `prompted_attention` before a click.

    Attributes:
        first_qkv, first_attention, first_lse: see UnclickedBlock.
        changed: int64 [n], ascending; outside it, qkv is first_qkv.
    """

    first_qkv: Tensor
    first_attention: Tensor
    first_lse: Tensor
    changed: Tensor


def prompt_projection(
    embed: Tensor,
    prompt: Tensor,
    offset: Tensor,
    background: Tensor,
    norm: NormWeights,
    weights: LinearWeights,
    known: KnownProjection,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """Let the prompt join the image embedding, then LayerNorm and a linear layer.

    Args:
        embed, prompt, offset, background: see `add_prompt`.
        norm, weights, epsilon: see `norm_projection`.
        known: of the result. This form has no use for it.

    Returns:
        [N, C] tokens and [N, P], the linear layer's.
    """
    if exporting():
        n, c = embed.shape[0] * embed.shape[1], embed.shape[2]
        inputs = (embed, prompt, offset, background, norm, weights, known)
        shapes = [(n, c), (n, weights.weight.shape[0])]
        x, qkv = emit("PromptProjection", inputs, [embed.dtype, embed.dtype], shapes, epsilon=epsilon)
        return x, qkv
    x = add_prompt(embed, prompt, offset, background)
    return x, norm_projection(x, norm, weights, epsilon)


def prompted_attention(
    x: Tensor,
    qkv: Tensor,
    boundary: Tensor,
    other: Tensor,
    grid: Tensor,
    weights: AttentionWeights,
    known: KnownAttention,
    num_heads: int,
) -> Tensor:
    """Run `hybrid_attention` of the first block, most of which may have been done when the image was encoded.

    Args:
        x, qkv, boundary, other, grid, weights, num_heads: see `hybrid_attention`.
        known: of the result. This form has no use for it.

    Returns:
        [N, C]
    """
    if exporting():
        inputs = (x, qkv, boundary, other, grid, weights, known)
        return emit("PromptedAttention", inputs, [x.dtype], [x.shape], num_heads=num_heads)[0]
    return hybrid_attention(x, qkv, boundary, other, grid, weights, num_heads)


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
        """Run the block.

        Args:
            x: [N, C] tokens.
            boundary, other: int64 [Nb], [No] token indices.
            grid: int64 [2], rows and columns.

        Returns:
            [N, C]
        """
        norm, linear = self.norm1, self.qkv_proj
        qkv = norm_projection(x, NormWeights.of(norm), LinearWeights.of(linear), norm.eps)
        x = hybrid_attention(x, qkv, boundary, other, grid, self._attention_weights(), self.num_heads)
        return self.ffn(x, boundary, self.norm2)

    def unclicked(self, embed: Tensor, prompt: Tensor, background: Tensor) -> UnclickedBlock:
        """Compute what this block, as the first one, does with an image whatever will be clicked.

        Args:
            embed: [h, w, C].
            prompt: [h, w, C] of the unclicked map.
            background: [C].

        Returns:
            Its fields are [h * w, ...].
        """
        norm, linear = self.norm1, self.qkv_proj
        norm_weights, weights = NormWeights.of(norm), LinearWeights.of(linear)
        background_qkv = norm_projection((embed + background).flatten(0, 1), norm_weights, weights, norm.eps)
        qkv = norm_projection((embed + prompt).flatten(0, 1), norm_weights, weights, norm.eps)
        grid = torch.cat([torch.tensor([embed.shape[0]]), torch.tensor([embed.shape[1]])])
        attention, lse = unclicked_attention(qkv, grid, self.freqs, self.num_heads)
        return UnclickedBlock(background_qkv, qkv, attention, lse)

    def forward_prompted(
        self,
        embed: Tensor,
        prompt: Tensor,
        offset: Tensor,
        background: Tensor,
        boundary: Tensor,
        other: Tensor,
        grid: Tensor,
        unclicked: UnclickedBlock,
        changed: Tensor,
    ) -> Tensor:
        """Let the prompt join the embedding (see `add_prompt`), then run `forward`.

        Args:
            embed, prompt, offset, background: see `add_prompt`.
            boundary, other, grid: see `forward`.
            unclicked: of the image; it spares work.
            changed: int64 [n], ascending, the tokens whose prompt is not the unclicked map's.

        Returns:
            [N, C]
        """
        norm, linear = self.norm1, self.qkv_proj
        weights = (NormWeights.of(norm), LinearWeights.of(linear))
        projected = KnownProjection(unclicked.background_qkv, unclicked.first_qkv, changed)
        x, qkv = prompt_projection(embed, prompt, offset, background, *weights, projected, norm.eps)
        known = KnownAttention(unclicked.first_qkv, unclicked.first_attention, unclicked.first_lse, changed)
        x = prompted_attention(x, qkv, boundary, other, grid, self._attention_weights(), known, self.num_heads)
        return self.ffn(x, boundary, self.norm2)

    def _attention_weights(self) -> AttentionWeights:
        return AttentionWeights(self.freqs, self.bsq_attn.weights, LinearWeights.of(self.o_proj))
