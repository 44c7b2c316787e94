"""NormProjection, ResidualProjection, NormMlp, and their 8-bit forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from inter2former_onnx.export import quantised_layers
from inter2former_onnx.models import projections
from support.ops.arrays import EPSILON, Case, Inputs, floats, linear, norm
from support.ops.op import Op
from support.ops.oracles import linear as oracles


def norm_projection_case(rng: np.random.Generator, tokens: int, dim: int = 12, out_dim: int = 9) -> Case:
    return [floats(rng, tokens, dim), *norm(rng, dim), *linear(rng, out_dim, dim)], {"epsilon": EPSILON}


def residual_projection_case(rng: np.random.Generator, tokens: int, dim: int = 12, out_dim: int = 9) -> Case:
    return [floats(rng, tokens, dim), floats(rng, tokens, out_dim), *linear(rng, out_dim, dim)], {}


def norm_mlp_case(rng: np.random.Generator, tokens: int, dim: int = 12, hidden: int = 20) -> Case:
    inputs = [floats(rng, tokens, dim), *norm(rng, dim), *linear(rng, hidden, dim), *linear(rng, dim, hidden)]
    return inputs, {"epsilon": EPSILON}


def quant_linear(rng: np.random.Generator, out_dim: int, in_dim: int) -> Inputs:
    """Draw int8 weight, its scale and bias of a linear layer that keeps magnitudes."""
    weight = rng.integers(-127, 128, (out_dim, in_dim), dtype=np.int8)
    scale = (rng.uniform(0.5, 1.5, out_dim) * in_dim**-0.5 / 73).astype(np.float32)
    return [weight, scale, floats(rng, out_dim, scale=0.3)]


def quant_norm_projection_case(rng: np.random.Generator, tokens: int, dim: int = 12, out_dim: int = 9) -> Case:
    return [floats(rng, tokens, dim), *norm(rng, dim), *quant_linear(rng, out_dim, dim)], {"epsilon": EPSILON}


def quant_residual_projection_case(rng: np.random.Generator, tokens: int, dim: int = 12, out_dim: int = 9) -> Case:
    return [floats(rng, tokens, dim), floats(rng, tokens, out_dim), *quant_linear(rng, out_dim, dim)], {}


def quant_norm_mlp_case(rng: np.random.Generator, tokens: int, dim: int = 12, hidden: int = 20) -> Case:
    inputs = [floats(rng, tokens, dim), *norm(rng, dim)]
    return [*inputs, *quant_linear(rng, hidden, dim), *quant_linear(rng, dim, hidden)], {"epsilon": EPSILON}


# The 8-bit ops.
QUANTISED: dict[str, Callable[..., Case]] = {
    "QuantNormProjection": quant_norm_projection_case,
    "QuantResidualProjection": quant_residual_projection_case,
    "QuantNormMlp": quant_norm_mlp_case,
}
ROWS_WITHOUT_A_RANGE = (np.zeros((3, 8)), np.full((3, 8), 5.0), np.full((3, 8), -5.0), np.eye(8) * 1e-35)


# Cases of random sizes.


def drawn_norm_projection(rng: np.random.Generator) -> Case:
    return norm_projection_case(rng, *(int(size) for size in rng.integers(1, 130, 3)))


def drawn_residual_projection(rng: np.random.Generator) -> Case:
    return residual_projection_case(rng, *(int(size) for size in rng.integers(1, 130, 3)))


def drawn_norm_mlp(rng: np.random.Generator) -> Case:
    tokens, dim = (int(size) for size in rng.integers(1, 150, 2))
    return norm_mlp_case(rng, tokens, dim, int(rng.choice([1, 31, 512, 513, 700])))


OPS = {
    "NormProjection": Op(
        projections.norm_projection,
        oracles.norm_projection,
        small=lambda rng: norm_projection_case(rng, 7),
        weights=(1, 2, 3, 4),
        drawn=drawn_norm_projection,
    ),
    "ResidualProjection": Op(
        projections.residual_projection,
        oracles.residual_projection,
        small=lambda rng: residual_projection_case(rng, 7),
        weights=(2, 3),
        drawn=drawn_residual_projection,
    ),
    "NormMlp": Op(
        projections.norm_mlp,
        oracles.norm_mlp,
        small=lambda rng: norm_mlp_case(rng, 7),
        weights=tuple(range(1, 7)),
        drawn=drawn_norm_mlp,
    ),
    "QuantNormProjection": Op(
        quantised_layers.quant_norm_projection,
        oracles.quant_norm_projection,
        small=lambda rng: quant_norm_projection_case(rng, 7),
        weights=tuple(range(1, 6)),
    ),
    "QuantResidualProjection": Op(
        quantised_layers.quant_residual_projection,
        oracles.quant_residual_projection,
        small=lambda rng: quant_residual_projection_case(rng, 7),
        weights=(2, 3, 4),
    ),
    "QuantNormMlp": Op(
        quantised_layers.quant_norm_mlp,
        oracles.quant_norm_mlp,
        small=lambda rng: quant_norm_mlp_case(rng, 7),
        weights=tuple(range(1, 9)),
    ),
}
