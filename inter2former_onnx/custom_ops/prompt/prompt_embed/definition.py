"""PromptEmbed: the label map becomes tokens."""

import onnx
from onnxscript import FLOAT, UINT8, script

from ...opset import INTER2FORMER, op
from .convolutions import PromptConvolutions


def _constant_patches(height: int, width: int) -> onnx.TensorProto:
    """One patch of each label: uint8 [5, height, width]."""
    values = [label for label in range(5) for _ in range(height * width)]
    return onnx.helper.make_tensor("patches", onnx.TensorProto.UINT8, [5, height, width], bytes(values), raw=True)


# What a token sees: 15 pixels before its own 16 on each axis, or none before them at the map's top or left border.
# Pixels after its own it does not see, so the bottom and the right border are like the inside.
_INSIDE = _constant_patches(31, 31)
_TOP = _constant_patches(16, 31)
_LEFT = _constant_patches(31, 16)
_CORNER = _constant_patches(16, 16)


@script(INTER2FORMER, default_opset=op)
def PromptEmbed(
    labels: UINT8,
    ref_embeds: FLOAT,
    w0: FLOAT,
    b0: FLOAT,
    w1: FLOAT,
    b1: FLOAT,
    w2: FLOAT,
    b2: FLOAT,
    w3: FLOAT,
    b3: FLOAT,
) -> FLOAT:
    """Label embedding and four 3 x 3 stride-2 convolutions with zero padding 1, each followed by ReLU.

    labels [H, W], values 0 .. 4, H and W multiples of 16; ref_embeds [5, 5], a row per label; w0 [C0, 5, 3, 3],
    b0 [C0], w1 [C1, C0, 3, 3], b1 [C1], w2 [C2, C1, 3, 3], b2 [C2], w3 [C, C2, 3, 3], b3 [C] -> [H / 16, W / 16, C]

    A label map is constant almost everywhere, and a token that sees a single label is a matter of a table: by label,
    and by whether it lies at the top, at the left border, or at both. Only the others need convolutions, a patch each.
    A patch costs some 2.5 times its share in convolutions over the whole map, so these are done instead where patches
    are many. There is no If for that: onnxruntime runs convolutions faster outside of branches, and one over no patches
    costs nothing.
    """
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    rest = op.Constant(value_ints=[-1])
    side = op.Constant(value_ints=[16])
    start = op.Constant(value_int=0)
    step = op.Constant(value_int=1)
    height = op.Div(op.Shape(labels, start=0, end=1), side)
    width = op.Div(op.Shape(labels, start=1, end=2), side)
    tokens = op.Mul(height, width)

    # Tiles [h w, 256] and, for every token, its own tile, those above and to the left of it, and the one above-left; at
    # the border the nearest that there is. (Their first row and column it does not see: at worst a needless patch.)
    split = op.Reshape(labels, op.Concat(height, side, width, side, axis=0))
    tiles = op.Reshape(op.Transpose(split, perm=[0, 2, 1, 3]), op.Constant(value_ints=[-1, 256]))
    row = op.Unsqueeze(op.Range(start, op.Squeeze(height), step), one)
    column = op.Unsqueeze(op.Range(start, op.Squeeze(width), step), zero)
    above = op.Max(op.Sub(row, one), zero)
    before = op.Max(op.Sub(column, one), zero)
    own = op.Reshape(op.Add(op.Mul(row, width), column), rest)
    own_before = op.Reshape(op.Add(op.Mul(row, width), before), rest)
    own_above = op.Reshape(op.Add(op.Mul(above, width), column), rest)
    above_before = op.Reshape(op.Add(op.Mul(above, width), before), rest)
    seen = op.Concat(
        op.Unsqueeze(above_before, one),
        op.Unsqueeze(own_above, one),
        op.Unsqueeze(own_before, one),
        op.Unsqueeze(own, one),
        axis=1,
    )
    tile_most = op.Cast(op.ReduceMax(tiles, one, keepdims=0), to=6)
    tile_least = op.Cast(op.ReduceMin(tiles, one, keepdims=0), to=6)
    most = op.ReduceMax(op.Gather(tile_most, seen, axis=0), one, keepdims=0)
    least = op.ReduceMin(op.Gather(tile_least, seen, axis=0), one, keepdims=0)
    several = op.Not(op.Equal(most, least))
    at_top = op.Reshape(op.Expand(op.Equal(row, zero), op.Concat(height, width, axis=0)), rest)
    at_left = op.Reshape(op.Expand(op.Equal(column, zero), op.Concat(height, width, axis=0)), rest)
    many = op.Mul(op.ReduceSum(op.Cast(several, to=7), zero, keepdims=1), op.Constant(value_ints=[5]))
    whole = op.Greater(many, op.Mul(tokens, two))
    mixed = op.And(several, op.Not(whole))

    # [M, tile row, tile column, 16, 16] -> [M, 32, 32], without the row and the column that the token does not see; at
    # the top and at the left border without the tiles that are not there.
    border = op.Or(at_top, at_left)
    inside_tokens = op.Reshape(op.NonZero(op.And(mixed, op.Not(border))), rest)
    top_tokens = op.Reshape(op.NonZero(op.And(mixed, op.And(at_top, op.Not(at_left)))), rest)
    left_tokens = op.Reshape(op.NonZero(op.And(mixed, op.And(at_left, op.Not(at_top)))), rest)
    corner_tokens = op.Reshape(op.NonZero(op.And(mixed, op.And(at_top, at_left))), rest)
    last = op.Constant(value_ints=[32])
    inside_tiles = op.Gather(tiles, op.Gather(seen, inside_tokens, axis=0), axis=0)
    inside_grid = op.Reshape(inside_tiles, op.Constant(value_ints=[0, 2, 2, 16, 16]))
    inside_squares = op.Reshape(op.Transpose(inside_grid, perm=[0, 1, 3, 2, 4]), op.Constant(value_ints=[0, 32, 32]))
    inside_patches = op.Slice(
        inside_squares, op.Constant(value_ints=[1, 1]), op.Concat(last, last, axis=0), op.Constant(value_ints=[1, 2])
    )
    seen_at_top = op.Gather(seen, op.Constant(value_ints=[2, 3]), axis=1)
    top_tiles = op.Gather(tiles, op.Gather(seen_at_top, top_tokens, axis=0), axis=0)
    top_grid = op.Reshape(top_tiles, op.Constant(value_ints=[0, 2, 16, 16]))
    top_strips = op.Reshape(op.Transpose(top_grid, perm=[0, 2, 1, 3]), op.Constant(value_ints=[0, 16, 32]))
    top_patches = op.Slice(top_strips, one, last, two)
    seen_at_left = op.Gather(seen, op.Constant(value_ints=[1, 3]), axis=1)
    left_tiles = op.Gather(tiles, op.Gather(seen_at_left, left_tokens, axis=0), axis=0)
    left_strips = op.Reshape(left_tiles, op.Constant(value_ints=[0, 32, 16]))
    left_patches = op.Slice(left_strips, one, last, one)
    corner_patches = op.Reshape(op.Gather(tiles, corner_tokens, axis=0), op.Constant(value_ints=[0, 16, 16]))
    maps = op.Slice(op.Unsqueeze(labels, zero), zero, op.Cast(whole, to=7), zero)

    # The rows of the table do not depend on the labels: onnxruntime computes them when it loads a model.
    table_inside = PromptConvolutions(
        op.Constant(value=_INSIDE), ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[0, 0, 0, 0]
    )
    table_top = PromptConvolutions(
        op.Constant(value=_TOP), ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[1, 0, 0, 0]
    )
    table_left = PromptConvolutions(
        op.Constant(value=_LEFT), ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[0, 1, 0, 0]
    )
    table_corner = PromptConvolutions(
        op.Constant(value=_CORNER), ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[1, 1, 0, 0]
    )
    inside = PromptConvolutions(inside_patches, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[0, 0, 0, 0])
    top = PromptConvolutions(top_patches, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[1, 0, 0, 0])
    left = PromptConvolutions(left_patches, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[0, 1, 0, 0])
    corner = PromptConvolutions(corner_patches, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[1, 1, 0, 0])
    mapped = PromptConvolutions(maps, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[1, 1, 0, 0])

    # One gather from all these rows: 20 of the table, then the patches' own or else those of the whole map.
    channels = op.Shape(w3, start=0, end=1)
    mapped_rows = op.Reshape(
        mapped, op.Concat(op.Mul(op.Cast(whole, to=7), tokens), one, one, channels, axis=0), allowzero=1
    )
    rows = op.Squeeze(
        op.Concat(table_inside, table_top, table_left, table_corner, inside, top, left, corner, mapped_rows, axis=0),
        op.Constant(value_ints=[1, 2]),
    )
    table_kind = op.Add(op.Cast(at_top, to=7), op.Mul(op.Cast(at_left, to=7), two))
    table_row = op.Add(op.Mul(table_kind, op.Constant(value_ints=[5])), op.Cast(most, to=7))
    first = op.Constant(value_int=20)
    known = op.Where(whole, op.Add(own, first), table_row)
    patch_tokens = op.Concat(inside_tokens, top_tokens, left_tokens, corner_tokens, axis=0)
    patch_rows = op.Add(op.Range(start, op.Size(patch_tokens), step), first)
    index = op.ScatterElements(known, patch_tokens, patch_rows, axis=0)
    return op.Reshape(op.Gather(rows, index, axis=0), op.Concat(height, width, rest, axis=0))
