"""HybridMoE."""

from __future__ import annotations

import numpy as np

from inter2former_onnx.models import hybrid_mixture_of_experts
from support.ops.arrays import EPSILON, Case, Inputs, floats, linear, norm, part_of, routes
from support.ops.op import Op
from support.ops.oracles import experts as oracles


def hybrid_moe_case(
    rng: np.random.Generator,
    tokens: int,
    boundary: int,
    experts: int,
    dim: int = 12,
    hidden: int = 8,
    scale: float = 1.0,
) -> Case:
    def expert() -> Inputs:
        return [*linear(rng, hidden, dim), *linear(rng, hidden, dim), *linear(rng, dim, hidden)]

    w1, b1, w2, b2, w3, b3 = expert()
    stacked = [np.stack(parts) for parts in zip(*(expert() for _ in range(experts)), strict=True)]
    inputs = [floats(rng, tokens, dim, scale=scale), routes(rng, tokens, boundary)[0], *norm(rng, dim)]
    inputs += [w1, b1, w2, b2, *norm(rng, hidden), w3, b3, *linear(rng, 1, dim)]
    inputs += [*stacked[:4], *norm(rng, hidden), *stacked[4:]]
    # Experts chosen by clear margins, mostly.
    inputs += [floats(rng, experts, dim), floats(rng, experts), floats(rng, experts, scale=0.1)]
    return inputs, {"epsilon": EPSILON}


def drawn_hybrid_moe(rng: np.random.Generator) -> Case:
    tokens, experts = int(rng.integers(1, 300)), int(rng.integers(1, 9))
    dim, hidden = (int(size) for size in rng.integers(2, 80, 2))
    return hybrid_moe_case(rng, tokens, part_of(rng, tokens), experts, dim, hidden)


OPS = {
    "HybridMoE": Op(
        hybrid_mixture_of_experts.hybrid_moe,
        oracles.hybrid_moe,
        small=lambda rng: hybrid_moe_case(rng, 12, 5, 3),
        weights=tuple(range(2, 25)),
        drawn=drawn_hybrid_moe,
    ),
}
