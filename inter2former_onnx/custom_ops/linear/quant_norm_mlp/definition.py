"""QuantNormMlp: NormMlp with 8-bit products."""

from onnxscript import FLOAT, INT8, script

from ...opset import INTER2FORMER, op
from ..quant_linear import QuantLinear


@script(INTER2FORMER, default_opset=op)
def QuantNormMlp(
    x: FLOAT,
    norm_weight: FLOAT,
    norm_bias: FLOAT,
    weight1: INT8,
    scale1: FLOAT,
    bias1: FLOAT,
    weight2: INT8,
    scale2: FLOAT,
    bias2: FLOAT,
    epsilon: float,
) -> FLOAT:
    """x + linear(GELU(linear(LayerNorm(x)))), both linear layers in 8-bit integers, GELU with the error function.

    x [N, C], norm_weight [C], norm_bias [C], weight1 int8 [H, C], scale1 [H], bias1 [H], weight2 int8 [C, H],
    scale2 [C], bias2 [C] -> [N, C]
    """
    y = op.LayerNormalization(x, norm_weight, norm_bias, axis=-1, epsilon=epsilon)
    hidden = QuantLinear(y, weight1, scale1, bias1)
    active = hidden * 0.5 * (1.0 + op.Erf(hidden / 1.4142135381698608))
    return x + QuantLinear(active, weight2, scale2, bias2)
