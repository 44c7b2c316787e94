"""AdamW with the parameter groups that this model needs, and the learning rate over the run."""

from __future__ import annotations

import math

import torch
from torch import nn

from ..models import Inter2Former
from .options import Recipe

_UNDECAYED = ("pos_embed", "padding", "ref_embeds.weight", "codebook", "_b1", "_b2", "_b3")


def build_optimiser(model: Inter2Former, recipe: Recipe) -> torch.optim.AdamW:
    """Build AdamW: weight matrices decay; biases, norms, embeddings and codebooks do not.

    The edge detector's first convolution reads channels of about 1/size and has weights of about size (see
    initialise): Adam's steps do not scale with the weights, so its learning rate does.

    Args:
        model: whose parameters are trained.
        recipe: with learning rate and decay.
    """
    plain: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    first: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name == "edge_detector.conv1.weight":
            first.append(parameter)
        elif parameter.ndim < 2 or name.endswith(_UNDECAYED):
            plain.append(parameter)
        else:
            decayed.append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay, "scale": 1.0},
        {"params": plain, "weight_decay": 0.0, "scale": 1.0},
        {"params": first, "weight_decay": 0.0, "scale": float(model.config.geometry.size)},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), eps=1e-8, fused=True)


def learning_rate(recipe: Recipe, progress: float, step: int) -> float:
    """Compute the learning rate: cosine over the run, below it a linear warm-up over the first steps.

    The warm-up counts steps and not time: compiling takes minutes before the first one is done.

    Args:
        recipe: with the peak and the end.
        progress: 0..1 of the run.
        step: steps done.
    """
    floor = recipe.final_rate
    cosine = floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return recipe.learning_rate * cosine * min(1.0, (step + 1) / recipe.warmup_steps)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["scale"]
