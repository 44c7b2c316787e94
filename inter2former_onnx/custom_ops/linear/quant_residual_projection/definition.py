"""QuantResidualProjection: ResidualProjection with 8-bit products."""

from onnxscript import FLOAT, INT8, script

from ...opset import INTER2FORMER, op
from ..quant_linear import QuantLinear


@script(INTER2FORMER, default_opset=op)
def QuantResidualProjection(x: FLOAT, residual: FLOAT, weight: INT8, scale: FLOAT, bias: FLOAT) -> FLOAT:
    """residual + a linear layer of x in 8-bit integers.

    x [N, C], residual [N, P], weight int8 [P, C], scale [P], bias [P] -> [N, P]
    """
    return residual + QuantLinear(x, weight, scale, bias)
