"""ResidualConvBlock: a block of the edge detector."""

from onnxscript import FLOAT, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def NormSilu(x: FLOAT, norm_weight: FLOAT, norm_bias: FLOAT, epsilon: float) -> FLOAT:
    """SiLU of GroupNorm with one group. x [H, W, C] -> the same shape.

    Means are taken line by line first: a plain float32 sum over a large map is wrong by 1e-5.
    """
    mean = op.ReduceMean(op.ReduceMean(x, [1, 2], keepdims=1), [0], keepdims=1)
    centred = x - mean
    variance = op.ReduceMean(op.ReduceMean(centred * centred, [1, 2], keepdims=1), [0], keepdims=1)
    y = centred * (norm_weight / op.Sqrt(variance + epsilon)) + norm_bias
    return y * op.Sigmoid(y)


@script(INTER2FORMER, default_opset=op)
def ResidualConvBlock(
    x: FLOAT,
    norm1_weight: FLOAT,
    norm1_bias: FLOAT,
    conv1_weight: FLOAT,
    conv1_bias: FLOAT,
    norm2_weight: FLOAT,
    norm2_bias: FLOAT,
    conv2_weight: FLOAT,
    conv2_bias: FLOAT,
    epsilon: float,
) -> FLOAT:
    """x + conv(SiLU(norm(conv(SiLU(norm(x)))))): GroupNorm with one group, 3 x 3 convolutions with zero padding.

    x [H, W, C], norm weights and biases [C], conv weights [C, C, 3, 3] and biases [C] -> [H, W, C]
    """
    first = NormSilu(x, norm1_weight, norm1_bias, epsilon=epsilon)
    planes = op.Unsqueeze(op.Transpose(first, perm=[2, 0, 1]), [0])
    between = op.Conv(planes, conv1_weight, conv1_bias, pads=[1, 1, 1, 1])
    second = NormSilu(op.Transpose(op.Squeeze(between, [0]), perm=[1, 2, 0]), norm2_weight, norm2_bias, epsilon=epsilon)
    planes = op.Unsqueeze(op.Transpose(second, perm=[2, 0, 1]), [0])
    last = op.Conv(planes, conv2_weight, conv2_bias, pads=[1, 1, 1, 1])
    return x + op.Transpose(op.Squeeze(last, [0]), perm=[1, 2, 0])
