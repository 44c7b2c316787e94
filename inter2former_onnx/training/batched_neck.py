"""The neck for a batch of objects: prompt embedding, hybrid attention and experts with routes as masks.

Same parameters and, up to rounding, same results as `models/`; dense over all tokens, which is cheap at training sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.bsq_attention import BSQAttention
from ..models.dynamic_hybrid_attention import DynamicHybridAttention
from ..models.neck import Neck
from ..models.rotary import rotary_tables, rotate
from ..runtime.geometry import PATCH_SIZE
from ..runtime.labels import NUM_LABELS
from .label_maps import boundary_tokens, box_mask, regions_of_interest


@dataclass(frozen=True)
class BlockRecord:
    """What one attention block did, for losses and statistics.

    Attributes:
        keys, quantised: [B, N, D] keys and the bucket keys that stand for them.
        code_logits: float32 [B, N, bits]; bit = logit >= 0.
        expert_scores: float32 [B, N, E], sigmoid, without bias.
        chosen: float32 [B, N, E], one-hot for boundary tokens, zero for others.
        boundary: bool [B, N].
    """

    keys: Tensor
    quantised: Tensor
    code_logits: Tensor
    expert_scores: Tensor
    chosen: Tensor
    boundary: Tensor


def compute_dtype(like: Tensor) -> torch.dtype:
    """Choose the dtype of matrix products here: autocast's, or that of `like`."""
    device = like.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else like.dtype


