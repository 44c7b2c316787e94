"""EdgeTaps: what an edge map adds to one upsampling level, for any crop along token borders."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, TO_THE_END, op


@script(INTER2FORMER, default_opset=op)
def PixelTaps(x: FLOAT, weight: FLOAT, tap_bias: FLOAT):
    """The taps of the convolution, each moved to the pixel that it adds to.

    x [H, W, C], weight [9, O, C] and tap_bias [9, O]: see EdgeTaps -> nine times [H, W, O], by rows and columns
    """
    flat = op.Reshape(weight, op.Concat([-1], op.Shape(weight, start=2), axis=0))  # [9 O, C]
    products = op.MatMul(x, op.Transpose(flat, perm=[1, 0])) + op.Reshape(tap_bias, [-1])  # [H, W, 9 O]
    shape = op.Concat(op.Shape(x, start=0, end=2), [9, -1], axis=0)
    q = op.Pad(op.Reshape(products, shape), [1, 1, 0, 0, 1, 1, 0, 0])  # [H + 2, W + 2, 9, O]
    t0, t1, t2, t3, t4, t5, t6, t7, t8 = op.Split(q, axis=2, num_outputs=9)
    s0 = op.Squeeze(op.Slice(t0, [0, 0], [-2, -2], [0, 1]), [2])
    s1 = op.Squeeze(op.Slice(t1, [0, 1], [-2, -1], [0, 1]), [2])
    s2 = op.Squeeze(op.Slice(t2, [0, 2], op.Constant(value_ints=[-2, TO_THE_END]), [0, 1]), [2])
    s3 = op.Squeeze(op.Slice(t3, [1, 0], [-1, -2], [0, 1]), [2])
    s4 = op.Squeeze(op.Slice(t4, [1, 1], [-1, -1], [0, 1]), [2])
    s5 = op.Squeeze(op.Slice(t5, [1, 2], op.Constant(value_ints=[-1, TO_THE_END]), [0, 1]), [2])
    s6 = op.Squeeze(op.Slice(t6, [2, 0], op.Constant(value_ints=[TO_THE_END, -2]), [0, 1]), [2])
    s7 = op.Squeeze(op.Slice(t7, [2, 1], op.Constant(value_ints=[TO_THE_END, -1]), [0, 1]), [2])
    s8 = op.Squeeze(op.Slice(t8, [2, 2], op.Constant(value_ints=[TO_THE_END, TO_THE_END]), [0, 1]), [2])
    return s0, s1, s2, s3, s4, s5, s6, s7, s8


@script(INTER2FORMER, default_opset=op)
def EveryLine(x: FLOAT, first: INT64, step: INT64, axis: INT64) -> FLOAT:
    """Every step-th row or column of a map, as one of several: x [H, W, O], first, step, axis [1] -> [1, ., ., O]."""
    lines = op.Slice(x, first, op.Constant(value_ints=[TO_THE_END]), axis, step)
    return op.Unsqueeze(lines, [0])


@script(INTER2FORMER, default_opset=op)
def EveryCorner(x: FLOAT, row: INT64, column: INT64, step: INT64) -> FLOAT:
    """A pixel of every token, as one of several: x [H, W, O]; its first row and column, step [1] -> [1, h, w, O]."""
    return EveryLine(op.Slice(x, row, op.Constant(value_ints=[TO_THE_END]), [0], step), column, step, [1])


@script(INTER2FORMER, default_opset=op)
def EdgeTaps(x: FLOAT, weight: FLOAT, tap_bias: FLOAT, bias: FLOAT, stride: int):
    """A 3 x 3 convolution kept in parts: the whole, and what comes from just outside each token.

    x [H, W, C], weight [9, O, C] and tap_bias [9, O]: each tap of the convolution of a linear map of x, bias [O];
    stride: pixels s per token side, h = H / s, w = W / s. -> terms [H, W, O], rows [2, h, W, O] (from above, from
    below), columns [2, H, w, O] (from the left, from the right), corners [2, 2, h, w, O].
    """
    s0, s1, s2, s3, s4, s5, s6, s7, s8 = PixelTaps(x, weight, tap_bias)
    above = s0 + s1 + s2
    below = s6 + s7 + s8
    terms = above + (s3 + s4 + s5) + below + bias
    zero = op.Constant(value_ints=[0])
    step = op.Reshape(stride, [1])
    last = step - 1
    rows = op.Concat(EveryLine(above, zero, step, [0]), EveryLine(below, last, step, [0]), axis=0)
    columns = op.Concat(EveryLine(s0 + s3 + s6, zero, step, [1]), EveryLine(s2 + s5 + s8, last, step, [1]), axis=0)
    top = op.Concat(EveryCorner(s0, zero, zero, step), EveryCorner(s2, zero, last, step), axis=0)
    bottom = op.Concat(EveryCorner(s6, last, zero, step), EveryCorner(s8, last, last, step), axis=0)
    corners = op.Concat(op.Unsqueeze(top, [0]), op.Unsqueeze(bottom, [0]), axis=0)
    return terms, rows, columns, corners
