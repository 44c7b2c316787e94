"""WindowAttention: attention within windows of tokens, of several scales and arrangements at once."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def WindowAttention(
    qkv: FLOAT, padding: FLOAT, tokens: INT64, positions: INT64, cos: FLOAT, sin: FLOAT, num_heads: int
) -> FLOAT:
    """Multi-head attention with rotary embedding inside windows of A positions.

    qkv [N, 3C]: columns of q, k and v side by side. padding [3C]: the row of positions without a token. tokens int64
    [W * A]: the token at each position of each window, N for none. positions int64 [N]: where each token is. cos, sin
    [W, 1, A, C / num_heads]: rotary tables. -> [N, C]
    """
    rows = op.Gather(op.Concat(qkv, op.Unsqueeze(padding, [0]), axis=0), tokens, axis=0)  # [W A, 3C]
    windows = op.Shape(cos, start=0, end=1)
    area = op.Shape(cos, start=2, end=3)
    head_dim = op.Shape(cos, start=3, end=4)
    heads = op.Reshape(num_heads, [1])
    split = op.Reshape(rows, op.Concat(windows, area, [3], heads, head_dim, axis=0))
    parts = op.Transpose(split, perm=[2, 0, 3, 1, 4])  # [3, W, heads, A, head_dim]
    scale = op.Sqrt(op.Sqrt(op.Cast(head_dim, to=FLOAT.dtype)))
    pairs = op.Reshape(op.Slice(parts, [0], [2], [0]), op.Concat([2], windows, heads, area, [-1, 2], axis=0))
    even, odd = op.Split(pairs, axis=5, num_outputs=2)
    turned = op.Reshape(op.Concat(odd, -even, axis=5), op.Concat([2], windows, heads, area, head_dim, axis=0))
    rotated = (op.Slice(parts, [0], [2], [0]) * cos + turned * sin) / scale
    q = op.Gather(rotated, 0, axis=0)
    k = op.Gather(rotated, 1, axis=0)
    v = op.Gather(parts, 2, axis=0)
    weights = op.Softmax(op.MatMul(q, op.Transpose(k, perm=[0, 1, 3, 2])), axis=-1)
    out = op.Transpose(op.MatMul(weights, v), perm=[0, 2, 1, 3])  # [W, A, heads, head_dim]
    return op.Gather(op.Reshape(out, op.Concat(windows * area, heads * head_dim, axis=0)), positions, axis=0)
