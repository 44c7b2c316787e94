"""BoundaryAttention: full attention with rotary embedding for the boundary tokens."""

from onnxscript import FLOAT, INT64, graph, script

from ..opset import INTER2FORMER, op

# Queries at a time. The scores of a chunk, 4 * 512 * N bytes a head, are what the op needs in memory beside its
# operands: 8 MB instead of 64 MB at N = 4096 and 32 MB instead of 1 GB at N = 16384, for 5 % more time.
_CHUNK = 512


@script(INTER2FORMER, default_opset=op)
def BoundaryAttention(
    q: FLOAT, k: FLOAT, v: FLOAT, boundary: INT64, grid: INT64, freqs: FLOAT, num_heads: int
) -> FLOAT:
    """Every boundary token looks at all tokens: softmax(s rotate(q) rotate(k)^T) v per head, s = (D / heads)^-0.5.

    q [Nb, D]; k, v [N, D]; boundary [Nb]: token indices of the queries; grid [2] = (h, w), N = h w;
    freqs [D / heads / 4]: angle a position, the position ratio included -> [Nb, D]
    """
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    rest = op.Constant(value_ints=[-1])
    start = op.Constant(value_int=0)
    step = op.Constant(value_int=1)
    heads = op.Reshape(op.Constant(value_int=num_heads), one)
    half_width = op.Mul(op.Shape(freqs), two)
    width = op.Mul(half_width, two)
    channels = op.Mul(width, heads)

    # cos and sin [N, D]: rows turn the first half of a head's channels, columns the second, each frequency twice in a
    # row. Computed for h rows and w columns only; sin carries the signs of r(x)[2j] = x[2j+1], r(x)[2j+1] = -x[2j].
    height, columns = op.Split(grid, num_outputs=2)
    angle = op.Reshape(op.Tile(op.Unsqueeze(freqs, one), op.Constant(value_ints=[1, 2])), rest)
    signs = op.Tile(op.Constant(value_floats=[1.0, -1.0]), op.Shape(freqs))
    row = op.Cast(op.Range(start, op.Squeeze(height), step), to=1)
    column = op.Cast(op.Range(start, op.Squeeze(columns), step), to=1)
    row_angles = op.Mul(op.Reshape(row, op.Constant(value_ints=[-1, 1, 1])), angle)
    column_angles = op.Mul(op.Reshape(column, op.Constant(value_ints=[1, -1, 1])), angle)
    half_shape = op.Concat(grid, half_width, axis=0)
    table_shape = op.Concat(rest, width, axis=0)
    copies = op.Concat(one, heads, axis=0)
    cos = op.Concat(op.Expand(op.Cos(row_angles), half_shape), op.Expand(op.Cos(column_angles), half_shape), axis=2)
    cos = op.Tile(op.Reshape(cos, table_shape), copies)
    row_sin = op.Expand(op.Mul(op.Sin(row_angles), signs), half_shape)
    column_sin = op.Expand(op.Mul(op.Sin(column_angles), signs), half_shape)
    sin = op.Tile(op.Reshape(op.Concat(row_sin, column_sin, axis=2), table_shape), copies)

    # Neighbouring channels change places: a product with a permutation matrix, exact and faster than strided slices.
    channel = op.Range(start, op.Squeeze(channels), step)
    neighbour = op.Sub(op.Add(channel, one), op.Mul(op.Mod(channel, two), two))
    swap = op.Cast(op.Equal(op.Unsqueeze(channel, one), op.Unsqueeze(neighbour, zero)), to=1)
    k_turned = op.Add(op.Mul(k, cos), op.Mul(op.MatMul(k, swap), sin))
    q_cos = op.Gather(cos, boundary, axis=0)
    q_sin = op.Gather(sin, boundary, axis=0)
    q_turned = op.Add(op.Mul(q, q_cos), op.Mul(op.MatMul(q, swap), q_sin))
    scale = op.Pow(op.Cast(width, to=1), op.Constant(value_float=-0.5))
    q_scaled = op.Mul(q_turned, scale)

    head_shape = op.Concat(zero, heads, width, axis=0)
    keys = op.Transpose(op.Reshape(k_turned, head_shape), perm=[1, 2, 0])
    values = op.Transpose(op.Reshape(v, head_shape), perm=[1, 0, 2])

    @graph()
    def attend(queries: FLOAT[...]) -> FLOAT[...]:
        """One chunk, [heads, chunk, D / heads] -> the same shape."""
        return op.MatMul(op.Softmax(op.MatMul(queries, keys), axis=-1), values)

    # Equal chunks, so that at most (chunks - 1) queries are padding; at least one chunk, so that Nb = 0 has a shape.
    number = op.Shape(q, start=0, end=1)
    most = op.Constant(value_ints=[_CHUNK])
    chunks = op.Max(op.Div(op.Sub(op.Add(number, most), one), most), one)
    chunk = op.Div(op.Sub(op.Add(number, chunks), one), chunks)
    padded = op.Mul(chunk, chunks)
    filled = op.Pad(q_scaled, op.Concat(zero, zero, op.Sub(padded, number), zero, axis=0))
    chunked = op.Reshape(filled, op.Concat(chunks, chunk, heads, width, axis=0), allowzero=1)
    out = op.Scan(op.Transpose(chunked, perm=[0, 2, 1, 3]), body=attend, num_scan_inputs=1)
    joined = op.Reshape(op.Transpose(out, perm=[0, 2, 1, 3]), op.Concat(padded, channels, axis=0), allowzero=1)
    return op.Slice(joined, zero, number, zero)
