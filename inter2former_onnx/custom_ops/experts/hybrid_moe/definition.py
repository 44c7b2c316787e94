"""HybridMoE: a shared expert for every token, a routed one more for boundary tokens."""

from onnxscript import BOOL, FLOAT, INT64, graph, script

from ...opset import INTER2FORMER, op


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
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    flat = op.Constant(value_ints=[-1])

    y = op.LayerNormalization(x, norm_weight, norm_bias, axis=-1, epsilon=epsilon)
    left = op.Gemm(y, shared_w1, shared_b1, transB=1)
    right = op.Gemm(y, shared_w2, shared_b2, transB=1)
    hidden = op.Mul(op.Mul(left, op.Sigmoid(left)), right)
    normed = op.LayerNormalization(hidden, shared_ln_weight, shared_ln_bias, axis=-1, epsilon=epsilon)
    shared = op.Gemm(normed, shared_w3, shared_b3, transB=1)

    routed = op.Gather(y, boundary, axis=0)
    scores = op.Sigmoid(op.Gemm(routed, expert_gate_weight, expert_gate_bias, transB=1))
    chosen = op.ArgMax(op.Add(scores, expert_bias), axis=1, keepdims=1)
    chosen_flat = op.Reshape(chosen, flat)

    # Every expert sees its own tokens only. The results stay in a sequence, in the experts' order, until all are there:
    # adding them to a tensor one by one would copy it once an expert.
    empty = op.SequenceEmpty()
    nobody = op.Slice(zero, zero, zero)
    experts = op.Squeeze(op.Shape(select_b1, start=0, end=1))

    # Not a `for`: what that carries on onnxscript puts in an order that changes from one process to the next.
    @graph()
    def add_expert(expert: INT64, go_on: BOOL, results, order):
        tokens = op.Reshape(op.NonZero(op.Equal(chosen_flat, expert)), flat)
        y_e = op.Gather(routed, tokens, axis=0)
        left_e = op.Gemm(y_e, op.Gather(select_w1, expert, axis=0), op.Gather(select_b1, expert, axis=0), transB=1)
        right_e = op.Gemm(y_e, op.Gather(select_w2, expert, axis=0), op.Gather(select_b2, expert, axis=0), transB=1)
        hidden_e = op.Mul(op.Mul(left_e, op.Sigmoid(left_e)), right_e)
        normed_e = op.LayerNormalization(hidden_e, select_ln_weight, select_ln_bias, axis=-1, epsilon=epsilon)
        out_e = op.Gemm(normed_e, op.Gather(select_w3, expert, axis=0), op.Gather(select_b3, expert, axis=0), transB=1)
        return op.Identity(go_on), op.SequenceInsert(results, out_e), op.Concat(order, tokens, axis=0)

    results, order = op.Loop(experts, None, empty, nobody, body=add_expert)
    ranks = op.Range(op.Constant(value_int=0), op.Size(order), op.Constant(value_int=1))
    place = op.ScatterElements(order, order, ranks, axis=0)
    selected = op.Gather(op.ConcatFromSequence(results, axis=0), place, axis=0)

    # softmax of two numbers is the sigmoid of their difference
    gate = op.Sigmoid(op.Gemm(routed, shared_gate_weight, shared_gate_bias, transB=1))
    score = op.GatherElements(scores, chosen, axis=1)
    mixed = op.Add(
        op.Mul(op.Sigmoid(op.Sub(gate, score)), op.Gather(shared, boundary, axis=0)),
        op.Mul(op.Sigmoid(op.Sub(score, gate)), selected),
    )
    boundary_out = op.Add(op.Gather(x, boundary, axis=0), mixed)
    return op.ScatterND(op.Add(x, shared), op.Unsqueeze(boundary, one), boundary_out)
