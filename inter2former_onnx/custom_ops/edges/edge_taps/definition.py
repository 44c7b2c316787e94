"""EdgeTaps: what an edge map adds to one upsampling level, for any crop along token borders."""

from onnxscript import FLOAT, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def EdgeTaps(x: FLOAT, weight: FLOAT, tap_bias: FLOAT, bias: FLOAT, stride: int):
    """A 3 x 3 convolution kept in parts: the whole, and what comes from just outside each token.

    x [H, W, C], weight [9, O, C] and tap_bias [9, O]: each tap of the convolution of a linear map of x, bias [O];
    stride: pixels s per token side, h = H / s, w = W / s. -> terms [H, W, O], rows [2, h, W, O] (from above, from
    below), columns [2, H, w, O] (from the left, from the right), corners [2, 2, h, w, O].
    """
    flat = op.Reshape(weight, op.Concat([-1], op.Shape(weight, start=2), axis=0))  # [9 O, C]
    products = op.MatMul(x, op.Transpose(flat, perm=[1, 0])) + op.Reshape(tap_bias, [-1])  # [H, W, 9 O]
    shape = op.Concat(op.Shape(x, start=0, end=2), [9, -1], axis=0)
    q = op.Pad(op.Reshape(products, shape), [1, 1, 0, 0, 1, 1, 0, 0])  # [H + 2, W + 2, 9, O]
    t0, t1, t2, t3, t4, t5, t6, t7, t8 = op.Split(q, axis=2, num_outputs=9)
    # Each tap moved to the pixel that it adds to: rows first, then columns; [H, W, O].
    s0 = op.Squeeze(op.Slice(t0, [0, 0], [-2, -2], [0, 1]), [2])
    s1 = op.Squeeze(op.Slice(t1, [0, 1], [-2, -1], [0, 1]), [2])
    s2 = op.Squeeze(op.Slice(t2, [0, 2], [-2, 1073741824], [0, 1]), [2])
    s3 = op.Squeeze(op.Slice(t3, [1, 0], [-1, -2], [0, 1]), [2])
    s4 = op.Squeeze(op.Slice(t4, [1, 1], [-1, -1], [0, 1]), [2])
    s5 = op.Squeeze(op.Slice(t5, [1, 2], [-1, 1073741824], [0, 1]), [2])
    s6 = op.Squeeze(op.Slice(t6, [2, 0], [1073741824, -2], [0, 1]), [2])
    s7 = op.Squeeze(op.Slice(t7, [2, 1], [1073741824, -1], [0, 1]), [2])
    s8 = op.Squeeze(op.Slice(t8, [2, 2], [1073741824, 1073741824], [0, 1]), [2])
    above = s0 + s1 + s2
    below = s6 + s7 + s8
    terms = above + (s3 + s4 + s5) + below + bias
    step = op.Reshape(op.Constant(value_int=stride), [1])
    steps = op.Concat(step, step, axis=0)
    zero = op.Constant(value_ints=[0])
    last = step - 1
    end = op.Constant(value_ints=[1073741824])
    ends = op.Constant(value_ints=[1073741824, 1073741824])
    both = op.Constant(value_ints=[0, 1])
    rows = op.Concat(
        op.Unsqueeze(op.Slice(above, zero, end, [0], step), [0]),
        op.Unsqueeze(op.Slice(below, last, end, [0], step), [0]),
        axis=0,
    )
    columns = op.Concat(
        op.Unsqueeze(op.Slice(s0 + s3 + s6, zero, end, [1], step), [0]),
        op.Unsqueeze(op.Slice(s2 + s5 + s8, last, end, [1], step), [0]),
        axis=0,
    )
    top = op.Concat(
        op.Unsqueeze(op.Slice(s0, op.Concat(zero, zero, axis=0), ends, both, steps), [0]),
        op.Unsqueeze(op.Slice(s2, op.Concat(zero, last, axis=0), ends, both, steps), [0]),
        axis=0,
    )
    bottom = op.Concat(
        op.Unsqueeze(op.Slice(s6, op.Concat(last, zero, axis=0), ends, both, steps), [0]),
        op.Unsqueeze(op.Slice(s8, op.Concat(last, last, axis=0), ends, both, steps), [0]),
        axis=0,
    )
    corners = op.Concat(op.Unsqueeze(top, [0]), op.Unsqueeze(bottom, [0]), axis=0)
    return terms, rows, columns, corners
