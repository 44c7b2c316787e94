"""LocalBox: the bounding box of the tokens that the object is in."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def LocalBox(localisation: FLOAT, threshold: FLOAT) -> INT64:
    """Bounding box of localisation > threshold, the whole grid when there is none.

    localisation [h, w], threshold [] -> int64 [4] = left, top, right, bottom; right and bottom exclusive
    """
    inside = op.Cast(op.Greater(localisation, threshold), to=1)
    rows = op.ReduceMax(inside, op.Constant(value_ints=[1]), keepdims=0)
    columns = op.ReduceMax(inside, op.Constant(value_ints=[0]), keepdims=0)
    # The first and the last index of the maximum. With nothing inside every entry is the maximum: the whole grid.
    one = op.Constant(value_ints=[1])
    left = op.ArgMax(columns, axis=0)
    top = op.ArgMax(rows, axis=0)
    right = op.Add(op.ArgMax(columns, axis=0, select_last_index=1), one)
    bottom = op.Add(op.ArgMax(rows, axis=0, select_last_index=1), one)
    return op.Concat(left, top, right, bottom, axis=0)
