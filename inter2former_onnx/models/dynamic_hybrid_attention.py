"""Dynamic hybrid attention (docs/model.md 7): full attention for boundary tokens, BSQ attention for the rest."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .boundary_attention import boundary_attention, unclicked_attention
from .boundary_tokens import boundary_gather, boundary_scatter
from .bsq_attention import BSQAttention, bsq_attention
from .configuration import NeckConfig
from .custom_op import emit, exporting
from .dynamic_prompt_embedding import add_prompt
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
    """Run both routes of attention, the output projection and the residual.

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


class UnclickedBlock(NamedTuple):
    """What the first block makes of an image that nobody has clicked on; every click finds most of it unchanged.

    The unclicked label map is the one on which everything is unknown. In bundles, and in the ops' PyTorch forms,
    the tensors that belong to it are called `first_qkv`, `first_attention` and `first_lse`.

    Attributes:
        background_qkv: [N, 3D] q, k and v of every token with the background's prompt.
        qkv: [N, 3D] q, k and v of every token under the unclicked map.
        attention: [N, D] boundary attention of every token under the unclicked map.
        lse: [N, heads] the logarithm of the sum of exponentials that `attention` was divided by.
    """

    background_qkv: Tensor
    qkv: Tensor
    attention: Tensor
    lse: Tensor


def prompt_projection(
    embed: Tensor,
    prompt: Tensor,
    offset: Tensor,
    background: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    background_qkv: Tensor,
    first_qkv: Tensor,
    changed: Tensor,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """Let the prompt join the image embedding, then LayerNorm and a linear layer.

    Args:
        embed, prompt, offset, background: see `add_prompt`.
        norm_weight, norm_bias, weight, bias, epsilon: see `norm_projection`.
        background_qkv, first_qkv: see UnclickedBlock; what the result is known to be for the tokens outside the region,
            and for those inside it that are not in `changed`. This form has no use for them.
        changed: int64 [n], ascending, the tokens whose prompt is not the unclicked map's.

    Returns:
        [N, C] tokens and [N, P], the linear layer's.
    """
    if exporting():
        n, c = embed.shape[0] * embed.shape[1], embed.shape[2]
        inputs = (embed, prompt, offset, background, norm_weight, norm_bias, weight, bias)
        known = (background_qkv, first_qkv, changed)
        x, qkv = emit(
            "PromptProjection",
            (*inputs, *known),
            [embed.dtype, embed.dtype],
            [(n, c), (n, weight.shape[0])],
            epsilon=epsilon,
        )
        return x, qkv
    x = add_prompt(embed, prompt, offset, background)
    return x, norm_projection(x, norm_weight, norm_bias, weight, bias, epsilon)


def prompted_attention(
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
    first_qkv: Tensor,
    first_attention: Tensor,
    first_lse: Tensor,
    changed: Tensor,
    num_heads: int,
) -> Tensor:
    """Run `hybrid_attention` of the first block, most of which may have been done when the image was encoded.

    Args:
        x ... proj_bias, num_heads: see `hybrid_attention`.
        first_qkv, first_attention, first_lse: see UnclickedBlock. This form has no use for them.
        changed: int64 [n], ascending; outside it, qkv is first_qkv.

    Returns:
        [N, C]
    """
    inputs = (x, qkv, boundary, other, grid, freqs, code_weight, code_bias, codebook, proj_weight, proj_bias)
    if exporting():
        known = (first_qkv, first_attention, first_lse, changed)
        return emit("PromptedAttention", (*inputs, *known), [x.dtype], [x.shape], num_heads=num_heads)[0]
    return hybrid_attention(*inputs, num_heads)


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
        norm = self.norm1
        qkv = norm_projection(x, norm.weight, norm.bias, self.qkv_proj.weight, self.qkv_proj.bias, norm.eps)
        x = hybrid_attention(x, qkv, boundary, other, grid, self.freqs, *self._attention_weights(), self.num_heads)
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
        weights = (norm.weight, norm.bias, linear.weight, linear.bias, norm.eps)
        background_qkv = norm_projection((embed + background).flatten(0, 1), *weights)
        qkv = norm_projection((embed + prompt).flatten(0, 1), *weights)
        grid = torch.cat([torch.tensor([embed.shape[0]]), torch.tensor([embed.shape[1]])])
        return UnclickedBlock(background_qkv, qkv, *unclicked_attention(qkv, grid, self.freqs, self.num_heads))

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
        weights = (norm.weight, norm.bias, linear.weight, linear.bias)
        known = (unclicked.background_qkv, unclicked.qkv, changed)
        x, qkv = prompt_projection(embed, prompt, offset, background, *weights, *known, norm.eps)
        routed = (x, qkv, boundary, other, grid, self.freqs, *self._attention_weights())
        x = prompted_attention(*routed, *unclicked[1:], changed, self.num_heads)
        return self.ffn(x, boundary, self.norm2)

    def _attention_weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        bsq, proj = self.bsq_attn, self.o_proj
        return bsq.code_proj.weight, bsq.code_proj.bias, bsq.codebook, proj.weight, proj.bias
