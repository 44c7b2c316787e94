"""Parts of LocalUpsample2x: the edge term of the crop, and what to change along its border.

The box [4] = (l, t, r, b) is in tokens; scale [1] is the number of output pixels of a token's side, so that the crop is
H x W = scale (b - t) x scale (r - l) pixels. The edge tensors are those of LocalUpsample2x.
"""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def CropEdge(edge: FLOAT, box: INT64, scale: INT64) -> FLOAT:
    """The edge term of the box, its border apart: [H, W, Co]."""
    left, top, right, bottom = op.Split(box * scale, num_outputs=4)
    return op.Slice(edge, op.Concat(top, left, axis=0), op.Concat(bottom, right, axis=0), [0, 1])


@script(INTER2FORMER, default_opset=op)
def CropEdgeRows(edge_rows: FLOAT, box: INT64, scale: INT64) -> FLOAT:
    """What the edge term holds from above and below the box: [2, W, Co]."""
    left, top, right, bottom = op.Split(box, num_outputs=4)
    first = left * scale
    end = right * scale
    above = op.Slice(edge_rows, op.Concat([0], top, first, axis=0), op.Concat([1], top + 1, end, axis=0))
    below = op.Slice(edge_rows, op.Concat([1], bottom - 1, first, axis=0), op.Concat([2], bottom, end, axis=0))
    shape = op.Concat([2], end - first, op.Shape(edge_rows, start=3, end=4), axis=0)
    return op.Reshape(op.Concat(above, below, axis=0), shape)


@script(INTER2FORMER, default_opset=op)
def CropEdgeColumns(edge_columns: FLOAT, box: INT64, scale: INT64) -> FLOAT:
    """What the edge term holds from the left and the right of the box: [H, 2, Co]."""
    left, top, right, bottom = op.Split(box, num_outputs=4)
    first = top * scale
    end = bottom * scale
    before = op.Slice(edge_columns, op.Concat([0], first, left, axis=0), op.Concat([1], end, left + 1, axis=0))
    after = op.Slice(edge_columns, op.Concat([1], first, right - 1, axis=0), op.Concat([2], end, right, axis=0))
    shape = op.Concat(end - first, [1], op.Shape(edge_columns, start=3, end=4), axis=0)
    return op.Concat(op.Reshape(before, shape), op.Reshape(after, shape), axis=1)


@script(INTER2FORMER, default_opset=op)
def CropEdgeCorners(edge_corners: FLOAT, box: INT64) -> FLOAT:
    """What the edge term holds from the pixels beyond the box's corners: [2, 2, Co], top or bottom, left or right."""
    left, top, right, bottom = op.Split(box, num_outputs=4)
    last_row = bottom - 1
    last_column = right - 1
    sides = op.Constant(value_ints=[0, 0, 1, 1, 0, 1, 0, 1])
    rows = op.Concat(top, top, last_row, last_row, axis=0)
    columns = op.Concat(left, last_column, left, last_column, axis=0)
    index = op.Transpose(op.Reshape(op.Concat(sides, rows, columns, axis=0), [4, 4]), perm=[1, 0])
    shape = op.Concat([2, 2], op.Shape(edge_corners, start=4, end=5), axis=0)
    return op.Reshape(op.GatherND(edge_corners, index), shape)


@script(INTER2FORMER, default_opset=op)
def BorderPixels(height: INT64, width: INT64) -> INT64:
    """The border's pixels in a flat map: both rows whole, then both columns without their ends; no pixel comes twice.

    height, width [1]: of the map, H and W -> [2 W + 2 (H - 2)]
    """
    last_row = height - 1
    rows = op.Unsqueeze(op.Concat([0], last_row, axis=0) * width, [1]) + op.Range(0, op.Squeeze(width), 1)
    lines = op.Range(1, op.Squeeze(last_row), 1)
    columns = op.Unsqueeze(lines * width, [1]) + op.Concat([0], width - 1, axis=0)
    return op.Concat(op.Reshape(rows, [-1]), op.Reshape(columns, [-1]), axis=0)


@script(INTER2FORMER, default_opset=op)
def BorderTerms(rows: FLOAT, columns: FLOAT, corners: FLOAT) -> FLOAT:
    """What to add to the pixels of BorderPixels.

    rows [2, W, Co], columns [H, 2, Co]: what to take off the first and last; corners [2, 2, Co]: what both of these
    hold -> [2 W + 2 (H - 2), Co]
    """
    last_row = op.Shape(columns, start=0, end=1) - 1
    last_column = op.Shape(rows, start=1, end=2) - 1
    column_terms = -columns
    end_terms = op.Gather(column_terms, op.Concat([0], last_row, axis=0), axis=0) + corners
    end_index = op.Reshape(op.Concat([0, 0, 0], last_column, [1, 0, 1], last_column, axis=0), [2, 2, 2])
    row_terms = op.ScatterND(-rows, end_index, end_terms, reduction="add")
    pixels = op.Concat([-1], op.Shape(rows, start=2, end=3), axis=0)
    inner = op.Slice(column_terms, [1], last_row, [0])
    return op.Concat(op.Reshape(row_terms, pixels), op.Reshape(inner, pixels), axis=0)
