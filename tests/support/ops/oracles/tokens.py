"""BoundaryGather, BoundaryScatter, Localise, LocalBox and CropTokens."""

from __future__ import annotations

import numpy as np

from support.ops.oracles.arithmetic import Array, Indices, silu


def boundary_gather(x: Array, boundary: Indices, other: Indices) -> tuple[Array, Array]:
    return x[boundary], x[other]


def boundary_scatter(x_boundary: Array, x_other: Array, boundary: Indices, other: Indices) -> Array:
    out = np.full((len(boundary) + len(other), x_boundary.shape[1]), np.nan)
    for row, token in enumerate(boundary):
        out[token] = x_boundary[row]
    for row, token in enumerate(other):
        out[token] = x_other[row]
    return out


def localise(
    x: Array, grid: Indices, w0: Array, b0: Array, w1: Array, b1: Array, w2: Array, b2: Array, w3: Array, b3: Array
) -> Array:
    for weight, bias in ((w0, b0), (w1, b1), (w2, b2)):
        x = silu(x @ weight.T + bias)
    return (x @ w3.T + b3).reshape(int(grid[0]), int(grid[1]))


def local_box(localisation: Array, threshold: float) -> Indices:
    h, w = localisation.shape
    inside = [(i, j) for i in range(h) for j in range(w) if localisation[i, j] > threshold]
    if not inside:
        return np.array([0, 0, w, h])
    rows, columns = [i for i, _ in inside], [j for _, j in inside]
    return np.array([min(columns), min(rows), max(columns) + 1, max(rows) + 1])


def crop_tokens(x: Array, grid: Indices, box: Indices) -> Array:
    left, top, right, bottom = box
    return np.array([[x[i * grid[1] + j] for j in range(left, right)] for i in range(top, bottom)])
