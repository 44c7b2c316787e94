"""Random weights for latency work, of any configuration, under which localisation follows the prompted region.

With arbitrary weights the localised box is arbitrary too, and a decoder's time says nothing about the time with a
trained model. Here the localisation layers read, out of each token, how foreground-like its prompt is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..models import Inter2Former
from ..models.dynamic_hybrid_attention import DynamicHybridAttention
from ..models.edge_detector import Canny
from ..runtime.geometry import PATCH_SIZE
from ..runtime.labels import DEFINITE_FOREGROUND, NUM_LABELS, POSSIBLE_FOREGROUND, UNKNOWN

RESIDUAL_SCALE = 0.05  # attention and experts stay small beside the prompt
PROMPT_RMS = 4.0  # the prompt stands out from the image embedding, whose channels have unit variance
INSIDE, OUTSIDE = 14.0, -7.0  # localisation logits aimed at: what is partly foreground shall pass the threshold, -2
# Unknown counts as prompted: before the first click everything is.
FOREGROUND = (UNKNOWN, POSSIBLE_FOREGROUND, DEFINITE_FOREGROUND)


@torch.no_grad()
def initialise(model: Inter2Former, seed: int) -> None:
    """Fill a model with random weights in place, reproducibly.

    Args:
        model: any configuration.
        seed: of torch's generator; the same seed gives the same weights.
    """
    generator = torch.Generator().manual_seed(seed)
    filters = [module for module in model.modules() if isinstance(module, Canny)]
    canny = {id(parameter) for module in filters for parameter in module.parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) in canny:
            continue  # fixed filters
        _fill(name, parameter, generator)
    for module in model.modules():
        if isinstance(module, (nn.LayerNorm, nn.GroupNorm)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        if isinstance(module, DynamicHybridAttention):
            module.o_proj.weight.mul_(RESIDUAL_SCALE)
            module.ffn.shared_ffn.w3.weight.mul_(RESIDUAL_SCALE)
            module.ffn.select_ffn_w3.mul_(RESIDUAL_SCALE)
    _strengthen_prompt(model)
    _aim_localisation(model)


def _fill(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    if parameter.ndim < 2 or name.endswith(("_b1", "_b2", "_b3")):
        bound = 0.0 if name.endswith("exp_bias") else 0.02
        parameter.uniform_(-bound, bound, generator=generator)
    elif name.endswith(("pos_embed", "padding")):
        parameter.normal_(0.0, 0.02, generator=generator)
    elif name.endswith(("codebook", "ref_embeds.weight")):
        parameter.normal_(0.0, 1.0, generator=generator)
    else:  # linear layers and convolutions: variance kept
        fan_in = parameter.shape[-1] if "select_ffn" in name else parameter[0].numel()
        parameter.normal_(0.0, 1.0 / math.sqrt(fan_in), generator=generator)


def _prompts(model: Inter2Former) -> Tensor:
    """Compute the prompt in the middle of a constant region of each label: [5, C]."""
    size = 3 * PATCH_SIZE
    maps = [torch.full((size, size), label, dtype=torch.uint8) for label in range(NUM_LABELS)]
    return torch.stack([model.neck.embed_labels(labels)[1, 1] for labels in maps])


def _strengthen_prompt(model: Inter2Former) -> None:
    """Scale the last convolution until the labels' prompts differ clearly."""
    spread = _prompts(model) - _prompts(model).mean(0)
    last = model.neck.ref_conv.stem[6]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    factor = PROMPT_RMS / max(float(spread.square().mean().sqrt()), 1e-6)
    last.weight.mul_(factor)
    last.bias.mul_(factor)


def _aim_localisation(model: Inter2Former) -> None:
    """Let channel 0 of every localisation layer carry the foreground-likeness, and the other channels nothing."""
    prompts = _prompts(model)
    target = torch.tensor([1.0 if label in FOREGROUND else -1.0 for label in range(NUM_LABELS)])
    # Smallest direction u and offset with prompts u + offset = target, exact for five points in many dimensions.
    centre = prompts.mean(0)
    u = torch.linalg.pinv(prompts - centre) @ (target - target.mean())
    offset = target.mean() - centre @ u
    layers = [layer for layer in model.decode_head.mlp if isinstance(layer, nn.Conv2d)]
    for layer in layers:
        assert layer.bias is not None
        layer.weight.zero_()
        layer.bias.zero_()
    # SiLU is close to the identity from a few units up: lift -1 .. 1 to 3 .. 9, carry it through, aim at the end.
    scale, lift = 3.0, 6.0
    first, last = layers[0], layers[-1]
    assert first.bias is not None and last.bias is not None
    first.weight[0, :, 0, 0] = scale * u
    first.bias[0] = scale * offset + lift
    for layer in layers[1:-1]:
        layer.weight[0, 0] = 1.0
    low, high = (nn.functional.silu(torch.tensor(lift + sign * scale)) for sign in (-1.0, 1.0))
    for _ in layers[1:-1]:
        low, high = nn.functional.silu(low), nn.functional.silu(high)
    slope = (INSIDE - OUTSIDE) / (high - low)
    last.weight[0, 0] = slope
    last.bias[0] = INSIDE - slope * high
