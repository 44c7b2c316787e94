"""A part of LocalUpsample2x: its GroupNorm."""

from onnxscript import FLOAT, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def WholeNorm(x: FLOAT, norm_weight: FLOAT, norm_bias: FLOAT, epsilon: float) -> FLOAT:
    """GroupNorm with one group: x [h, w, C], norm_weight, norm_bias [C] -> the shape of x.

    The means of rows are averaged: InstanceNormalization adds up all values in one thread and one float, which is
    slower and costs two digits. The affine part works on whole rows, as broadcasting over few channels is slow.
    """
    width = op.Shape(x, start=1, end=2)
    rows = op.Reshape(x, op.Concat(op.Shape(x, start=0, end=1), [-1], axis=0))
    centred = rows - op.ReduceMean(op.ReduceMean(rows, [1], keepdims=0))
    variance = op.ReduceMean(op.ReduceMean(centred * centred, [1], keepdims=0))
    factors = op.Tile(norm_weight / op.Sqrt(variance + epsilon), width)
    return op.Reshape(centred * factors + op.Tile(norm_bias, width), op.Shape(x))
