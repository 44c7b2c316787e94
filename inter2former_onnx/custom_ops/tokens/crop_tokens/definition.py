"""CropTokens: the tokens inside a box of the grid."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def CropTokens(x: FLOAT, grid: INT64, box: INT64) -> FLOAT:
    """The tokens of a box.

    x [N, C]; grid [2] = (h, w), N = h w; box [4] = (l, t, r, b) in tokens -> [b - t, r - l, C]
    """
    channels = op.Shape(x, start=1, end=2)
    left, top, right, bottom = op.Split(box, num_outputs=4)
    return op.Slice(
        op.Reshape(x, op.Concat(grid, channels, axis=0)),
        op.Concat(top, left, axis=0),
        op.Concat(bottom, right, axis=0),
        [0, 1],
    )
