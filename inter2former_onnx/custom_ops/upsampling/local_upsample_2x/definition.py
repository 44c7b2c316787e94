"""LocalUpsample2x: one level of the mask decoder, inside the crop."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op
from .interpolation import TAP_WEIGHTS, UpsampleMatrices, UpsampleWindows


@script(INTER2FORMER, default_opset=op)
def LocalUpsample2x(
    x: FLOAT,
    box: INT64,
    edge: FLOAT,
    edge_rows: FLOAT,
    edge_columns: FLOAT,
    edge_corners: FLOAT,
    norm_weight: FLOAT,
    norm_bias: FLOAT,
    weight: FLOAT,
    activation: int,
    epsilon: float,
) -> FLOAT:
    """act(conv3x3(bicubic2x(GroupNorm1(x))) + the edge term of the crop).

    GroupNorm1: mean and variance over the whole of x; bicubic2x: half-pixel centres, a = -0.75, border replicated; the
    convolution pads with zeros. The edge term is the box of `edge`, which holds the convolution's bias, without what
    pixels outside the box contributed to it, which the three others tell. act: SiLU if activation is 1, nothing if 0.

    x [h', w', Ci]; box [4] = (l, t, r, b) in tokens, h' = (b - t) s / 2, w' = (r - l) s / 2; edge [s h, s w, Co];
    edge_rows [2, h, s w, Co]; edge_columns [2, s h, w, Co]; edge_corners [2, 2, h, w, Co]; norm_weight, norm_bias [Ci];
    weight [Co, Ci, 3, 3] -> [2 h', 2 w', Co]

    The convolution is applied at low resolution, with its nine taps apart; then its results are doubled and added, see
    `interpolation`. Everything stays in token-major layout, where both axes' sums are matrix products as they stand.
    """
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    three = op.Constant(value_ints=[3])
    rest = op.Constant(value_ints=[-1])
    start = op.Constant(value_int=0)
    step = op.Constant(value_int=1)
    height = op.Shape(x, start=0, end=1)
    width = op.Shape(x, start=1, end=2)
    channels = op.Shape(x, start=2, end=3)
    out_channels = op.Shape(weight, start=0, end=1)
    out_height = op.Mul(height, two)
    out_width = op.Mul(width, two)

    # GroupNorm with one group. The means of rows are averaged: InstanceNormalization adds up all values in one thread
    # and one float, which is slower and costs two digits. The affine part works on whole rows, as broadcasting over
    # few channels is slow.
    rows = op.Reshape(x, op.Concat(height, rest, axis=0))
    centred = op.Sub(rows, op.ReduceMean(op.ReduceMean(rows, one, keepdims=0)))
    variance = op.ReduceMean(op.ReduceMean(op.Mul(centred, centred), one, keepdims=0))
    deviation = op.Sqrt(op.Add(variance, op.Constant(value_float=epsilon)))
    factors = op.Tile(op.Div(norm_weight, deviation), width)
    y = op.Add(op.Mul(centred, factors), op.Tile(norm_bias, width))

    # Doubling the rows: indices and matrices of its blocks, for rows that lie as [block, tap, row of the block]. A
    # product for each tap of each block keeps threads evenly busy.
    windows, offsets = UpsampleWindows(height, op.Constant(value_float=8.0))
    blocks = op.Shape(windows, start=0, end=1)
    block_rows = op.Shape(offsets, start=0, end=1)
    triple_height = op.Mul(height, three)
    first_taps = op.Add(windows, op.Mul(op.Div(windows, block_rows), op.Mul(block_rows, two)))
    tap_steps = op.Mul(op.Constant(value_ints=[0, 1, 2]), block_rows)
    taken = op.Add(op.Unsqueeze(first_taps, one), op.Unsqueeze(tap_steps, one))
    row_index = op.Reshape(taken, op.Concat(blocks, rest, axis=0))
    band, inside = UpsampleMatrices(height, offsets)
    row_matrices = op.Reshape(
        op.Mul(op.Unsqueeze(inside, rest), band), op.Concat(blocks, op.Mul(block_rows, two), rest, axis=0)
    )

    many_channels = op.GreaterOrEqual(op.Squeeze(out_channels), op.Constant(value_int=16))
    image = op.Reshape(y, op.Concat(height, width, channels, axis=0))
    if many_channels:
        # Many channels: nine products, rows doubled, columns doubled.
        taps = op.Reshape(op.Transpose(weight, perm=[2, 1, 3, 0]), op.Concat(three, channels, rest, axis=0))
        products = op.MatMul(op.Reshape(y, op.Concat(blocks, one, rest, channels, axis=0)), taps)
        product_rows = op.Reshape(products, op.Concat(triple_height, rest, axis=0))
        tall = op.MatMul(row_matrices, op.Gather(product_rows, row_index, axis=0))
        tall_image = op.Reshape(tall, op.Concat(out_height, width, rest, axis=0))
        column_windows, column_offsets = UpsampleWindows(width, op.Constant(value_float=8.0))
        column_blocks = op.Shape(column_windows, start=0, end=1)
        column_band, column_inside = UpsampleMatrices(width, column_offsets)
        column_matrices = op.Reshape(
            op.Mul(op.Unsqueeze(column_inside, three), op.Transpose(column_band, perm=[0, 1, 3, 2])),
            op.Concat(column_blocks, op.Mul(op.Shape(column_offsets, start=0, end=1), two), rest, axis=0),
        )
        column_windowed = op.Reshape(
            op.Gather(tall_image, column_windows, axis=1),
            op.Concat(
                out_height, column_blocks, op.Mul(op.Shape(column_windows, start=1), three), out_channels, axis=0
            ),
        )
        upsampled = op.MatMul(column_matrices, column_windowed)
    else:
        # Few channels: a product for each would leave vector units idle, so a matrix does the nine products and the
        # doubling of the columns for a whole block of pixels at once. It is the same for all blocks, as though the
        # doubled columns went on outside the border; what those would contribute is computed on its own.
        ideal = op.Div(op.Constant(value_float=8.0), op.Sqrt(op.Cast(op.Squeeze(out_channels), to=1)))
        column_windows2, column_offsets2 = UpsampleWindows(width, ideal)
        by_tap = op.Reshape(op.Transpose(weight, perm=[3, 2, 1, 0]), op.Concat(three, rest, axis=0))
        table = op.Transpose(op.Constant(value=TAP_WEIGHTS), perm=[0, 2, 1])
        spread = op.Reshape(
            op.MatMul(table, by_tap),
            op.Concat(op.Constant(value_ints=[2, 7, 3]), channels, out_channels, axis=0),
        )
        block_channels = op.Mul(op.Shape(column_windows2, start=1), channels)
        # [phase, sample, window, row tap, Ci, Co] -> [row tap, window, Ci, sample, phase, Co]
        mixing = op.Reshape(
            op.Transpose(op.Gather(spread, column_offsets2, axis=1), perm=[3, 2, 4, 1, 0, 5]),
            op.Concat(three, block_channels, rest, axis=0),
        )
        windowed = op.Reshape(
            op.Gather(image, column_windows2, axis=1), op.Concat(blocks, one, rest, block_channels, axis=0)
        )
        wide = op.Reshape(op.MatMul(windowed, mixing), op.Concat(triple_height, rest, axis=0))
        upsampled = op.MatMul(row_matrices, op.Gather(wide, row_index, axis=0))

    # What doubled columns outside the border would contribute. (An If of its own: onnxscript orders the results of one
    # by the hash of their names, which differs from process to process, and so would the bundle's files.)
    if many_channels:
        beyond = op.ConstantOfShape(op.Concat(out_height, two, out_channels, axis=0))
    else:
        # Doubled columns -1 and 2 w': 265/256 of the border column, -9/256 of the one inside it.
        last = op.Sub(width, one)
        ends = op.Concat(zero, op.Min(one, last), op.Max(op.Sub(last, one), zero), last, axis=0)
        end_columns = op.Reshape(op.Gather(image, ends, axis=1), op.Concat(height, two, two, channels, axis=0))
        end_weights = op.Reshape(
            op.Constant(value_floats=[265 / 256, -9 / 256, -9 / 256, 265 / 256]), op.Constant(value_ints=[2, 2, 1])
        )
        outside = op.Transpose(op.ReduceSum(op.Mul(end_columns, end_weights), two, keepdims=0), perm=[1, 0, 2])
        end_taps = op.Reshape(
            op.Transpose(op.Gather(weight, op.Constant(value_ints=[0, 2]), axis=3), perm=[3, 1, 2, 0]),
            op.Concat(two, channels, rest, axis=0),
        )
        # [side, block, row of the block, tap, Co] -> [block, tap, row of the block, side, Co]
        outside_products = op.Reshape(
            op.MatMul(outside, end_taps), op.Concat(two, blocks, block_rows, three, out_channels, axis=0)
        )
        outside_rows = op.Reshape(
            op.Transpose(outside_products, perm=[1, 3, 2, 0, 4]), op.Concat(triple_height, rest, axis=0)
        )
        beyond = op.Reshape(
            op.MatMul(row_matrices, op.Gather(outside_rows, row_index, axis=0)),
            op.Concat(out_height, two, out_channels, axis=0),
        )

    # The edge term of the box, and what to take off along its border: above and below, left and right.
    left, top, right, bottom = op.Split(box, num_outputs=4)
    scale = op.Div(out_height, op.Sub(bottom, top))
    x0 = op.Mul(left, scale)
    x1 = op.Mul(right, scale)
    y0 = op.Mul(top, scale)
    y1 = op.Mul(bottom, scale)
    last_row = op.Sub(bottom, one)
    last_column = op.Sub(right, one)
    crop = op.Slice(edge, op.Concat(y0, x0, axis=0), op.Concat(y1, x1, axis=0), op.Constant(value_ints=[0, 1]))
    above = op.Slice(edge_rows, op.Concat(zero, top, x0, axis=0), op.Concat(one, op.Add(top, one), x1, axis=0))
    below = op.Slice(edge_rows, op.Concat(one, last_row, x0, axis=0), op.Concat(two, bottom, x1, axis=0))
    before = op.Slice(edge_columns, op.Concat(zero, y0, left, axis=0), op.Concat(one, y1, op.Add(left, one), axis=0))
    after = op.Slice(edge_columns, op.Concat(one, y0, last_column, axis=0), op.Concat(two, y1, right, axis=0))
    sides = op.Constant(value_ints=[0, 0, 1, 1, 0, 1, 0, 1])
    corner_rows = op.Concat(top, top, last_row, last_row, axis=0)
    corner_columns = op.Concat(left, last_column, left, last_column, axis=0)
    corner_index = op.Reshape(op.Concat(sides, corner_rows, corner_columns, axis=0), op.Constant(value_ints=[4, 4]))
    corners = op.Reshape(
        op.GatherND(edge_corners, op.Transpose(corner_index, perm=[1, 0])),
        op.Concat(two, two, out_channels, axis=0),
    )

    # Corrections: both border rows whole, then both border columns without their ends, so that no pixel comes twice.
    pixels = op.Concat(rest, out_channels, axis=0)
    row_terms = op.Neg(op.Reshape(op.Concat(above, below, axis=0), op.Concat(two, out_width, out_channels, axis=0)))
    column_shape = op.Concat(out_height, one, out_channels, axis=0)
    column_terms = op.Neg(
        op.Add(op.Concat(op.Reshape(before, column_shape), op.Reshape(after, column_shape), axis=1), beyond)
    )
    bottom_line = op.Sub(out_height, one)
    right_line = op.Sub(out_width, one)
    end_terms = op.Add(op.Gather(column_terms, op.Concat(zero, bottom_line, axis=0), axis=0), corners)
    end_index = op.Reshape(
        op.Concat(zero, zero, zero, right_line, one, zero, one, right_line, axis=0), op.Constant(value_ints=[2, 2, 2])
    )
    row_terms_full = op.ScatterND(row_terms, end_index, end_terms, reduction="add")
    lines = op.Range(op.Squeeze(one), op.Squeeze(bottom_line), step)
    row_pixels = op.Add(
        op.Unsqueeze(op.Mul(op.Concat(zero, bottom_line, axis=0), out_width), one),
        op.Range(start, op.Squeeze(out_width), step),
    )
    column_pixels = op.Add(op.Unsqueeze(op.Mul(lines, out_width), one), op.Concat(zero, right_line, axis=0))
    border = op.Concat(op.Reshape(row_pixels, rest), op.Reshape(column_pixels, rest), axis=0)
    terms = op.Concat(
        op.Reshape(row_terms_full, pixels),
        op.Reshape(op.Slice(column_terms, one, bottom_line, zero), pixels),
        axis=0,
    )
    shape = op.Concat(out_height, out_width, out_channels, axis=0)
    summed = op.Add(op.Reshape(upsampled, pixels), op.Reshape(crop, pixels))
    bordered = op.ScatterND(summed, op.Unsqueeze(border, one), terms, reduction="add")
    if op.Cast(op.Constant(value_int=activation), to=9):
        activated = op.Mul(bordered, op.Sigmoid(bordered))
    else:
        activated = op.Identity(bordered)
    return op.Reshape(activated, shape)
