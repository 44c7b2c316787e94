"""Parts of the attention ops: queries cut into chunks, so that not all scores exist at once."""

from __future__ import annotations

from onnxscript import FLOAT, INT64, script

from ..opset import INTER2FORMER, op

# What the body of a Scan over chunks takes and gives. onnxruntime before 1.20 wants to know its rank.
CHUNK = FLOAT["H", "Q", "D"]

# Queries at a time. The scores of a chunk, 4 * 512 * N bytes a head, are what attention needs in memory beside its
# operands: 8 MB instead of 64 MB at N = 4096 and 32 MB instead of 1 GB at N = 16384, for 5 % more time.
_CHUNK = 512


@script(INTER2FORMER, default_opset=op)
def IntoChunks(x: FLOAT, heads: INT64) -> FLOAT:
    """x [n, D], heads [1] -> [chunks, heads, chunk, D / heads], the last chunk padded."""
    # Equal chunks, so that at most (chunks - 1) rows are padding; at least one chunk, so that n = 0 has a shape.
    number = op.Shape(x, start=0, end=1)
    most = op.Constant(value_ints=[_CHUNK])
    chunks = op.Max((number + most - 1) / most, [1])
    chunk = (number + chunks - 1) / chunks
    filled = op.Pad(x, op.Concat([0, 0], chunk * chunks - number, [0], axis=0))
    width = op.Shape(x, start=1, end=2) / heads
    chunked = op.Reshape(filled, op.Concat(chunks, chunk, heads, width, axis=0), allowzero=1)
    return op.Transpose(chunked, perm=[0, 2, 1, 3])


@script(INTER2FORMER, default_opset=op)
def OutOfChunks(chunked: FLOAT, number: INT64) -> FLOAT:
    """[chunks, heads, chunk, d], the number [1] of rows that are no padding -> [number, heads d]."""
    padded = op.Shape(chunked, start=0, end=1) * op.Shape(chunked, start=2, end=3)
    channels = op.Shape(chunked, start=1, end=2) * op.Shape(chunked, start=3, end=4)
    rows = op.Transpose(chunked, perm=[0, 2, 1, 3])
    joined = op.Reshape(rows, op.Concat(padded, channels, axis=0), allowzero=1)
    return op.Slice(joined, [0], number, [0])
