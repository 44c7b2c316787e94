"""LocalUpsample2x: one level of the mask decoder, inside the crop."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op
from .border import BorderPixels, BorderTerms, CropEdge, CropEdgeColumns, CropEdgeCorners, CropEdgeRows
from .convolution import OutsideColumns, UpsampleFewChannels, UpsampleManyChannels
from .interpolation import UpsampleRows
from .norm import WholeNorm


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
    `interpolation` and `convolution`. Everything stays in token-major layout, where both axes' sums are matrix products
    as they stand.
    """
    out_height = op.Shape(x, start=0, end=1) * 2
    out_width = op.Shape(x, start=1, end=2) * 2
    out_channels = op.Shape(weight, start=0, end=1)
    normed = WholeNorm(x, norm_weight, norm_bias, epsilon=epsilon)
    row_index, row_matrices = UpsampleRows(op.Shape(x, start=0, end=1))
    many_channels = op.Squeeze(out_channels) >= 16
    if many_channels:
        upsampled = UpsampleManyChannels(normed, weight, row_index, row_matrices)
    else:
        upsampled = UpsampleFewChannels(normed, weight, row_index, row_matrices)
    # (An If of its own: onnxscript orders the results of one by the hash of their names, which differs from process to
    # process, and so would the bundle's files.)
    if many_channels:
        outside = op.ConstantOfShape(op.Concat(out_height, [2], out_channels, axis=0))
    else:
        outside = OutsideColumns(normed, weight, row_index, row_matrices)

    _, top, _, bottom = op.Split(box, num_outputs=4)
    scale = out_height / (bottom - top)
    rows = CropEdgeRows(edge_rows, box, scale)
    columns = CropEdgeColumns(edge_columns, box, scale) + outside
    terms = BorderTerms(rows, columns, CropEdgeCorners(edge_corners, box))
    pixels = op.Concat([-1], out_channels, axis=0)
    inner = op.Reshape(upsampled, pixels) + op.Reshape(CropEdge(edge, box, scale), pixels)
    border = op.Unsqueeze(BorderPixels(out_height, out_width), [1])
    out = op.ScatterND(inner, border, terms, reduction="add")
    if activation == 1:  # noqa: SIM108 - onnxscript knows no conditional expressions
        activated = out * op.Sigmoid(out)
    else:
        activated = op.Identity(out)
    return op.Reshape(activated, op.Concat(out_height, out_width, out_channels, axis=0))
