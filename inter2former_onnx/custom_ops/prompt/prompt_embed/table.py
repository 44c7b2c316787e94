"""A part of PromptEmbed: the tokens that see a single label."""

import onnx
from onnxscript import BOOL, FLOAT, INT32, INT64, script

from ...opset import INTER2FORMER, op
from .convolutions import PromptConvolutions

# Rows of the table: five labels for tokens inside, at the top, at the left border, and at both.
TABLE_ROWS = 20


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
def PromptTable(
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
    """The embedding of a token that sees a single label: weights as in PromptEmbed -> [20, C].

    By whether the token lies inside, at the top, at the left border, or at both, and by label. It does not depend on
    the labels of a map: onnxruntime computes it when it loads a model.
    """
    inside = op.Constant(value=_INSIDE)
    top = op.Constant(value=_TOP)
    left = op.Constant(value=_LEFT)
    corner = op.Constant(value=_CORNER)
    return op.Concat(
        PromptConvolutions(inside, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[0, 0, 0, 0]),
        PromptConvolutions(top, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[1, 0, 0, 0]),
        PromptConvolutions(left, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[0, 1, 0, 0]),
        PromptConvolutions(corner, ref_embeds, w0, b0, w1, b1, w2, b2, w3, b3, pads=[1, 1, 0, 0]),
        axis=0,
    )


@script(INTER2FORMER, default_opset=op)
def TableRow(label: INT32, at_top: BOOL, at_left: BOOL) -> INT64:
    """The row of PromptTable of tokens that see `label`: [n] each -> [n]."""
    kind = op.Cast(at_top, to=INT64.dtype) + op.Cast(at_left, to=INT64.dtype) * 2
    return kind * 5 + op.Cast(label, to=INT64.dtype)