def prompt_tokens(neck: Neck, labels: Tensor, regions: Tensor) -> Tensor:
    """Embed the prompt: convolutions inside the region of interest, the constant vector for tokens outside.

    A crop's zero padding is imitated by zeroing what lies outside the region before each convolution.

    Args:
        neck: whose embedding it is.
        labels: uint8 [B, T, T].
        regions: int64 [B, 4] in tokens.

    Returns:
        [B, T/16, T/16, C]
    """
    convolutions = [layer for layer in neck.ref_conv.stem if isinstance(layer, nn.Conv2d)]
    size = labels.shape[-1]
    inside = box_mask(regions * PATCH_SIZE, size)
    states = torch.arange(NUM_LABELS, device=labels.device, dtype=labels.dtype)
    one_hot = (labels[..., None] == states) & inside[..., None]
    first = convolutions[0]
    # The label's row of ref_embeds followed by a convolution is a convolution of the one-hot map.
    with torch.autocast(labels.device.type, enabled=False):
        weight = torch.einsum("ocyx,lc->olyx", first.weight, neck.ref_embeds.weight)
    one_hot = one_hot.to(compute_dtype(weight)).permute(0, 3, 1, 2)
    x = F.relu(F.conv2d(one_hot, weight, first.bias, stride=2, padding=1))
    for conv in convolutions[1:]:
        size //= 2
        mask = box_mask(regions * (PATCH_SIZE * size // labels.shape[-1]), size)
        x = F.relu(conv(x * mask[:, None].to(x.dtype)))
    tokens = x.permute(0, 2, 3, 1)
    inside_tokens = box_mask(regions, size // 2)[..., None]
    return torch.where(inside_tokens, tokens, neck.background().to(tokens.dtype))


def quantise_keys(bsq: BSQAttention, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Find the bucket key of every key, differentiable: hard bits forward, sigmoid backward.

    Args:
        bsq: whose codebook it is.
        keys: [B, N, D].

    Returns:
        Bucket keys float32 [B, N, D], code logits float32 [B, N, bits].
    """
    with torch.autocast(keys.device.type, enabled=False):
        logits = F.linear(keys.float(), bsq.code_proj.weight, bsq.code_proj.bias)
        soft = torch.sigmoid(logits)
        bits = (logits >= 0).float() + soft - soft.detach()
        size = bsq.codebook.shape[0] // 2
        one, zero = bsq.codebook[:size], bsq.codebook[size:]
        return bits @ (one - zero) + zero.sum(0), logits


def attend(block: DynamicHybridAttention, x: Tensor, boundary: Tensor, side: int) -> tuple[Tensor, BlockRecord]:
    """Run one block over all objects.

    Args:
        block: the block.
        x: [B, N, C].
        boundary: bool [B, N].
        side: tokens per side of the square grid, N = side * side.

    Returns:
        [B, N, C] and what happened.
    """
    heads = block.num_heads
    norm = block.norm1
    q, k, v = block.qkv_proj(F.layer_norm(x, (x.shape[2],), norm.weight, norm.bias, norm.eps)).chunk(3, dim=2)
    quantised, code_logits = quantise_keys(block.bsq_attn, k)
    index = torch.arange(side * side, device=x.device)
    rows, columns = index.div(side, rounding_mode="floor"), index % side
    cos, sin = rotary_tables(rows.float(), columns.float(), block.freqs)
    qh, kh, vh, codes = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (q, k, v, quantised.to(k.dtype)))
    cos, sin = cos.to(qh.dtype), sin.to(qh.dtype)
    # One attention for both routes: each query meets the rotated keys or the bucket keys, the other half is zero.
    mask = boundary[:, None, :, None]
    queries = torch.cat([rotate(qh, cos, sin) * mask, qh * ~mask], dim=3)
    keys = torch.cat([rotate(kh, cos, sin), codes], dim=3)
    head_dim = vh.shape[3]
    out = F.scaled_dot_product_attention(queries, keys, F.pad(vh, (0, head_dim)), scale=head_dim**-0.5)
    x = x + block.o_proj(out[..., :head_dim].transpose(1, 2).flatten(2))
    x, scores, chosen = mix_experts(block, x, boundary)
    return x, BlockRecord(k, quantised, code_logits, scores, chosen, boundary)


def mix_experts(block: DynamicHybridAttention, x: Tensor, boundary: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mix the experts, every one computed for every token and the chosen one kept.

    Args:
        block: whose experts they are.
        x: [B, N, C].
        boundary: bool [B, N].

    Returns:
        [B, N, C], sigmoid scores float32 [B, N, E], the choice float32 [B, N, E] (one-hot, zero for other tokens).
    """
    ffn, norm = block.ffn, block.norm2
    shared, count = ffn.shared_ffn, ffn.select_ffn_w1.shape[0]
    y = F.layer_norm(x, (x.shape[2],), norm.weight, norm.bias, norm.eps)
    common = shared.w3(ffn.shared_ln(F.silu(shared.w1(y)) * shared.w2(y)))
    with torch.autocast(x.device.type, enabled=False):
        scores, gate = torch.sigmoid(ffn.expert_gate(y.float())), torch.sigmoid(ffn.shared_gate(y.float()))
    index = (scores + ffn.exp_bias).argmax(2)
    chosen = F.one_hot(index, count).to(scores.dtype) * boundary[..., None]
    hidden = F.silu(F.linear(y, ffn.select_ffn_w1.flatten(0, 1), ffn.select_ffn_b1.flatten()))
    hidden = hidden * F.linear(y, ffn.select_ffn_w2.flatten(0, 1), ffn.select_ffn_b2.flatten())
    hidden = ffn.select_ln(hidden.unflatten(2, (count, -1))) * chosen[..., None]
    down = ffn.select_ffn_w3.permute(1, 0, 2).flatten(1)
    selected = F.linear(hidden.flatten(2), down) + chosen @ ffn.select_ffn_b3
    score = (scores * chosen).sum(2, keepdim=True)
    mix = torch.softmax(torch.cat([gate, score], dim=2), dim=2)
    mixed = torch.where(boundary[..., None], mix[..., :1] * common + mix[..., 1:] * selected, common)
    return x + mixed, scores, chosen


def neck_forward(
    neck: Neck, embed: Tensor, labels: Tensor, dense: Tensor | None = None
) -> tuple[Tensor, list[BlockRecord]]:
    """Compute tokens that know the prompt, for a batch of objects.

    Args:
        neck: the neck.
        embed: [B, C, h, h] image embedding of each object's image.
        labels: uint8 [B, 16 h, 16 h].
        dense: bool [B], objects whose region is the whole map and whose tokens are all boundary tokens; None: none.
            (A tensor and not a flag: a compiled graph then serves both modes.)

    Returns:
        [B, h * h, C] tokens, and what each block did.
    """
    side = embed.shape[-1]
    regions = regions_of_interest(labels)
    boundary = boundary_tokens(labels, regions, neck.routing, neck.config.uncertainty_kernel_size).flatten(1)
    if dense is not None:
        whole = torch.tensor([0, 0, side, side], device=embed.device)
        regions = torch.where(dense[:, None], whole, regions)
        boundary = boundary | dense[:, None]
    x = (embed.permute(0, 2, 3, 1) + prompt_tokens(neck, labels, regions)).flatten(1, 2)
    records = []
    for block in neck.blocks:
        assert isinstance(block, DynamicHybridAttention)
        x, record = attend(block, x, boundary, side)
        records.append(record)
    return x, records
