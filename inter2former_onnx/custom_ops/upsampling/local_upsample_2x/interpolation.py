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
    length = op.Squeeze(n)
    candidates = op.Range(1, length + 1, 1)
    candidates_float = op.Cast(candidates, to=FLOAT.dtype)
    cost = candidates_float + ideal * ideal / candidates_float
    divides = length % candidates == 0
    best = op.ArgMin(op.Where(divides, cost, 1e30), axis=0, keepdims=0)
    block = best + 1
    step = op.Range(0, block + 4, 1)
    starts = op.Range(0, length, block) - 2
    windows = op.Clip(op.Unsqueeze(starts, [1]) + step, 0, length - 1)
    samples = op.Unsqueeze(op.Range(0, block, 1), [1])
    offsets = op.Clip(step - samples + 1, 0, 6)
    return windows, offsets


@script(INTER2FORMER, default_opset=op)
def UpsampleMatrices(n: INT64, offsets: INT64) -> tuple[FLOAT, FLOAT]:
    """The matrix that all blocks share, and which of its rows count in each block.

    n [1], offsets [b, b + 4] -> band [b, 2, 3, b + 4]: sample, phase, tap, sample of the window; inside
    [n / b, b, 2, 3]: 0 for rows that lie outside the doubled axis, else 1
    """
    band = op.Transpose(op.Gather(op.Constant(value=TAP_WEIGHTS), offsets, axis=2), perm=[2, 0, 1, 3])
    samples = op.Reshape(op.Range(0, op.Squeeze(n), 1), op.Concat([-1], op.Shape(offsets, start=0, end=1), [1], axis=0))
    doubled = samples * 2
    # Relative to 2i, the rows of (phase, tap).
    rows = doubled + op.Constant(value_ints=[-1, 0, 1, 0, 1, 2])
    inside = op.And(rows >= 0, rows < n * 2)
    return band, op.Reshape(op.Cast(inside, to=FLOAT.dtype), [0, 0, 2, 3])


@script(INTER2FORMER, default_opset=op)
def UpsampleRows(height: INT64) -> tuple[INT64, FLOAT]:
    """How rows are doubled in blocks, for rows that lie as [block, tap, row of the block].

    height [1]: rows before -> index [blocks, 3 (b + 4)]: the rows that each block takes; matrices
    [blocks, 2 b, 3 (b + 4)]: what each of its doubled rows takes of them
    """
    windows, offsets = UpsampleWindows(height, 8.0)
    blocks = op.Shape(windows, start=0, end=1)
    block_rows = op.Shape(offsets, start=0, end=1)
    first_taps = windows + (windows / block_rows) * (block_rows * 2)
    tap_steps = op.Constant(value_ints=[0, 1, 2]) * block_rows
    index = op.Unsqueeze(first_taps, [1]) + op.Unsqueeze(tap_steps, [1])
    band, inside = UpsampleMatrices(height, offsets)
    matrices = op.Unsqueeze(inside, [-1]) * band
    return (
        op.Reshape(index, op.Concat(blocks, [-1], axis=0)),
        op.Reshape(matrices, op.Concat(blocks, block_rows * 2, [-1], axis=0)),
    )


@script(INTER2FORMER, default_opset=op)
def DoubleRows(products: FLOAT, height: INT64, index: INT64, matrices: FLOAT) -> FLOAT:
    """Double the rows of a map and apply the three taps of the rows.

    products: 3 h rows, each tap's product of each row, as [block, tap, row of the block, ...]; height [1]: h; index,
    matrices: of UpsampleRows -> [blocks, 2 b, values of a row]
    """
    # A product for each tap of each block keeps threads evenly busy.
    rows = op.Reshape(products, op.Concat(height * 3, [-1], axis=0))
    return op.MatMul(matrices, op.Gather(rows, index, axis=0))
