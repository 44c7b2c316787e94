"""Hybrid mixture of experts (docs/model.md 8): a shared one for every token, a routed one more for boundary tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration import NeckConfig
from .custom_op import emit, exporting
from .weights import ExpertWeights, LinearWeights, NormWeights


class MixtureWeights(NamedTuple):
    """What `hybrid_moe` holds.

    Attributes:
        shared: the shared expert.
        shared_gate: [1, C], [1].
        select: the E routed experts, stacked.
        expert_gate: [E, C], [E].
        expert_bias: [E], takes part in choosing the expert, not in mixing.
    """

    shared: ExpertWeights
    shared_gate: LinearWeights
    select: ExpertWeights
    expert_gate: LinearWeights
    expert_bias: Tensor


def swiglu(y: Tensor, weights: ExpertWeights, epsilon: float) -> Tensor:
    """Run SwiGLU with an inner LayerNorm: w3(LN(silu(w1 y) * w2 y)).

    Args:
        y: [n, C].
        weights: of one expert.
        epsilon: of the LayerNorm.

    Returns:
        [n, C]
    """
    hidden = F.silu(F.linear(y, weights.w1, weights.b1)) * F.linear(y, weights.w2, weights.b2)
    normed = F.layer_norm(hidden, (hidden.shape[1],), weights.ln_weight, weights.ln_bias, epsilon)
    return F.linear(normed, weights.w3, weights.b3)


def hybrid_moe(x: Tensor, boundary: Tensor, norm: NormWeights, weights: MixtureWeights, epsilon: float) -> Tensor:
    """Run LayerNorm, experts and residual.

    Args:
        x: [N, C] tokens.
        boundary: int64 [Nb] token indices.
        norm: of the first LayerNorm, [C].
        weights: of the experts.
        epsilon: of both kinds of LayerNorm.

    Returns:
        [N, C]
    """
    y = F.layer_norm(x, (x.shape[1],), norm.weight, norm.bias, epsilon)
    shared = swiglu(y, weights.shared, epsilon)
    routed = y[boundary]
    scores = torch.sigmoid(F.linear(routed, weights.expert_gate.weight, weights.expert_gate.bias))
    chosen = (scores + weights.expert_bias).argmax(1)
    selected = torch.zeros_like(routed)
    for expert in range(weights.select.w1.shape[0]):
        rows = torch.nonzero(chosen == expert).flatten()
        if rows.numel() == 0:
            continue
        selected = selected.index_copy(0, rows, swiglu(routed[rows], weights.select.expert(expert), epsilon))
    gate = torch.sigmoid(F.linear(routed, weights.shared_gate.weight, weights.shared_gate.bias))
    mix = torch.softmax(torch.cat([gate, scores.gather(1, chosen[:, None])], dim=1), dim=1)
    mixed = mix[:, :1] * shared[boundary] + mix[:, 1:] * selected
    return x + shared.index_copy(0, boundary, mixed)


class SwiGLU(nn.Module):
    """Holds the shared expert's linear layers under their published names."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim, hidden)
        self.w2 = nn.Linear(dim, hidden)
        self.w3 = nn.Linear(hidden, dim)


class HybridMixtureOfExperts(nn.Module):
    """The experts' weights; the block's second norm is handed in because the op fuses it."""

    steps: Tensor

    def __init__(self, config: NeckConfig) -> None:
        super().__init__()
        dim, hidden, experts = config.embed_dim, config.ffn_dim, config.num_ffn_experts
        self.select_ffn_w1 = nn.Parameter(torch.zeros(experts, hidden, dim))
        self.select_ffn_b1 = nn.Parameter(torch.zeros(experts, hidden))
        self.select_ffn_w2 = nn.Parameter(torch.zeros(experts, hidden, dim))
        self.select_ffn_b2 = nn.Parameter(torch.zeros(experts, hidden))
        self.select_ffn_w3 = nn.Parameter(torch.zeros(experts, dim, hidden))
        self.select_ffn_b3 = nn.Parameter(torch.zeros(experts, dim))
        # Balances the experts during training by counting, not by gradient (the published training loop's business).
        self.exp_bias = nn.Parameter(torch.zeros(experts), requires_grad=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.shared_ffn = SwiGLU(dim, hidden)
        self.shared_ln = nn.LayerNorm(hidden)
        self.shared_gate = nn.Sequential(nn.Linear(dim, 1))
        self.select_ln = nn.LayerNorm(hidden)
        self.expert_gate = nn.Sequential(nn.Linear(dim, experts))

    def forward(self, x: Tensor, boundary: Tensor, norm: nn.LayerNorm) -> Tensor:
        """Run the experts.

        Args:
            x: [N, C] tokens.
            boundary: int64 [Nb] token indices.
            norm: the block's second LayerNorm.

        Returns:
            [N, C]
        """
        arguments = (x, boundary, NormWeights.of(norm), self._weights())
        if exporting():
            return emit("HybridMoE", arguments, [x.dtype], [x.shape], epsilon=norm.eps)[0]
        return hybrid_moe(*arguments, epsilon=norm.eps)

    def _weights(self) -> MixtureWeights:
        shared, gate, expert_gate = self.shared_ffn, self.shared_gate[0], self.expert_gate[0]
        assert isinstance(gate, nn.Linear) and isinstance(expert_gate, nn.Linear)
        return MixtureWeights(
            shared=ExpertWeights(
                *LinearWeights.of(shared.w1),
                *LinearWeights.of(shared.w2),
                *NormWeights.of(self.shared_ln),
                *LinearWeights.of(shared.w3),
            ),
            shared_gate=LinearWeights.of(gate),
            select=ExpertWeights(
                w1=self.select_ffn_w1,
                b1=self.select_ffn_b1,
                w2=self.select_ffn_w2,
                b2=self.select_ffn_b2,
                ln_weight=self.select_ln.weight,
                ln_bias=self.select_ln.bias,
                w3=self.select_ffn_w3,
                b3=self.select_ffn_b3,
            ),
            expert_gate=LinearWeights.of(expert_gate),
            expert_bias=self.exp_bias,
        )
