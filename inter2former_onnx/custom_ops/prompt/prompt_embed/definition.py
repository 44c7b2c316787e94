"""PromptEmbed: the label map becomes tokens."""

from onnxscript import BOOL, FLOAT, INT64, UINT8, script

from ...opset import INTER2FORMER, op
from .convolutions import PromptConvolutions
from .patches import CornerPatches, Indices, InsidePatches, LabelTiles, LeftPatches, SeenLabels, SeenTiles, TopPatches
from .table import TABLE_ROWS, PromptTable, TableRow


@script(INTER2FORMER, default_opset=op)
def PatchTokens(mixed: BOOL, at_top: BOOL, at_left: BOOL) -> tuple[INT64, INT64, INT64, INT64]:
    """The tokens of a mask by where they lie: [h w] each -> indices inside, at the top, at the left, at both."""
    inside = Indices(op.And(mixed, op.Not(op.Or(at_top, at_left))))
    top = Indices(op.And(mixed, op.And(at_top, op.Not(at_left))))
    left = Indices(op.And(mixed, op.And(at_left, op.Not(at_top))))
    corner = Indices(op.And(mixed, op.And(at_top, at_left)))
    return inside, top, left, corner


@script(INTER2FORMER, default_opset=op)
def RowIndex(table_row: INT64, whole: BOOL, patch_tokens: INT64) -> INT64:
    """The row of each token: of the table or, behind it, of the whole map or of the patches.

    table_row [n]; whole [1]: whether there are rows of the whole map; patch_tokens [m]: of the patches -> [n]
    """
    first = op.Constant(value_int=TABLE_ROWS)
    mapped = op.Range(0, op.Size(table_row), 1) + first
    patches = op.Range(0, op.Size(patch_tokens), 1) + first
    return op.ScatterElements(op.Where(whole, mapped, table_row), patch_tokens, patches, axis=0)


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
    height = op.Shape(labels, start=0, end=1) / 16
    width = op.Shape(labels, start=1, end=2) / 16
    seen, at_top, at_left = SeenTiles(height, width)
    tiles = LabelTiles(labels)
    label, several = SeenLabels(tiles, seen)
    whole = op.ReduceSum(op.Cast(several, to=INT64.dtype), [0], keepdims=1) * 5 > height * width * 2
    inside, top, left, corner = PatchTokens(op.And(several, op.Not(whole)), at_top, at_left)
    inside_patches = InsidePatches(tiles, seen, inside)
    top_patches = TopPatches(tiles, seen, top)
    left_patches = LeftPatches(tiles, seen, left)
    corner_patches = CornerPatches(tiles, corner)
    maps = op.Slice(op.Unsqueeze(labels, [0]), [0], op.Cast(whole, to=INT64.dtype), [0])

    # One gather from all these rows: those of the table, then the patches' own or else those of the whole map.
    rows = op.Concat(
        PromptTable(ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3),
        PromptConvolutions(inside_patches, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[0, 0, 0, 0]),
        PromptConvolutions(top_patches, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[1, 0, 0, 0]),
        PromptConvolutions(left_patches, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[0, 1, 0, 0]),
        PromptConvolutions(corner_patches, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[1, 1, 0, 0]),
        PromptConvolutions(maps, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[1, 1, 0, 0]),
        axis=0,
    )
    index = RowIndex(TableRow(label, at_top, at_left), whole, op.Concat(inside, top, left, corner, axis=0))
    return op.Reshape(op.Gather(rows, index, axis=0), op.Concat(height, width, [-1], axis=0))
