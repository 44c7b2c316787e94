"""Conv3x3: a convolution of a map with the channels last."""

from onnxscript import FLOAT, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def Conv3x3(x: FLOAT, weight: FLOAT, bias: FLOAT, stride: int) -> FLOAT:
    """3 x 3 convolution with zero padding of one pixel, of which every `stride`-th row and column is kept (1 or 2).

    x [H, W, Ci], weight [Co, Ci, 3, 3], bias [Co] -> [ceil(H / stride), ceil(W / stride), Co]
    """
    planes = op.Unsqueeze(op.Transpose(x, perm=[2, 0, 1]), [0])
    if stride == 1:
        out = op.Conv(planes, weight, bias, pads=[1, 1, 1, 1])
    else:
        out = op.Conv(planes, weight, bias, pads=[1, 1, 1, 1], strides=[2, 2])
    return op.Transpose(op.Squeeze(out, [0]), perm=[1, 2, 0])
