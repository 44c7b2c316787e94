"""QuantNormProjection: NormProjection with 8-bit products."""

from onnxscript import FLOAT, INT8, script

from ...opset import INTER2FORMER, op
from ..quant_linear import QuantLinear


@script(INTER2FORMER, default_opset=op)
def QuantNormProjection(
    x: FLOAT, norm_weight: FLOAT, norm_bias: FLOAT, weight: INT8, scale: FLOAT, bias: FLOAT, epsilon: float
) -> FLOAT:
    """LayerNorm over the channels, then a linear layer in 8-bit integers.

    x [N, C], norm_weight [C], norm_bias [C], weight int8 [P, C], scale [P], bias [P] -> [N, P]
    """
    return QuantLinear(op.LayerNormalization(x, norm_weight, norm_bias, axis=-1, epsilon=epsilon), weight, scale, bias)
