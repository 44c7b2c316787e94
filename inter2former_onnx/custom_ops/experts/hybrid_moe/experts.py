"""Parts of HybridMoE: an expert, and the routed experts over the tokens that chose them."""

from onnxscript import BOOL, FLOAT, INT64, graph, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def Expert(
    y: FLOAT,
    w1: FLOAT,
    b1: FLOAT,
    w2: FLOAT,
    b2: FLOAT,
    ln_weight: FLOAT,
    ln_bias: FLOAT,
    w3: FLOAT,
    b3: FLOAT,
    epsilon: float,
) -> FLOAT:
    """w3 LN(silu(w1 y + b1) * (w2 y + b2)) + b3.

    y [n, C]; w1, w2 [H, C], b1, b2 [H]; ln_weight, ln_bias [H]; w3 [C, H], b3 [C] -> [n, C]
    """
    left = op.Gemm(y, w1, b1, transB=1)
    hidden = left * op.Sigmoid(left) * op.Gemm(y, w2, b2, transB=1)
    normed = op.LayerNormalization(hidden, ln_weight, ln_bias, axis=-1, epsilon=epsilon)
    return op.Gemm(normed, w3, b3, transB=1)


@script(INTER2FORMER, default_opset=op)
def RoutedExperts(
    routed: FLOAT,
    chosen: INT64,
    w1: FLOAT,
    b1: FLOAT,
    w2: FLOAT,
    b2: FLOAT,
    ln_weight: FLOAT,
    ln_bias: FLOAT,
    w3: FLOAT,
    b3: FLOAT,
    epsilon: float,
) -> FLOAT:
    """Each token's own expert.

    routed [n, C]; chosen [n, 1]: the token's expert; the E experts stacked: w1, w2 [E, H, C], b1, b2 [E, H], w3
    [E, C, H], b3 [E, C], and the LayerNorm that they share, [H] -> [n, C]
    """
    # Every expert sees its own tokens only. The results stay in a sequence, in the experts' order, until all are there:
    # adding them to a tensor one by one would copy it once an expert.
    chosen_flat = op.Reshape(chosen, [-1])
    empty = op.SequenceEmpty()
    nobody = op.Slice(op.Constant(value_ints=[0]), [0], [0])

    # Not a `for`: what that carries on onnxscript puts in an order that changes from one process to the next.
    @graph()
    def add_expert(expert: INT64, go_on: BOOL, results, order):
        tokens = op.Reshape(op.NonZero(chosen_flat == expert), [-1])
        out = Expert(
            op.Gather(routed, tokens, axis=0),
            op.Gather(w1, expert, axis=0),
            op.Gather(b1, expert, axis=0),
            op.Gather(w2, expert, axis=0),
            op.Gather(b2, expert, axis=0),
            ln_weight,
            ln_bias,
            op.Gather(w3, expert, axis=0),
            op.Gather(b3, expert, axis=0),
            epsilon=epsilon,
        )
        return op.Identity(go_on), op.SequenceInsert(results, out), op.Concat(order, tokens, axis=0)

    experts = op.Squeeze(op.Shape(b1, start=0, end=1))
    results, order = op.Loop(experts, None, empty, nobody, body=add_expert)
    place = op.ScatterElements(order, order, op.Range(0, op.Size(order), 1), axis=0)
    return op.Gather(op.ConcatFromSequence(results, axis=0), place, axis=0)
