"""SampleImage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from support.ops.oracles.arithmetic import Array, Indices


def sample_image(
    image: NDArray[np.uint8],
    rows: Indices,
    rows_inside: Array,
    down: Array,
    columns: Indices,
    columns_inside: Array,
    across: Array,
    mean: Array,
    std: Array,
    reverse: int,
) -> Array:
    pixels = image[:, :, ::-1] if reverse else image
    values = (pixels.astype(np.float64) - mean) / std
    out = np.zeros((len(down), len(across), 3))
    for row, row_inside, row_weight in zip(rows, rows_inside, (1 - down, down), strict=True):
        for column, column_inside, column_weight in zip(columns, columns_inside, (1 - across, across), strict=True):
            weights = np.outer(row_inside * row_weight, column_inside * column_weight)
            out += values[row][:, column] * weights[:, :, None]
    return out.transpose(2, 0, 1)
