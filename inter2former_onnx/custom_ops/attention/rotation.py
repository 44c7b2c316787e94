"""Parts of the attention ops: the rotary embedding of tokens by their places on the grid (docs/model.md 7)."""

from __future__ import annotations

from onnxscript import FLOAT, INT64, script

from ..opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def RotaryTables(grid: INT64, freqs: FLOAT, num_heads: int) -> tuple[FLOAT, FLOAT]:
    """Cosines and signed sines of all tokens, for `Rotate`: grid [2] = (h, w), freqs [D/heads/4] -> [h w, D] each."""
    heads = op.Reshape(num_heads, [1])
    half_width = op.Shape(freqs) * 2
    width = half_width * 2

    # Rows turn the first half of a head's channels, columns the second, each frequency twice in a row. Computed for h
    # rows and w columns only; the sines carry the signs of r(x)[2j] = x[2j+1], r(x)[2j+1] = -x[2j].
    height, columns = op.Split(grid, num_outputs=2)
    angle = op.Reshape(op.Tile(op.Unsqueeze(freqs, [1]), [1, 2]), [-1])
    signs = op.Tile(op.Constant(value_floats=[1.0, -1.0]), op.Shape(freqs))
    row = op.Cast(op.Range(0, op.Squeeze(height), 1), to=FLOAT.dtype)
    column = op.Cast(op.Range(0, op.Squeeze(columns), 1), to=FLOAT.dtype)
    row_angles = op.Reshape(row, [-1, 1, 1]) * angle
    column_angles = op.Reshape(column, [1, -1, 1]) * angle
    half_shape = op.Concat(grid, half_width, axis=0)
    table_shape = op.Concat([-1], width, axis=0)
    copies = op.Concat([1], heads, axis=0)
    cos = op.Concat(op.Expand(op.Cos(row_angles), half_shape), op.Expand(op.Cos(column_angles), half_shape), axis=2)
    cos = op.Tile(op.Reshape(cos, table_shape), copies)
    row_sin = op.Expand(op.Sin(row_angles) * signs, half_shape)
    column_sin = op.Expand(op.Sin(column_angles) * signs, half_shape)
    sin = op.Tile(op.Reshape(op.Concat(row_sin, column_sin, axis=2), table_shape), copies)
    return cos, sin


@script(INTER2FORMER, default_opset=op)
def Rotate(x: FLOAT, cos: FLOAT, sin: FLOAT) -> FLOAT:
    """Tokens x [n, D] turned by their rows of the tables, [n, D] each."""
    # Neighbouring channels change places: a product with a permutation matrix, exact and faster than strided slices.
    channels = op.Shape(x, start=1, end=2)
    channel = op.Range(0, op.Squeeze(channels), 1)
    neighbour = channel + 1 - (channel % 2) * 2
    swap = op.Cast(op.Unsqueeze(channel, [1]) == op.Unsqueeze(neighbour, [0]), to=FLOAT.dtype)
    return x * cos + op.MatMul(x, swap) * sin
