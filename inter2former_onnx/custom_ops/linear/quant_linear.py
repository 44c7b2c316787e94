"""QuantLinear: a linear layer whose products are of 8-bit integers. It has no kernel of its own."""

from onnxscript import FLOAT, INT8, UINT8, script

from ..opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def QuantLinear(x: FLOAT, weight: INT8, scale: FLOAT, bias: FLOAT) -> FLOAT:
    """x (scale weight)^T + bias, each row of x rounded to 256 steps from its least to its largest value, zero included.

    x [N, C], weight int8 [P, C], scale [P] of the weights of an output channel, bias [P] -> [N, P]
    """
    low = op.Min(op.ReduceMin(x, [1], keepdims=1), 0.0)
    high = op.Max(op.ReduceMax(x, [1], keepdims=1), 0.0)
    span = high - low
    usable = span > 1e-30  # a row of zeros has no step
    factor = op.Where(usable, 255.0 / op.Where(usable, span, 1.0), 0.0)
    zero = op.Round(-low * factor)
    rows = op.Cast(op.Clip(op.Round(x * factor) + zero, 0.0, 255.0), to=UINT8.dtype)
    sums = op.ReduceSum(op.Cast(weight, to=FLOAT.dtype), [1], keepdims=0)
    products = op.Cast(op.MatMulInteger(rows, op.Transpose(weight, perm=[1, 0])), to=FLOAT.dtype)
    return (products - zero * sums) * (op.Where(usable, span / 255.0, 0.0) * scale) + bias
