"""Parts of LocalUpsample2x: bicubic doubling and the 3 x 3 convolution behind it, both ways to compute them.

Maps and weights are x [h, w, Ci] and weight [Co, Ci, 3, 3]; row_index and row_matrices are those of UpsampleRows(h).
"""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op
from .interpolation import TAP_WEIGHTS, DoubleRows, UpsampleMatrices, UpsampleWindows


@script(INTER2FORMER, default_opset=op)
def DoubleColumns(x: FLOAT) -> FLOAT:
    """Double the columns and apply the three taps of the columns, whose products lie side by side.

    x [h, w, 3 C] -> [h, blocks, 2 b, C]
    """
    width = op.Shape(x, start=1, end=2)
    windows, offsets = UpsampleWindows(width, 8.0)
    blocks = op.Shape(windows, start=0, end=1)
    band, inside = UpsampleMatrices(width, offsets)
    matrices = op.Reshape(
        op.Unsqueeze(inside, [3]) * op.Transpose(band, perm=[0, 1, 3, 2]),
        op.Concat(blocks, op.Shape(offsets, start=0, end=1) * 2, [-1], axis=0),
    )
    height = op.Shape(x, start=0, end=1)
    channels = op.Shape(x, start=2, end=3) / 3
    shape = op.Concat(height, blocks, op.Shape(windows, start=1) * 3, channels, axis=0)
    return op.MatMul(matrices, op.Reshape(op.Gather(x, windows, axis=1), shape))


@script(INTER2FORMER, default_opset=op)
def UpsampleManyChannels(x: FLOAT, weight: FLOAT, row_index: INT64, row_matrices: FLOAT) -> FLOAT:
    """Nine products, rows doubled, columns doubled: [2 h, blocks, 2 b, Co], whole rows of 2 w pixels."""
    height = op.Shape(x, start=0, end=1)
    channels = op.Shape(x, start=2, end=3)
    blocks = op.Shape(row_index, start=0, end=1)
    taps = op.Reshape(op.Transpose(weight, perm=[2, 1, 3, 0]), op.Concat([3], channels, [-1], axis=0))
    products = op.MatMul(op.Reshape(x, op.Concat(blocks, [1, -1], channels, axis=0)), taps)
    tall = DoubleRows(products, height, row_index, row_matrices)
    return DoubleColumns(op.Reshape(tall, op.Concat(height * 2, op.Shape(x, start=1, end=2), [-1], axis=0)))


@script(INTER2FORMER, default_opset=op)
def UpsampleFewChannels(x: FLOAT, weight: FLOAT, row_index: INT64, row_matrices: FLOAT) -> FLOAT:
    """As UpsampleManyChannels, but as though the doubled columns went on outside the border (see OutsideColumns).

    A product for each channel would leave vector units idle, so a matrix does the nine products and the doubling of the
    columns for a whole block of pixels at once. It is the same for all blocks.
    """
    channels = op.Shape(x, start=2, end=3)
    out_channels = op.Shape(weight, start=0, end=1)
    ideal = 8.0 / op.Sqrt(op.Cast(op.Squeeze(out_channels), to=FLOAT.dtype))
    windows, offsets = UpsampleWindows(op.Shape(x, start=1, end=2), ideal)
    by_tap = op.Reshape(op.Transpose(weight, perm=[3, 2, 1, 0]), [3, -1])
    table = op.Transpose(op.Constant(value=TAP_WEIGHTS), perm=[0, 2, 1])
    spread = op.Reshape(op.MatMul(table, by_tap), op.Concat([2, 7, 3], channels, out_channels, axis=0))
    # [phase, sample, window, row tap, Ci, Co] -> [row tap, window, Ci, sample, phase, Co]
    mixing = op.Transpose(op.Gather(spread, offsets, axis=1), perm=[3, 2, 4, 1, 0, 5])
    block_channels = op.Shape(windows, start=1) * channels
    blocks = op.Shape(row_index, start=0, end=1)
    products = op.MatMul(
        op.Reshape(op.Gather(x, windows, axis=1), op.Concat(blocks, [1, -1], block_channels, axis=0)),
        op.Reshape(mixing, op.Concat([3], block_channels, [-1], axis=0)),
    )
    return DoubleRows(products, op.Shape(x, start=0, end=1), row_index, row_matrices)


@script(INTER2FORMER, default_opset=op)
def OutsideColumns(x: FLOAT, weight: FLOAT, row_index: INT64, row_matrices: FLOAT) -> FLOAT:
    """What doubled columns outside the border contribute to those inside: [2 h, 2, Co], to the first and the last."""
    height = op.Shape(x, start=0, end=1)
    channels = op.Shape(x, start=2, end=3)
    out_channels = op.Shape(weight, start=0, end=1)
    # Doubled columns -1 and 2 w: 265/256 of the border column, -9/256 of the one inside it.
    last = op.Shape(x, start=1, end=2) - 1
    ends = op.Concat([0], op.Min([1], last), op.Max(last - 1, [0]), last, axis=0)
    columns = op.Reshape(op.Gather(x, ends, axis=1), op.Concat(height, [2, 2], channels, axis=0))
    shares = op.Reshape(op.Constant(value_floats=[265 / 256, -9 / 256, -9 / 256, 265 / 256]), [2, 2, 1])
    outside = op.Transpose(op.ReduceSum(columns * shares, [2], keepdims=0), perm=[1, 0, 2])
    taps = op.Reshape(
        op.Transpose(op.Gather(weight, [0, 2], axis=3), perm=[3, 1, 2, 0]), op.Concat([2], channels, [-1], axis=0)
    )
    blocks = op.Shape(row_index, start=0, end=1)
    # [side, block, row of the block, tap, Co] -> [block, tap, row of the block, side, Co]
    shape = op.Concat([2], blocks, height / blocks, [3], out_channels, axis=0)
    products = op.Transpose(op.Reshape(op.MatMul(outside, taps), shape), perm=[1, 3, 2, 0, 4])
    doubled = DoubleRows(products, height, row_index, row_matrices)
    return op.Reshape(doubled, op.Concat(height * 2, [2], out_channels, axis=0))
