"""Codes and experts in use, which tells whether a model has them for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .batched_neck import BlockRecord


@dataclass
class Usage:
    """Of each block, how many keys had each code [codes] and how many routed tokens each expert got [E]."""

    codes: list[Tensor] = field(default_factory=list)
    tokens: list[Tensor] = field(default_factory=list)

    def add(self, records: Sequence[BlockRecord]) -> None:
        """Count one prediction."""
        for block, record in enumerate(records):
            bits = (record.code_logits >= 0).flatten(0, 1).long()
            powers = 2 ** torch.arange(bits.shape[1] - 1, -1, -1, device=bits.device)
            counts = torch.bincount((bits * powers).sum(1), minlength=2 ** bits.shape[1]).cpu()
            tokens = record.chosen.sum((0, 1)).cpu()
            if block == len(self.codes):
                self.codes.append(torch.zeros_like(counts))
                self.tokens.append(torch.zeros_like(tokens))
            self.codes[block] += counts
            self.tokens[block] += tokens

    def summary(self) -> dict[str, Any]:
        """Say how many codes were used, the largest code's share of keys, and experts' shares, of each block."""
        return {
            "codes_used": [int((counts > 0).sum()) for counts in self.codes],
            "largest_code": [float(counts.max() / counts.sum()) for counts in self.codes],
            "expert_shares": [(tokens / tokens.sum()).tolist() for tokens in self.tokens],
        }
