"""FirstAttention: boundary attention of all tokens that also gives the softmax's denominators."""

from onnxscript import FLOAT, INT64, graph, script

from ...opset import INTER2FORMER, op
from ..chunks import CHUNK, IntoChunks, OutOfChunks
from ..rotation import RotaryTables, Rotate


@script(INTER2FORMER, default_opset=op)
def FirstAttention(qkv: FLOAT, grid: INT64, freqs: FLOAT, num_heads: int) -> tuple[FLOAT, FLOAT]:
    """Every token looks at all tokens; lse is the logarithm of what each softmax divides by.

    qkv [N, 3 D]: columns of q, k and v side by side; grid [2] = (h, w), N = h w; freqs [D / heads / 4]: angle a
    position, the position ratio included -> attention [N, D], lse [N, heads]
    """
    q, k, v = op.Split(qkv, axis=1, num_outputs=3)
    heads = op.Reshape(num_heads, [1])
    width = op.Shape(q, start=1, end=2) / heads
    cos, sin = RotaryTables(grid, freqs, num_heads=num_heads)
    scale = op.Cast(width, to=FLOAT.dtype) ** (-0.5)
    q_scaled = Rotate(q, cos, sin) * scale

    head_shape = op.Concat([0], heads, width, axis=0)
    keys = op.Transpose(op.Reshape(Rotate(k, cos, sin), head_shape), perm=[1, 2, 0])
    values = op.Transpose(op.Reshape(v, head_shape), perm=[1, 0, 2])

    @graph()
    def attend(queries: CHUNK) -> tuple[CHUNK, CHUNK]:
        """One chunk, [heads, chunk, D / heads] -> the same shape, and [heads, chunk, 1]."""
        scores = op.MatMul(queries, keys)
        largest = op.ReduceMax(scores, [-1], keepdims=1)
        weights = op.Exp(scores - largest)
        total = op.ReduceSum(weights, [-1], keepdims=1)
        return op.MatMul(weights / total, values), op.Log(total) + largest

    out, logs = op.Scan(IntoChunks(q_scaled, heads), body=attend, num_scan_inputs=1)
    number = op.Shape(q, start=0, end=1)
    return OutOfChunks(out, number), OutOfChunks(logs, number)
