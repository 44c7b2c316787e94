"""PromptProjection: the prompt joins the image embedding, then LayerNorm and a linear layer."""

from onnxscript import FLOAT, INT64, script

from ...linear.norm_projection.definition import NormProjection
from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def AddPrompt(embed: FLOAT, prompt: FLOAT, offset: INT64, background: FLOAT) -> FLOAT:
    """Image embedding plus the prompt inside the region, plus the background vector outside.

    embed [h, w, C]; prompt [rh, rw, C]: the region's tokens; offset [2] = (row, column) of the region's first token;
    background [C] -> [h w, C]
    """
    region_height = op.Squeeze(op.Shape(prompt, start=0, end=1))
    region_width = op.Squeeze(op.Shape(prompt, start=1, end=2))
    row_offset, column_offset = op.Split(offset, num_outputs=2)
    rows = op.Range(0, op.Squeeze(op.Shape(embed, start=0, end=1)), 1) - row_offset
    columns = op.Range(0, op.Squeeze(op.Shape(embed, start=1, end=2)), 1) - column_offset
    inside_rows = op.And(rows >= 0, rows < region_height)
    inside_columns = op.And(columns >= 0, columns < region_width)

    # One gather from the table of the region's tokens with the background vector as its last row.
    channels = op.Shape(embed, start=2, end=3)
    table = op.Concat(op.Reshape(prompt, op.Concat([-1], channels, axis=0)), op.Unsqueeze(background, [0]), axis=0)
    index = op.Where(
        op.And(op.Unsqueeze(inside_rows, [1]), inside_columns),
        op.Unsqueeze(rows * region_width, [1]) + columns,
        region_height * region_width,
    )
    added = op.Gather(table, op.Reshape(index, [-1]), axis=0)
    return op.Reshape(embed, op.Concat([-1], channels, axis=0)) + added


@script(INTER2FORMER, default_opset=op)
def PromptProjection(
    embed: FLOAT,
    prompt: FLOAT,
    offset: INT64,
    background: FLOAT,
    norm_weight: FLOAT,
    norm_bias: FLOAT,
    weight: FLOAT,
    bias: FLOAT,
    background_qkv: FLOAT,
    first_qkv: FLOAT,
    changed: INT64,
    epsilon: float,
) -> tuple[FLOAT, FLOAT]:
    """x = AddPrompt, NormProjection(x), of which rows may be known.

    embed [h, w, C]; prompt [rh, rw, C]; offset [2]; background [C]: see AddPrompt; norm_weight [C], norm_bias [C],
    weight [P, C], bias [P]: see NormProjection; background_qkv [h w, P]: the second result for tokens outside the
    region; first_qkv [h w, P]: that for tokens of the region not in changed [n], ascending -> x [h w, C], [h w, P]
    """
    x = AddPrompt(embed, prompt, offset, background)
    return x, NormProjection(x, norm_weight, norm_bias, weight, bias, epsilon=epsilon)
