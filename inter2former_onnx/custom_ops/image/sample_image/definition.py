"""SampleImage: from 8-bit pixels to the model's input."""

from onnxscript import FLOAT, INT64, UINT8, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def SampleImage(
    image: UINT8,
    rows: INT64,
    rows_inside: FLOAT,
    down: FLOAT,
    columns: INT64,
    columns_inside: FLOAT,
    across: FLOAT,
    mean: FLOAT,
    std: FLOAT,
    reverse: int,
) -> FLOAT:
    """Bilinear samples of a normalised image that is continued with zeros.

    image uint8 [H, W, 3]. rows int64 [2, h]: the source rows above and below each sample; rows_inside [2, h]: 1, or 0
    for a row of zeros; down [h]: the weight of the lower one. columns, columns_inside and across: the same for columns.
    mean, std [3]: of the channels, which are reversed first if `reverse` is 1. -> [3, h, w]
    """
    order = op.Constant(value_ints=[0, 1, 2])
    order = order + (2 - 2 * order) * reverse
    # Rows first: of a large photograph only what is sampled becomes numbers.
    taken = op.Gather(op.Gather(op.Gather(image, rows, axis=0), columns, axis=2), order, axis=4)  # [2, h, 2, w, 3]
    values = (op.Cast(taken, to=FLOAT.dtype) - mean) / std
    row_weights = op.Concat(op.Unsqueeze(1.0 - down, [0]), op.Unsqueeze(down, [0]), axis=0) * rows_inside
    column_weights = op.Concat(op.Unsqueeze(1.0 - across, [0]), op.Unsqueeze(across, [0]), axis=0) * columns_inside
    wide = op.ReduceSum(values * op.Unsqueeze(column_weights, [2]), [2], keepdims=0)  # [2, h, w, 3]
    high = op.ReduceSum(wide * op.Unsqueeze(row_weights, [2, 3]), [0], keepdims=0)
    return op.Transpose(high, perm=[2, 0, 1])
