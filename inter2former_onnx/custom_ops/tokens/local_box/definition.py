"""LocalBox: the bounding box of the tokens that the object is in."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def LocalBox(localisation: FLOAT, threshold: FLOAT) -> INT64:
    """Bounding box of localisation > threshold, the whole grid when there is none.

    localisation [h, w], threshold [] -> int64 [4] = left, top, right, bottom; right and bottom exclusive
    """
    inside = op.Cast(localisation > threshold, to=FLOAT.dtype)
    rows = op.ReduceMax(inside, [1], keepdims=0)
    columns = op.ReduceMax(inside, [0], keepdims=0)
    # The first and the last index of the maximum. With nothing inside every entry is the maximum: the whole grid.
    left = op.ArgMax(columns, axis=0)
    top = op.ArgMax(rows, axis=0)
    right = op.ArgMax(columns, axis=0, select_last_index=1) + 1
    bottom = op.ArgMax(rows, axis=0, select_last_index=1) + 1
    return op.Concat(left, top, right, bottom, axis=0)
