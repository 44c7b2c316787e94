"""HybridMoE: a shared expert for every token, a routed one more for boundary tokens."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op
from .experts import Expert, RoutedExperts


@script(INTER2FORMER, default_opset=op)
def HybridMoE(
    x: FLOAT,
    boundary: INT64,
    norm_weight: FLOAT,
    norm_bias: FLOAT,
    shared_w1: FLOAT,
    shared_b1: FLOAT,
    shared_w2: FLOAT,
    shared_b2: FLOAT,
    shared_ln_weight: FLOAT,
    shared_ln_bias: FLOAT,
    shared_w3: FLOAT,
    shared_b3: FLOAT,
    shared_gate_weight: FLOAT,
    shared_gate_bias: FLOAT,
    select_w1: FLOAT,
    select_b1: FLOAT,
    select_w2: FLOAT,
    select_b2: FLOAT,
    select_ln_weight: FLOAT,
    select_ln_bias: FLOAT,
    select_w3: FLOAT,
    select_b3: FLOAT,
    expert_gate_weight: FLOAT,
    expert_gate_bias: FLOAT,
    expert_bias: FLOAT,
    epsilon: float,
) -> FLOAT:
    """LayerNorm, experts and residual.

    y = LN(x); expert(y) = w3 LN(silu(w1 y + b1) * (w2 y + b2)) + b3. Tokens that are not boundary tokens:
    x + shared(y). Boundary tokens: e = argmax(sigmoid(expert_gate y) + expert_bias), the first one on ties,
    (a, c) = softmax(sigmoid(shared_gate y), sigmoid(expert_gate y)[e]), x + a shared(y) + c expert_e(y).

    x [N, C]; boundary [Nb]: token indices; norm_weight, norm_bias [C]; shared_w1, shared_w2 [H, C], shared_b1,
    shared_b2 [H], shared_w3 [C, H], shared_b3 [C]; shared_gate_weight [1, C], shared_gate_bias [1]; select_w1,
    select_w2 [E, H, C], select_b1, select_b2 [E, H], select_w3 [E, C, H], select_b3 [E, C]; weights and biases of the
    inner LayerNorms [H]; expert_gate_weight [E, C], expert_gate_bias, expert_bias [E] -> [N, C]
    """
    y = op.LayerNormalization(x, norm_weight, norm_bias, axis=-1, epsilon=epsilon)
    # fmt: off
    shared = Expert(
        y, shared_w1, shared_b1, shared_w2, shared_b2, shared_ln_weight, shared_ln_bias, shared_w3, shared_b3,
        epsilon=epsilon,
    )
    routed = op.Gather(y, boundary, axis=0)
    scores = op.Sigmoid(op.Gemm(routed, expert_gate_weight, expert_gate_bias, transB=1))
    chosen = op.ArgMax(scores + expert_bias, axis=1, keepdims=1)
    selected = RoutedExperts(
        routed, chosen, select_w1, select_b1, select_w2, select_b2, select_ln_weight, select_ln_bias, select_w3,
        select_b3, epsilon=epsilon,
    )
    # fmt: on
    # softmax of two numbers is the sigmoid of their difference
    gate = op.Sigmoid(op.Gemm(routed, shared_gate_weight, shared_gate_bias, transB=1))
    score = op.GatherElements(scores, chosen, axis=1)
    mixed = op.Sigmoid(gate - score) * op.Gather(shared, boundary, axis=0) + op.Sigmoid(score - gate) * selected
    boundary_out = op.Gather(x, boundary, axis=0) + mixed
    return op.ScatterND(x + shared, op.Unsqueeze(boundary, [1]), boundary_out)
