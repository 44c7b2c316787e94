"""Arrays that the inputs of ops are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Inputs = list[np.ndarray]
Attributes = dict[str, int | float]
Case = tuple[Inputs, Attributes]

EPSILON = 1e-5


def floats(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> NDArray[np.float32]:
    """Draw normally distributed numbers."""
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def integers(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Draw small whole numbers: sums of their products are exact in float32, so that all forms see the same signs."""
    return rng.integers(-3, 4, shape).astype(np.float32)


def linear(rng: np.random.Generator, out_dim: int, in_dim: int) -> Inputs:
    """Draw weight and bias of a linear layer that keeps magnitudes."""
    return [floats(rng, out_dim, in_dim, scale=in_dim**-0.5), floats(rng, out_dim, scale=0.3)]


def norm(rng: np.random.Generator, dim: int) -> Inputs:
    """Draw weight and bias of a normalisation."""
    return [1 + floats(rng, dim, scale=0.2), floats(rng, dim, scale=0.2)]


def routes(rng: np.random.Generator, tokens: int, boundary: int) -> Inputs:
    """Draw ascending indices of `boundary` of the tokens, and of the rest."""
    order = rng.permutation(tokens).astype(np.int64)
    return [np.sort(order[:boundary]), np.sort(order[boundary:])]


def frequencies(head: int) -> NDArray[np.float32]:
    """Compute the frequencies of a head of that width, position ratio included."""
    half = head // 2
    return (0.5 * 10000.0 ** (-np.arange(0, half, 2) / half)).astype(np.float32)


def grid_of(h: int, w: int) -> NDArray[np.int64]:
    """Make the input `grid`: rows and columns of tokens."""
    return np.array([h, w], np.int64)


def random_box(rng: np.random.Generator, h: int, w: int) -> list[int]:
    """Draw left, top, right, bottom of a box of at least one token."""
    left, top = int(rng.integers(w)), int(rng.integers(h))
    return [left, top, int(rng.integers(left + 1, w + 1)), int(rng.integers(top + 1, h + 1))]


def part_of(rng: np.random.Generator, total: int) -> int:
    """Draw how many of `total` tokens: none, all or a part."""
    return int(rng.choice([0, total, rng.integers(0, total + 1)]))


def drawn_grid(rng: np.random.Generator) -> tuple[int, int, int]:
    """Draw rows and columns of a grid of tokens, and how many of them are boundary tokens."""
    h, w = (int(side) for side in rng.integers(1, 24, 2))
    return h, w, part_of(rng, h * w)
