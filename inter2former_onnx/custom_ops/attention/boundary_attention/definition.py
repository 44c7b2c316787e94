"""BoundaryAttention: full attention with rotary embedding for the boundary tokens."""

from onnxscript import FLOAT, INT64, graph, script

from ...opset import INTER2FORMER, op
from ..chunks import CHUNK, IntoChunks, OutOfChunks
from ..rotation import RotaryTables, Rotate


@script(INTER2FORMER, default_opset=op)
def BoundaryAttention(
    q: FLOAT, k: FLOAT, v: FLOAT, boundary: INT64, grid: INT64, freqs: FLOAT, num_heads: int
) -> FLOAT:
    """Every boundary token looks at all tokens: softmax(s rotate(q) rotate(k)^T) v per head, s = (D / heads)^-0.5.

    q [Nb, D]; k, v [N, D]; boundary [Nb]: token indices of the queries; grid [2] = (h, w), N = h w;
    freqs [D / heads / 4]: angle a position, the position ratio included -> [Nb, D]
    """
    heads = op.Reshape(num_heads, [1])
    width = op.Shape(q, start=1, end=2) / heads

    cos, sin = RotaryTables(grid, freqs, num_heads=num_heads)
    k_turned = Rotate(k, cos, sin)
    q_turned = Rotate(q, op.Gather(cos, boundary, axis=0), op.Gather(sin, boundary, axis=0))
    scale = op.Cast(width, to=FLOAT.dtype) ** (-0.5)
    q_scaled = q_turned * scale

    head_shape = op.Concat([0], heads, width, axis=0)
    keys = op.Transpose(op.Reshape(k_turned, head_shape), perm=[1, 2, 0])
    values = op.Transpose(op.Reshape(v, head_shape), perm=[1, 0, 2])

    @graph()
    def attend(queries: CHUNK) -> CHUNK:
        """One chunk, [heads, chunk, D / heads] -> the same shape."""
        return op.MatMul(op.Softmax(op.MatMul(queries, keys), axis=-1), values)

    out = op.Scan(IntoChunks(q_scaled, heads), body=attend, num_scan_inputs=1)
    return OutOfChunks(out, op.Shape(q, start=0, end=1))
