"""Parts of PromptEmbed: what the tokens see of the label map, and the patches of those that see several labels.

A token sees 15 pixels before its own 16 on each axis: parts of its own tile of 16 x 16, of those above and to the left
of it, and of the one above-left. At the map's top and left border there are none of these.
"""

from onnxscript import BOOL, INT32, INT64, UINT8, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def LabelTiles(labels: UINT8) -> UINT8:
    """Cut a map into the tokens' own tiles: labels [16 h, 16 w] -> [h w, 256]."""
    height = op.Shape(labels, start=0, end=1) / 16
    width = op.Shape(labels, start=1, end=2) / 16
    split = op.Reshape(labels, op.Concat(height, [16], width, [16], axis=0))
    return op.Reshape(op.Transpose(split, perm=[0, 2, 1, 3]), [-1, 256])


@script(INTER2FORMER, default_opset=op)
def SeenTiles(height: INT64, width: INT64) -> tuple[INT64, BOOL, BOOL]:
    """Which tiles a token sees, the one above-left first and its own last, and whether it lies at a border.

    At the border it is the nearest tile that there is. (Their first row and column a token does not see: at worst a
    needless patch.)

    height, width [1]: of the grid, in tokens -> seen [h w, 4], at_top, at_left [h w]
    """
    row = op.Unsqueeze(op.Range(0, op.Squeeze(height), 1), [1])
    column = op.Unsqueeze(op.Range(0, op.Squeeze(width), 1), [0])
    above = op.Max(row - 1, [0])
    before = op.Max(column - 1, [0])
    seen = op.Concat(
        op.Reshape(above * width + before, [-1, 1]),
        op.Reshape(above * width + column, [-1, 1]),
        op.Reshape(row * width + before, [-1, 1]),
        op.Reshape(row * width + column, [-1, 1]),
        axis=1,
    )
    grid = op.Concat(height, width, axis=0)
    at_top = op.Reshape(op.Expand(row == 0, grid), [-1])
    at_left = op.Reshape(op.Expand(column == 0, grid), [-1])
    return seen, at_top, at_left


@script(INTER2FORMER, default_opset=op)
def SeenLabels(tiles: UINT8, seen: INT64) -> tuple[INT32, BOOL]:
    """The largest label that each token sees, and whether it sees others: tiles [h w, 256], seen [h w, 4] -> [h w]."""
    tile_most = op.Cast(op.ReduceMax(tiles, [1], keepdims=0), to=INT32.dtype)
    tile_least = op.Cast(op.ReduceMin(tiles, [1], keepdims=0), to=INT32.dtype)
    most = op.ReduceMax(op.Gather(tile_most, seen, axis=0), [1], keepdims=0)
    least = op.ReduceMin(op.Gather(tile_least, seen, axis=0), [1], keepdims=0)
    return most, op.Not(most == least)


@script(INTER2FORMER, default_opset=op)
def Indices(mask: BOOL) -> INT64:
    """Where a mask [n] is true, ascending: [m]."""
    return op.Reshape(op.NonZero(mask), [-1])


@script(INTER2FORMER, default_opset=op)
def InsidePatches(tiles: UINT8, seen: INT64, tokens: INT64) -> UINT8:
    """What tokens inside the map see: tiles [h w, 256], seen [h w, 4], tokens [m] -> [m, 31, 31]."""
    grids = op.Reshape(op.Gather(tiles, op.Gather(seen, tokens, axis=0), axis=0), [0, 2, 2, 16, 16])
    squares = op.Reshape(op.Transpose(grids, perm=[0, 1, 3, 2, 4]), [0, 32, 32])
    return op.Slice(squares, [1, 1], [32, 32], [1, 2])


@script(INTER2FORMER, default_opset=op)
def TopPatches(tiles: UINT8, seen: INT64, tokens: INT64) -> UINT8:
    """What tokens at the top border see: tiles [h w, 256], seen [h w, 4], tokens [m] -> [m, 16, 31]."""
    beside = op.Gather(op.Gather(seen, [2, 3], axis=1), tokens, axis=0)
    grids = op.Reshape(op.Gather(tiles, beside, axis=0), [0, 2, 16, 16])
    strips = op.Reshape(op.Transpose(grids, perm=[0, 2, 1, 3]), [0, 16, 32])
    return op.Slice(strips, [1], [32], [2])


@script(INTER2FORMER, default_opset=op)
def LeftPatches(tiles: UINT8, seen: INT64, tokens: INT64) -> UINT8:
    """What tokens at the left border see: tiles [h w, 256], seen [h w, 4], tokens [m] -> [m, 31, 16]."""
    stacked = op.Gather(op.Gather(seen, [1, 3], axis=1), tokens, axis=0)
    strips = op.Reshape(op.Gather(tiles, stacked, axis=0), [0, 32, 16])
    return op.Slice(strips, [1], [32], [1])


@script(INTER2FORMER, default_opset=op)
def CornerPatches(tiles: UINT8, tokens: INT64) -> UINT8:
    """What the token in the map's corner sees: tiles [h w, 256], tokens [m] -> [m, 16, 16]."""
    return op.Reshape(op.Gather(tiles, tokens, axis=0), [0, 16, 16])
