"""Exponential moving average of the weights: what is evaluated and shipped."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from ..models import Inter2Former


class WeightAverage:
    """A second model whose weights follow the trained one's."""

    def __init__(self, model: Inter2Former, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: Inter2Former, step: int) -> None:
        """Move towards `model` after its `step`-th step (0-based), faster at first."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        averaged: list[Tensor] = list(self.model.parameters())
        current: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(averaged, current, 1.0 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
