"""Hybrid mixture of experts (docs/model.md 8): a shared one for every token, a routed one more for boundary tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration import NeckConfig
from .custom_op import emit, exporting


def swiglu(
    y: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    ln_weight: Tensor,
    ln_bias: Tensor,
    w3: Tensor,
    b3: Tensor,
    epsilon: float,
) -> Tensor:
    """Run SwiGLU with an inner LayerNorm: w3(LN(silu(w1 y) * w2 y)).

    Args:
        y: [n, C].
        w1, b1, w2, b2: [H, C], [H].
        ln_weight, ln_bias: [H].
        w3, b3: [C, H], [C].
        epsilon: of the LayerNorm.

    Returns:
        [n, C]
    """
    hidden = F.silu(F.linear(y, w1, b1)) * F.linear(y, w2, b2)
    return F.linear(F.layer_norm(hidden, (hidden.shape[1],), ln_weight, ln_bias, epsilon), w3, b3)


def hybrid_moe(
    x: Tensor,
    boundary: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    shared_w1: Tensor,
    shared_b1: Tensor,
    shared_w2: Tensor,
    shared_b2: Tensor,
    shared_ln_weight: Tensor,
    shared_ln_bias: Tensor,
    shared_w3: Tensor,
    shared_b3: Tensor,
    shared_gate_weight: Tensor,
    shared_gate_bias: Tensor,
    select_w1: Tensor,
    select_b1: Tensor,
    select_w2: Tensor,
    select_b2: Tensor,
    select_ln_weight: Tensor,
    select_ln_bias: Tensor,
    select_w3: Tensor,
    select_b3: Tensor,
    expert_gate_weight: Tensor,
    expert_gate_bias: Tensor,
    expert_bias: Tensor,
    epsilon: float,
) -> Tensor:
    """Run LayerNorm, experts and residual.

    Args:
        x: [N, C] tokens.
        boundary: int64 [Nb] token indices.
        norm_weight, norm_bias: [C].
        shared_*: the shared expert: w1, w2 [H, C], w3 [C, H], their biases, the inner LayerNorm [H], the gate [1, C].
        select_*: the E routed experts, stacked on a first axis; they share one inner LayerNorm [H].
        expert_gate_weight, expert_gate_bias: [E, C], [E].
        expert_bias: [E], takes part in choosing the expert, not in mixing.
        epsilon: of both kinds of LayerNorm.

    Returns:
        [N, C]
    """
    y = F.layer_norm(x, (x.shape[1],), norm_weight, norm_bias, epsilon)
    shared = swiglu(
        y, shared_w1, shared_b1, shared_w2, shared_b2, shared_ln_weight, shared_ln_bias, shared_w3, shared_b3, epsilon
    )
    routed = y[boundary]
    scores = torch.sigmoid(F.linear(routed, expert_gate_weight, expert_gate_bias))
    chosen = (scores + expert_bias).argmax(1)
    selected = torch.zeros_like(routed)
    for expert in range(select_w1.shape[0]):
        rows = torch.nonzero(chosen == expert).flatten()
        if rows.numel() == 0:
            continue
        out = swiglu(
            routed[rows],
            select_w1[expert],
            select_b1[expert],
            select_w2[expert],
            select_b2[expert],
            select_ln_weight,
            select_ln_bias,
            select_w3[expert],
            select_b3[expert],
            epsilon,
        )
        selected = selected.index_copy(0, rows, out)
    gate = torch.sigmoid(F.linear(routed, shared_gate_weight, shared_gate_bias))
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
        shared, gate, expert_gate = self.shared_ffn, self.shared_gate[0], self.expert_gate[0]
        assert isinstance(gate, nn.Linear) and isinstance(expert_gate, nn.Linear)
        arguments = (
            x,
            boundary,
            norm.weight,
            norm.bias,
            shared.w1.weight,
            shared.w1.bias,
            shared.w2.weight,
            shared.w2.bias,
            self.shared_ln.weight,
            self.shared_ln.bias,
            shared.w3.weight,
            shared.w3.bias,
            gate.weight,
            gate.bias,
            self.select_ffn_w1,
            self.select_ffn_b1,
            self.select_ffn_w2,
            self.select_ffn_b2,
            self.select_ln.weight,
            self.select_ln.bias,
            self.select_ffn_w3,
            self.select_ffn_b3,
            expert_gate.weight,
            expert_gate.bias,
            self.exp_bias,
        )
        if exporting():
            return emit("HybridMoE", arguments, [x.dtype], [x.shape], epsilon=norm.eps)[0]
        return hybrid_moe(*arguments, epsilon=norm.eps)
