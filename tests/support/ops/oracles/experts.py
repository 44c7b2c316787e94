"""HybridMoE."""

from __future__ import annotations

import numpy as np

from support.ops.oracles.arithmetic import Array, Indices, layer_norm, sigmoid, silu, softmax


def swiglu(
    y: Array, w1: Array, b1: Array, w2: Array, b2: Array, ln: tuple[Array, Array, float], w3: Array, b3: Array
) -> Array:
    """One token through one expert."""
    return w3 @ layer_norm(silu(w1 @ y + b1) * (w2 @ y + b2), *ln) + b3


def expert_scores(
    x: Array,
    norm_weight: Array,
    norm_bias: Array,
    expert_gate_weight: Array,
    expert_gate_bias: Array,
    expert_bias: Array,
    epsilon: float,
) -> Array:
    """[N, E] what the argmax over experts gets."""
    y = layer_norm(x, norm_weight, norm_bias, epsilon)
    return sigmoid(y @ expert_gate_weight.T + expert_gate_bias) + expert_bias


def hybrid_moe(
    x: Array,
    boundary: Indices,
    norm_weight: Array,
    norm_bias: Array,
    shared_w1: Array,
    shared_b1: Array,
    shared_w2: Array,
    shared_b2: Array,
    shared_ln_weight: Array,
    shared_ln_bias: Array,
    shared_w3: Array,
    shared_b3: Array,
    shared_gate_weight: Array,
    shared_gate_bias: Array,
    select_w1: Array,
    select_b1: Array,
    select_w2: Array,
    select_b2: Array,
    select_ln_weight: Array,
    select_ln_bias: Array,
    select_w3: Array,
    select_b3: Array,
    expert_gate_weight: Array,
    expert_gate_bias: Array,
    expert_bias: Array,
    epsilon: float,
) -> Array:
    out = np.empty_like(x)
    wanted = set(boundary.tolist())
    for token in range(len(x)):
        y = layer_norm(x[token], norm_weight, norm_bias, epsilon)
        shared_ln = (shared_ln_weight, shared_ln_bias, epsilon)
        shared = swiglu(y, shared_w1, shared_b1, shared_w2, shared_b2, shared_ln, shared_w3, shared_b3)
        if token not in wanted:
            out[token] = x[token] + shared
            continue
        scores = sigmoid(expert_gate_weight @ y + expert_gate_bias)
        ranked = (scores + expert_bias).tolist()
        e = ranked.index(max(ranked))
        gate = sigmoid(shared_gate_weight @ y + shared_gate_bias)[0]
        a, c = softmax(np.array([gate, scores[e]]))
        select_ln = (select_ln_weight, select_ln_bias, epsilon)
        selected = swiglu(
            y, select_w1[e], select_b1[e], select_w2[e], select_b2[e], select_ln, select_w3[e], select_b3[e]
        )
        out[token] = x[token] + a * shared + c * selected
    return out
