"""LocalUpsample2x."""

from __future__ import annotations

import numpy as np

from support.ops.oracles.arithmetic import Array, Indices, conv3x3, silu


def cubic(distance: float) -> float:
    """The bicubic kernel with a = -0.75."""
    d, a = abs(distance), -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def double_rows(x: Array) -> Array:
    """[n, ...] -> [2n, ...], half-pixel centres, border replicated."""
    n = len(x)
    out = np.zeros((2 * n, *x.shape[1:]))
    for o in range(2 * n):
        position = (o + 0.5) / 2 - 0.5
        for i in range(int(np.floor(position)) - 1, int(np.floor(position)) + 3):
            out[o] += cubic(position - i) * x[min(max(i, 0), n - 1)]
    return out


def edge_term(terms: Array, rows: Array, columns: Array, corners: Array, box: Indices) -> Array:
    """What the edge map adds inside the box when everything outside it counts as zero."""
    left, top, right, bottom = box.tolist()
    s = terms.shape[0] // corners.shape[2]
    out = terms[s * top : s * bottom, s * left : s * right].copy()
    out[0] -= rows[0, top, s * left : s * right]
    out[-1] -= rows[1, bottom - 1, s * left : s * right]
    out[:, 0] -= columns[0, s * top : s * bottom, left]
    out[:, -1] -= columns[1, s * top : s * bottom, right - 1]
    out[0, 0] += corners[0, 0, top, left]
    out[0, -1] += corners[0, 1, top, right - 1]
    out[-1, 0] += corners[1, 0, bottom - 1, left]
    out[-1, -1] += corners[1, 1, bottom - 1, right - 1]
    return out


def local_upsample_2x(
    x: Array,
    box: Indices,
    edge: Array,
    edge_rows: Array,
    edge_columns: Array,
    edge_corners: Array,
    norm_weight: Array,
    norm_bias: Array,
    weight: Array,
    activation: int,
    epsilon: float,
) -> Array:
    centred = x - x.mean()
    normed = centred / np.sqrt((centred**2).mean() + epsilon) * norm_weight + norm_bias
    doubled = double_rows(double_rows(normed).swapaxes(0, 1)).swapaxes(0, 1)
    out = conv3x3(doubled, weight, 1) + edge_term(edge, edge_rows, edge_columns, edge_corners, box)
    return silu(out) if activation else out
