"""NormProjection: LayerNorm and the linear layer behind it."""

from onnxscript import FLOAT, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def NormProjection(x: FLOAT, norm_weight: FLOAT, norm_bias: FLOAT, weight: FLOAT, bias: FLOAT, epsilon: float) -> FLOAT:
    """LayerNorm over the channels, then a linear layer.

    x [N, C], norm_weight [C], norm_bias [C], weight [P, C], bias [P] -> [N, P]
    """
    y = op.LayerNormalization(x, norm_weight, norm_bias, axis=-1, epsilon=epsilon)
    return op.Gemm(y, weight, bias, transB=1)
