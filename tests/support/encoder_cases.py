"""Inputs for the encoder's ops; op_forms.py holds their forms to each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inter2former_onnx.models.edge_detector import Canny
from support.op_forms import EPSILON, Case, Inputs, floats, frequencies, linear, norm


def residual_projection_case(rng: np.random.Generator, tokens: int, dim: int = 12, out_dim: int = 9) -> Case:
    return [floats(rng, tokens, dim), floats(rng, tokens, out_dim), *linear(rng, out_dim, dim)], {}


def norm_mlp_case(rng: np.random.Generator, tokens: int, dim: int = 12, hidden: int = 20) -> Case:
    inputs = [floats(rng, tokens, dim), *norm(rng, dim), *linear(rng, hidden, dim), *linear(rng, dim, hidden)]
    return inputs, {"epsilon": EPSILON}


def window_plan(grids: Sequence[tuple[int, int]], window: int, shift: bool, head: int) -> Inputs:
    """tokens, positions, cos and sin of grids cut into windows as docs/model.md 2 says, place by place."""
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
    """Any plan: padding anywhere, tokens that are in several places, windows without a token, any angles."""
    places = windows * area
    at = rng.integers(0, tokens + 1, places)
    positions = rng.permutation(places)[:tokens]
    at[positions] = np.arange(tokens)
    angles = np.repeat(rng.uniform(-4, 4, (windows, 1, area, head // 2)), 2, axis=-1)
    return [at.astype(np.int64), positions.astype(np.int64), *(f(angles).astype(np.float32) for f in (np.cos, np.sin))]


def conv(rng: np.random.Generator, out_dim: int, in_dim: int) -> Inputs:
    """Weight and bias of a 3 x 3 convolution that keeps magnitudes."""
    return [floats(rng, out_dim, in_dim, 3, 3, scale=(9 * in_dim) ** -0.5), floats(rng, out_dim, scale=0.3)]


def sample_image_case(
    rng: np.random.Generator, source: tuple[int, int], samples: tuple[int, int], reverse: int
) -> Case:
    """Any rows and columns, in any order, some of zeros."""
    inputs: Inputs = [rng.integers(0, 256, (*source, 3), dtype=np.uint8)]
    for size, count in zip(source, samples, strict=True):
        inputs += [rng.integers(0, size, (2, count)), rng.integers(0, 2, (2, count)).astype(np.float32)]
        inputs += [rng.uniform(0, 1, count).astype(np.float32)]
    mean, std = rng.uniform(90, 130, 3).astype(np.float32), rng.uniform(50, 60, 3).astype(np.float32)
    return [*inputs, mean, std], {"reverse": reverse}


def canny_filters() -> Inputs:
    """As the published model has them."""
    return [conv.detach().numpy() for conv in Canny().filters]


def canny_edges_case(rng: np.random.Generator, height: int, width: int, plain: bool = False) -> Case:
    """Noise, or `plain`: whole areas of one colour, without any gradient inside."""
    mean, std = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)
    pixels = rng.integers(0, 256, (3, height, width))
    if plain:
        pixels = np.repeat(np.repeat(rng.integers(0, 4, (1, height, width)) * 80, 9, axis=1), 9, axis=2)
        pixels = np.broadcast_to(pixels[:, :height, :width], (3, height, width))
    image = ((pixels - mean[:, None, None]) / std[:, None, None]).astype(np.float32)
    return [image, mean, std, *canny_filters()], {}


def conv3x3_case(rng: np.random.Generator, height: int, width: int, in_dim: int, out_dim: int, stride: int) -> Case:
    return [floats(rng, height, width, in_dim), *conv(rng, out_dim, in_dim)], {"stride": stride}


def edge_taps_case(rng: np.random.Generator, h: int, w: int, stride: int, dim: int, out_dim: int) -> Case:
    """A map of h x w tokens of `stride` pixels."""
    taps = [floats(rng, 9, out_dim, dim, scale=(9 * dim) ** -0.5), floats(rng, 9, out_dim), floats(rng, out_dim)]
    return [floats(rng, h * stride, w * stride, dim), *taps], {"stride": stride}


def residual_conv_block_case(rng: np.random.Generator, height: int, width: int, dim: int, offset: float = 0) -> Case:
    """A map whose mean is `offset`."""
    inputs = [floats(rng, height, width, dim) + np.float32(offset)]
    for _ in range(2):
        inputs += [*norm(rng, dim), *conv(rng, dim, dim)]
    return inputs, {"epsilon": EPSILON}


def quant_linear(rng: np.random.Generator, out_dim: int, in_dim: int) -> Inputs:
    """int8 weight, its scale and bias of a linear layer that keeps magnitudes."""
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
