"""BoundaryGather, BoundaryScatter, Localise, LocalBox and CropTokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inter2former_onnx.models import boundary_tokens, dynamic_local_upsampling
from support.ops.arrays import Case, floats, grid_of, linear, part_of, routes
from support.ops.op import Op
from support.ops.oracles import tokens as oracles


def gather_case(rng: np.random.Generator, tokens: int, boundary: int, dim: int = 5) -> Case:
    return [floats(rng, tokens, dim), *routes(rng, tokens, boundary)], {}


def scatter_case(rng: np.random.Generator, tokens: int, boundary: int, dim: int = 5) -> Case:
    return [floats(rng, boundary, dim), floats(rng, tokens - boundary, dim), *routes(rng, tokens, boundary)], {}


def localise_case(rng: np.random.Generator, h: int, w: int, dims: Sequence[int] = (16, 8, 4, 2, 1)) -> Case:
    layers = [part for before, after in zip(dims[:-1], dims[1:], strict=True) for part in linear(rng, after, before)]
    return [floats(rng, h * w, dims[0]), grid_of(h, w), *layers], {}


def local_box_case(rng: np.random.Generator, h: int, w: int, threshold: float = 0) -> Case:
    return [floats(rng, h, w), np.array(threshold, np.float32)], {}


def crop_case(rng: np.random.Generator, h: int, w: int, box: Sequence[int], dim: int = 5) -> Case:
    return [floats(rng, h * w, dim), grid_of(h, w), np.array(box, np.int64)], {}


# Cases of random sizes.


def drawn_gather(rng: np.random.Generator) -> Case:
    tokens = int(rng.integers(1, 600))
    return gather_case(rng, tokens, part_of(rng, tokens), int(rng.integers(1, 40)))


def drawn_scatter(rng: np.random.Generator) -> Case:
    tokens = int(rng.integers(1, 600))
    return scatter_case(rng, tokens, part_of(rng, tokens), int(rng.integers(1, 40)))


OPS = {
    "BoundaryGather": Op(
        boundary_tokens.boundary_gather,
        oracles.boundary_gather,
        small=lambda rng: gather_case(rng, 12, 4),
        drawn=drawn_gather,
    ),
    "BoundaryScatter": Op(
        boundary_tokens.boundary_scatter,
        oracles.boundary_scatter,
        small=lambda rng: scatter_case(rng, 12, 4),
        drawn=drawn_scatter,
    ),
    "Localise": Op(
        dynamic_local_upsampling.localise,
        oracles.localise,
        small=lambda rng: localise_case(rng, 3, 4),
        weights=tuple(range(2, 10)),
    ),
    "LocalBox": Op(
        dynamic_local_upsampling.local_box,
        oracles.local_box,
        small=lambda rng: local_box_case(rng, 3, 4),
        weights=(1,),
    ),
    "CropTokens": Op(
        dynamic_local_upsampling.crop_tokens,
        oracles.crop_tokens,
        small=lambda rng: crop_case(rng, 3, 4, (1, 0, 3, 2)),
    ),
}
