"""Parts of LocalUpsample2x: bicubic doubling followed by a three-tap convolution along one axis, in blocks.

Along an axis of n samples the op needs, for each tap d of 0, 1, 2, the rows o + d - 1 (o = 0 .. 2n - 1) of the
bicubically doubled axis, zero where that row is outside. Row 2i + p + d - 1 (phase p of 0, 1) takes the samples
i - 2 .. i + 2 with weights that depend on p and d only. As one matrix this is banded; multiplied densely it would cost
n instead of 5 products a value. So the axis is cut into equal blocks of b samples, and the 2b rows of each come from a
window of b + 4.
"""

from __future__ import annotations

import onnx
from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op

# Bicubic weights (a = -0.75) of the samples at -1, 0, 1, 2 for a point at 1/4, all exact in binary.
_QUARTER = (-27 / 256, 225 / 256, 67 / 256, -9 / 256)
_THREE_QUARTERS = _QUARTER[::-1]


def _tap_weights() -> list[float]:
    """Weights [phase p, tap d, offset t]: of sample i - 2 + (t - 1) in row 2i + p + d - 1 of the doubled axis.

    t runs over 7 entries; the first and the last are 0, for samples outside the band.
    """
    table = []
    for phase in range(2):
        for tap in range(3):
            row = phase + tap - 1  # relative to 2i
            # Doubled row 2j is at sample j - 1/4 and takes j-2 .. j+1; row 2j + 1 is at j + 1/4 and takes j-1 .. j+2.
            first = row // 2 + (1 if row % 2 else 0)
            weights = _QUARTER if row % 2 else _THREE_QUARTERS
            entries = [0.0] * 7
            entries[first + 1 : first + 5] = weights
            table += entries
    return table


TAP_WEIGHTS = onnx.helper.make_tensor("tap_weights", onnx.TensorProto.FLOAT, [2, 3, 7], _tap_weights())


@script(INTER2FORMER, default_opset=op)
def UpsampleWindows(n: INT64, ideal: FLOAT) -> tuple[INT64, INT64]:
    """Cut an axis into blocks.

    n [1]: its length; ideal []: the block length that costs least -> windows [n / b, b + 4]: samples of each block's
    window, those beyond the border replaced by the last one inside; offsets [b, b + 4]: for sample i of a block and
    sample j of its window the entry of TAP_WEIGHTS, 1 .. 5 inside the band, else 0 or 6. b is the divisor of n with the
    least b + ideal^2 / b.
    """
    zero = op.Constant(value_int=0)
    one = op.Constant(value_int=1)
    axis = op.Constant(value_ints=[1])
    length = op.Squeeze(n)
    candidates = op.Range(one, op.Add(length, one), one)
    candidates_float = op.Cast(candidates, to=1)
    cost = op.Add(candidates_float, op.Div(op.Mul(ideal, ideal), candidates_float))
    divides = op.Equal(op.Mod(length, candidates), zero)
    best = op.ArgMin(op.Where(divides, cost, op.Constant(value_float=1e30)), axis=0, keepdims=0)
    block = op.Add(best, one)
    step = op.Range(zero, op.Add(block, op.Constant(value_int=4)), one)
    starts = op.Sub(op.Range(zero, length, block), op.Constant(value_int=2))
    windows = op.Clip(op.Add(op.Unsqueeze(starts, axis), step), zero, op.Sub(length, one))
    samples = op.Unsqueeze(op.Range(zero, block, one), axis)
    offsets = op.Clip(op.Add(op.Sub(step, samples), one), zero, op.Constant(value_int=6))
    return windows, offsets


@script(INTER2FORMER, default_opset=op)
def UpsampleMatrices(n: INT64, offsets: INT64) -> tuple[FLOAT, FLOAT]:
    """The matrix that all blocks share, and which of its rows count in each block.

    n [1], offsets [b, b + 4] -> band [b, 2, 3, b + 4]: sample, phase, tap, sample of the window; inside
    [n / b, b, 2, 3]: 0 for rows that lie outside the doubled axis, else 1
    """
    zero = op.Constant(value_int=0)
    one = op.Constant(value_int=1)
    band = op.Transpose(op.Gather(op.Constant(value=TAP_WEIGHTS), offsets, axis=2), perm=[2, 0, 1, 3])
    samples = op.Reshape(
        op.Range(zero, op.Squeeze(n), one),
        op.Concat(op.Constant(value_ints=[-1]), op.Shape(offsets, start=0, end=1), op.Constant(value_ints=[1]), axis=0),
    )
    doubled = op.Mul(samples, op.Constant(value_int=2))
    # Relative to 2i, the rows of (phase, tap).
    rows = op.Add(doubled, op.Constant(value_ints=[-1, 0, 1, 0, 1, 2]))
    inside = op.And(op.GreaterOrEqual(rows, zero), op.Less(rows, op.Mul(n, op.Constant(value_int=2))))
    return band, op.Reshape(op.Cast(inside, to=1), op.Constant(value_ints=[0, 0, 2, 3]))
