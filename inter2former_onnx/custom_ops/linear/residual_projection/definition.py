"""ResidualProjection: a linear layer added to a skip connection."""

from onnxscript import FLOAT, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def ResidualProjection(x: FLOAT, residual: FLOAT, weight: FLOAT, bias: FLOAT) -> FLOAT:
    """residual + x weight^T + bias.

    x [N, C], residual [N, P], weight [P, C], bias [P] -> [N, P]
    """
    return residual + op.Gemm(x, weight, bias, transB=1)
