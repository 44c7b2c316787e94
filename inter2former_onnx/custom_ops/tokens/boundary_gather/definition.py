"""BoundaryGather: the tokens go out to their two routes."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def BoundaryGather(x: FLOAT, boundary: INT64, other: INT64) -> tuple[FLOAT, FLOAT]:
    """Take the tokens out to their two routes.

    x [N, C]; boundary [Nb], other [No]: token indices -> x_boundary [Nb, C], x_other [No, C]
    """
    x_boundary = op.Gather(x, boundary, axis=0)
    x_other = op.Gather(x, other, axis=0)
    return x_boundary, x_other
