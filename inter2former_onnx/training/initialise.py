"""Initial weights: the modules of `models/` are made for loading checkpoints and leave much at zero."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..models import Inter2Former
from ..models.dynamic_hybrid_attention import DynamicHybridAttention
from ..models.dynamic_local_upsampling import LocalUpsample2x
from ..models.image_encoder import Block

# Typical size of a code logit at the start: bits are decided, and their sigmoid still has a slope.
_CODE_SPREAD = 2.0
_FOREGROUND_PRIOR = 0.2


def initialise(model: Inter2Former, seed: int) -> None:
    """Fill every trained parameter, in place; the same seed gives the same weights.

    The edge channels have unit L2 norm over the image, so at size T their values are around 1/T, small beside the
    GroupNorm's epsilon: the first convolution's weights start T times larger.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                _uniform(module.weight, module.in_features, module.out_features, generator)
                _zero(module.bias)
            elif isinstance(module, nn.Conv2d) and module.weight.requires_grad:
                fan_in = module.weight[0].numel()
                bound = math.sqrt(6.0 / fan_in) / math.sqrt(2.0)
                module.weight.uniform_(-bound, bound, generator=generator)
                _zero(module.bias)
        for layer in model.backbone.blocks:
            assert isinstance(layer, Block)
            scale = 1.0 / math.sqrt(2.0 * len(model.backbone.blocks))
            for linear in (layer.attn.proj, layer.mlp.fc2):
                linear.weight.mul_(scale)
            layer.attn.padding.normal_(0.0, 0.02, generator=generator)
        model.backbone.pos_embed.normal_(0.0, 0.02, generator=generator)
        for block in model.neck.blocks:
            assert isinstance(block, DynamicHybridAttention)
            _initialise_block(block, generator)
        model.neck.ref_embeds.weight.normal_(0.0, 1.0, generator=generator)
        model.edge_detector.conv1.weight.mul_(model.config.geometry.size)
        prior = math.log(_FOREGROUND_PRIOR / (1.0 - _FOREGROUND_PRIOR))
        last = model.decode_head.upsamplers[-1]
        assert isinstance(last, LocalUpsample2x) and last.conv.bias is not None
        last.conv.bias.fill_(prior)


def _initialise_block(block: DynamicHybridAttention, generator: torch.Generator) -> None:
    ffn, bsq = block.ffn, block.bsq_attn
    for weight in (ffn.select_ffn_w1, ffn.select_ffn_w2, ffn.select_ffn_w3):
        _uniform(weight, weight.shape[2], weight.shape[1], generator)
    for bias in (ffn.select_ffn_b1, ffn.select_ffn_b2, ffn.select_ffn_b3, ffn.exp_bias):
        bias.zero_()
    bits, dim = bsq.code_proj.weight.shape
    nn.init.orthogonal_(bsq.code_proj.weight, generator=generator)
    # A normalised token gives keys of about unit variance, and rows of unit length unit logits.
    bsq.code_proj.weight.mul_(_CODE_SPREAD)
    # A bucket's key is a sum over bits: the two rows of a bit start opposite, along the direction that decides it.
    rows = bsq.code_proj.weight / _CODE_SPREAD
    bsq.codebook[:bits] = rows * 0.8
    bsq.codebook[bits:] = -rows * 0.8


def _uniform(weight: Tensor, fan_in: int, fan_out: int, generator: torch.Generator) -> None:
    bound = math.sqrt(6.0 / (fan_in + fan_out))
    weight.uniform_(-bound, bound, generator=generator)


def _zero(bias: Tensor | None) -> None:
    if bias is not None:
        bias.zero_()
