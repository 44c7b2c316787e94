"""Localise: which tokens the object is in."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def Localise(
    x: FLOAT,
    grid: INT64,
    w0: FLOAT,
    b0: FLOAT,
    w1: FLOAT,
    b1: FLOAT,
    w2: FLOAT,
    b2: FLOAT,
    w3: FLOAT,
    b3: FLOAT,
) -> FLOAT:
    """Four linear layers with SiLU between.

    x [N, C]; grid [2] = (h, w), N = h w; w0 [C1, C], b0 [C1], w1 [C2, C1], b1 [C2], w2 [C3, C2], b2 [C3], w3 [1, C3],
    b3 [1] -> [h, w]
    """
    y0 = op.Gemm(x, w0, b0, transB=1)
    y1 = op.Gemm(y0 * op.Sigmoid(y0), w1, b1, transB=1)
    y2 = op.Gemm(y1 * op.Sigmoid(y1), w2, b2, transB=1)
    y3 = op.Gemm(y2 * op.Sigmoid(y2), w3, b3, transB=1)
    return op.Reshape(y3, grid)
