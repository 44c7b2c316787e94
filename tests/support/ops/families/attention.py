"""BoundaryAttention, FirstAttention, BSQAttention, HybridAttention, PromptedAttention and WindowAttention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from inter2former_onnx.models import (
    boundary_attention,
    bsq_attention,
    dynamic_hybrid_attention,
    window_attention,
)
from support.ops.arrays import (
    Case,
    Inputs,
    drawn_grid,
    floats,
    frequencies,
    grid_of,
    integers,
    linear,
    routes,
)
from support.ops.op import Op
from support.ops.oracles import attention as oracles


def boundary_attention_case(
    rng: np.random.Generator, h: int, w: int, boundary: int, heads: int, head: int = 8, scale: float = 1.0
) -> Case:
    dim, tokens = heads * head, h * w
    inputs: Inputs = [
        floats(rng, boundary, dim, scale=scale),
        floats(rng, tokens, dim, scale=scale),
        floats(rng, tokens, dim),
    ]
    inputs += [routes(rng, tokens, boundary)[0], grid_of(h, w), frequencies(head)]
    return inputs, {"num_heads": heads}


def first_attention_case(
    rng: np.random.Generator, h: int, w: int, heads: int, head: int = 8, scale: float = 1.0
) -> Case:
    qkv = floats(rng, h * w, 3 * heads * head)
    qkv[:, : 2 * heads * head] *= np.float32(scale)
    return [qkv, grid_of(h, w), frequencies(head)], {"num_heads": heads}


def code(rng: np.random.Generator, bits: int, dim: int) -> Inputs:
    """Draw a code projection of whole numbers, so that no form rounds a bit differently, and codebook."""
    return [integers(rng, bits, dim), integers(rng, bits), floats(rng, 2 * bits, dim)]


def bsq_attention_case(
    rng: np.random.Generator, tokens: int, others: int, heads: int, bits: int, head: int = 8, scale: float = 1.0
) -> Case:
    dim = heads * head
    inputs = [floats(rng, others, dim, scale=scale), integers(rng, tokens, dim), floats(rng, tokens, dim)]
    return [*inputs, *code(rng, bits, dim)], {"num_heads": heads}


def hybrid_attention_case(
    rng: np.random.Generator, h: int, w: int, boundary: int, heads: int, bits: int, head: int = 8, dim: int = 12
) -> Case:
    inner, tokens = heads * head, h * w
    qkv = np.concatenate([floats(rng, tokens, inner), integers(rng, tokens, inner), floats(rng, tokens, inner)], axis=1)
    inputs = [floats(rng, tokens, dim), qkv, *routes(rng, tokens, boundary), grid_of(h, w), frequencies(head)]
    return [*inputs, *code(rng, bits, inner), *linear(rng, dim, inner)], {"num_heads": heads}


def prompted_attention_case(
    rng: np.random.Generator,
    h: int,
    w: int,
    boundary: int,
    changed: int,
    heads: int,
    bits: int,
    head: int = 8,
    dim: int = 12,
    before: float = 1.0,
) -> Case:
    """Make a hybrid attention of which all rows of qkv but `changed` are known; `before` scales what those were."""
    inputs, attributes = hybrid_attention_case(rng, h, w, boundary, heads, bits, head, dim)
    rows = np.sort(rng.permutation(h * w)[:changed]).astype(np.int64)
    first = inputs[1].copy()
    first[rows] = floats(rng, changed, first.shape[1], scale=before)
    return [*inputs, first, *first_of(first, h, w, heads), rows], attributes


def first_of(qkv: NDArray[np.float32], h: int, w: int, heads: int) -> Inputs:
    """Compute FirstAttention of qkv, by a faster way than the oracle's loops."""
    grid, freqs = grid_of(h, w), frequencies(qkv.shape[1] // 3 // heads)
    with torch.no_grad():
        exact = [torch.from_numpy(array) for array in (qkv.astype(np.float64), grid, freqs.astype(np.float64))]
        parts = boundary_attention.unclicked_attention(*exact, num_heads=heads)
    return [part.numpy().astype(np.float32) for part in parts]


def window_plan(grids: Sequence[tuple[int, int]], window: int, shift: bool, head: int) -> Inputs:
    """Make tokens, positions, cos and sin of grids cut into windows as docs/model.md 2 says, place by place."""
    count = sum(rows * columns for rows, columns in grids)
    tokens: list[int] = []
    places: list[tuple[int, int]] = []
    first = 0
    for rows, columns in grids:
        before = window // 2 if shift and max(rows, columns) > window else 0
        grid = {(r + before, c + before): first + r * columns + c for r in range(rows) for c in range(columns)}
        first += rows * columns
        for top in range(0, before + rows, window):
            for left in range(0, before + columns, window):
                inside = [(top + r, left + c) for r in range(window) for c in range(window)]
                tokens += [grid.get(place, count) for place in inside]
                places += inside
    at = np.array(tokens, np.int64)
    positions = np.empty(count, np.int64)
    positions[at[at < count]] = np.nonzero(at < count)[0]
    angles = np.array(places, np.float32)[:, :, None] * frequencies(head)
    tables = np.repeat(angles.reshape(len(at), -1), 2, axis=1).reshape(-1, 1, window * window, head)
    return [at, positions, np.cos(tables), np.sin(tables)]


def window_attention_case(
    rng: np.random.Generator,
    grids: Sequence[tuple[int, int]],
    window: int,
    shift: bool,
    heads: int,
    head: int = 8,
    scale: float = 1.0,
) -> Case:
    plan = window_plan(grids, window, shift, head)
    tokens, width = plan[1].size, 3 * heads * head
    return [floats(rng, tokens, width, scale=scale), floats(rng, width), *plan], {"num_heads": heads}


def random_windows(rng: np.random.Generator, tokens: int, windows: int, area: int, head: int) -> Inputs:
    """Draw any plan: padding anywhere, tokens that are in several places, windows without a token, any angles."""
    places = windows * area
    at = rng.integers(0, tokens + 1, places)
    positions = rng.permutation(places)[:tokens]
    at[positions] = np.arange(tokens)
    angles = np.repeat(rng.uniform(-4, 4, (windows, 1, area, head // 2)), 2, axis=-1)
    return [at.astype(np.int64), positions.astype(np.int64), *(f(angles).astype(np.float32) for f in (np.cos, np.sin))]


# Cases of random sizes.


def drawn_boundary_attention(rng: np.random.Generator) -> Case:
    heads, head = int(rng.integers(1, 4)), 4 * int(rng.integers(1, 10))
    return boundary_attention_case(rng, *drawn_grid(rng), heads, head, float(rng.choice([0.1, 1.0, 3.0])))


def drawn_first_attention(rng: np.random.Generator) -> Case:
    heads, head = int(rng.integers(1, 4)), 4 * int(rng.integers(1, 10))
    return first_attention_case(rng, *drawn_grid(rng)[:2], heads, head, float(rng.choice([0.1, 1.0, 3.0])))


def drawn_bsq_attention(rng: np.random.Generator) -> Case:
    heads, head, bits = int(rng.integers(1, 4)), int(rng.integers(1, 40)), int(rng.integers(1, 13))
    tokens, others = int(rng.integers(1, 1500)), int(rng.integers(0, 100))
    return bsq_attention_case(rng, tokens, others, heads, bits, head, float(rng.choice([0.1, 1.0, 3.0])))


def drawn_hybrid_attention(rng: np.random.Generator) -> Case:
    heads, head, bits = int(rng.integers(1, 4)), 4 * int(rng.integers(1, 10)), int(rng.integers(1, 10))
    return hybrid_attention_case(rng, *drawn_grid(rng), heads, bits, head, int(rng.integers(1, 80)))


def drawn_prompted_attention(rng: np.random.Generator) -> Case:
    """Often all tokens on the boundary route and few of them changed, which is when the kernel corrects."""
    heads, head, bits = int(rng.integers(1, 4)), 4 * int(rng.integers(1, 10)), int(rng.integers(1, 10))
    h, w, boundary = drawn_grid(rng)
    changed = int(rng.choice([0, 1, 3, h * w]))
    before = float(rng.choice([0.1, 1.0, 3.0]))
    case = (h, w, boundary, min(changed, h * w), heads, bits, head, int(rng.integers(1, 80)), before)
    return prompted_attention_case(rng, *case)


def drawn_window_attention(rng: np.random.Generator) -> Case:
    heads, head, window = int(rng.integers(1, 4)), 4 * int(rng.integers(1, 10)), int(rng.integers(2, 7))
    grids = [(int(rng.integers(1, 20)), int(rng.integers(1, 20))), (window, window)]
    scale = float(rng.choice([0.1, 1.0, 3.0]))
    if rng.integers(2):
        return window_attention_case(rng, grids, window, bool(rng.integers(2)), heads, head, scale)
    tokens, windows = int(rng.integers(0, 30)), int(rng.integers(1, 5))
    plan = random_windows(rng, tokens, windows, int(rng.integers(30, 70)), head)
    width = 3 * heads * head
    return [floats(rng, tokens, width, scale=scale), floats(rng, width), *plan], {"num_heads": heads}


OPS = {
    "BoundaryAttention": Op(
        boundary_attention.boundary_attention,
        oracles.boundary_attention,
        small=lambda rng: boundary_attention_case(rng, 3, 4, 5, 2),
        weights=(5,),
        drawn=drawn_boundary_attention,
    ),
    "FirstAttention": Op(
        boundary_attention.unclicked_attention,
        oracles.first_attention,
        small=lambda rng: first_attention_case(rng, 3, 4, 2),
        weights=(2,),
        drawn=drawn_first_attention,
    ),
    "BSQAttention": Op(
        bsq_attention.bsq_attention,
        oracles.bsq_attention,
        small=lambda rng: bsq_attention_case(rng, 12, 7, 2, 3),
        weights=(3, 4, 5),
        drawn=drawn_bsq_attention,
    ),
    "HybridAttention": Op(
        dynamic_hybrid_attention.hybrid_attention,
        oracles.hybrid_attention,
        small=lambda rng: hybrid_attention_case(rng, 3, 4, 5, 2, 3),
        weights=tuple(range(5, 11)),
        drawn=drawn_hybrid_attention,
    ),
    "PromptedAttention": Op(
        dynamic_hybrid_attention.prompted_attention,
        oracles.prompted_attention,
        small=lambda rng: prompted_attention_case(rng, 3, 4, 5, 4, 2, 3),
        weights=tuple(range(5, 11)),
        drawn=drawn_prompted_attention,
    ),
    "WindowAttention": Op(
        window_attention.window_attention,
        oracles.window_attention,
        small=lambda rng: window_attention_case(rng, [(3, 4)], 2, True, 2),
        weights=(1, 2, 3, 4, 5),
        drawn=drawn_window_attention,
    ),
}
