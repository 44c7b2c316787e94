"""BoundaryScatter: the tokens come back from their two routes."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def BoundaryScatter(x_boundary: FLOAT, x_other: FLOAT, boundary: INT64, other: INT64) -> FLOAT:
    """Put the tokens of both routes back, the inverse of BoundaryGather.

    x_boundary [Nb, C], x_other [No, C]; boundary [Nb], other [No]: token indices, together 0 .. N - 1 -> x [N, C]
    """
    # Inverting the permutation moves N integers; scattering the rows themselves would copy all of them twice.
    order = op.Concat(boundary, other, axis=0)
    tokens = op.Range(0, op.Size(order), 1)
    inverse = op.ScatterElements(order, order, tokens, axis=0)
    return op.Gather(op.Concat(x_boundary, x_other, axis=0), inverse, axis=0)
