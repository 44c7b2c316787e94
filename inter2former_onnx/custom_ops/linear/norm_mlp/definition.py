"""NormMlp: the second half of a transformer block."""

from onnxscript import FLOAT, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def NormMlp(
    x: FLOAT,
    norm_weight: FLOAT,
    norm_bias: FLOAT,
    weight1: FLOAT,
    bias1: FLOAT,
    weight2: FLOAT,
    bias2: FLOAT,
    epsilon: float,
) -> FLOAT:
    """x + linear(GELU(linear(LayerNorm(x)))), GELU with the error function.

    x [N, C], norm_weight [C], norm_bias [C], weight1 [H, C], bias1 [H], weight2 [C, H], bias2 [C] -> [N, C]
    """
    y = op.LayerNormalization(x, norm_weight, norm_bias, axis=-1, epsilon=epsilon)
    hidden = op.Gemm(y, weight1, bias1, transB=1)
    active = hidden * 0.5 * (1.0 + op.Erf(hidden / 1.4142135381698608))
    return x + op.Gemm(active, weight2, bias2, transB=1)
