"""PromptEmbed and PromptProjection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inter2former_onnx.models import dynamic_hybrid_attention, dynamic_prompt_embedding
from support.ops.arrays import EPSILON, Case, Inputs, floats, linear, norm
from support.ops.op import Op
from support.ops.oracles import linear as linear_oracles
from support.ops.oracles import prompt as oracles


def label_map(rng: np.random.Generator, h: int, w: int, discs: int, radii: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw h x w tokens of one label with discs of others, as clicks and predictions leave them; radii: half open."""
    labels = np.full((16 * h, 16 * w), rng.integers(5), np.uint8)
    y, x = np.mgrid[: 16 * h, : 16 * w]
    for _ in range(discs):
        row, column, radius = rng.integers(16 * h), rng.integers(16 * w), rng.integers(*radii)
        labels[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = rng.integers(5)
    return labels


def prompt_weights(rng: np.random.Generator, dims: Sequence[int] = (8, 4, 6, 10)) -> Inputs:
    weights = [floats(rng, 5, 5)]
    for before, after in zip((5, *dims[:-1]), dims, strict=True):
        weights += [floats(rng, after, before, 3, 3, scale=(4 * before) ** -0.5), floats(rng, after, scale=0.3)]
    return weights


def prompt_projection_case(
    rng: np.random.Generator, h: int, w: int, dim: int = 6, out_dim: int = 9, changed: float = 0.5
) -> Case:
    """Make a case whose region is anywhere on the grid.

    The share `changed` of its tokens is not as it was. What must not be read is NaN.
    """
    top, left = int(rng.integers(h)), int(rng.integers(w))
    height, width = int(rng.integers(1, h - top + 1)), int(rng.integers(1, w - left + 1))
    offset = np.array([top, left], np.int64)
    tokens = [floats(rng, h, w, dim), floats(rng, height, width, dim), offset, floats(rng, dim)]
    weights = [*norm(rng, dim), *linear(rng, out_dim, dim)]
    x = oracles.add_prompt(*(array.astype(np.float64) for array in tokens[:2]), offset, tokens[3])
    known = linear_oracles.norm_projection(x, *weights, epsilon=EPSILON).astype(np.float32)
    inside = np.zeros((h, w), np.bool_)
    inside[top : top + height, left : left + width] = True
    rows = np.flatnonzero(rng.random(h * w) < changed).astype(np.int64)
    background, first = known.copy(), known.copy()
    background[inside.ravel()] = np.nan
    first[~inside.ravel()] = np.nan
    first[rows] = np.nan
    return [*tokens, *weights, background, first, rows], {"epsilon": EPSILON}


def drawn_prompt_projection(rng: np.random.Generator) -> Case:
    changed = float(rng.choice([0.0, 0.1, 1.0]))
    return prompt_projection_case(rng, *(int(size) for size in rng.integers(1, 40, 4)), changed)


OPS = {
    "PromptEmbed": Op(
        dynamic_prompt_embedding.prompt_embed,
        oracles.prompt_embed,
        small=lambda rng: ([label_map(rng, 3, 4, 2, (3, 9)), *prompt_weights(rng)], {}),
        weights=tuple(range(1, 10)),
    ),
    "PromptProjection": Op(
        dynamic_hybrid_attention.prompt_projection,
        oracles.prompt_projection,
        small=lambda rng: prompt_projection_case(rng, 3, 4),
        weights=tuple(range(3, 8)),
        drawn=drawn_prompt_projection,
    ),
}
