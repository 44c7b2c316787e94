"""CannyEdges, Conv3x3, ResidualConvBlock and EdgeTaps."""

from __future__ import annotations

import numpy as np

from inter2former_onnx.models import edge_detector
from support.ops.arrays import EPSILON, Case, Inputs, floats, norm
from support.ops.op import Op
from support.ops.oracles import edges as oracles


def canny_filters() -> Inputs:
    """Return the filters of the published model."""
    return [conv.detach().numpy() for conv in edge_detector.Canny().filters]


def canny_edges_case(rng: np.random.Generator, height: int, width: int, plain: bool = False) -> Case:
    """Make an image of noise, or `plain`: whole areas of one colour, without any gradient inside."""
    mean, std = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)
    pixels = rng.integers(0, 256, (3, height, width))
    if plain:
        pixels = np.repeat(np.repeat(rng.integers(0, 4, (1, height, width)) * 80, 9, axis=1), 9, axis=2)
        pixels = np.broadcast_to(pixels[:, :height, :width], (3, height, width))
    image = ((pixels - mean[:, None, None]) / std[:, None, None]).astype(np.float32)
    return [image, mean, std, *canny_filters()], {}


def conv(rng: np.random.Generator, out_dim: int, in_dim: int) -> Inputs:
    """Draw weight and bias of a 3 x 3 convolution that keeps magnitudes."""
    return [floats(rng, out_dim, in_dim, 3, 3, scale=(9 * in_dim) ** -0.5), floats(rng, out_dim, scale=0.3)]


def conv3x3_case(rng: np.random.Generator, height: int, width: int, in_dim: int, out_dim: int, stride: int) -> Case:
    return [floats(rng, height, width, in_dim), *conv(rng, out_dim, in_dim)], {"stride": stride}


def residual_conv_block_case(rng: np.random.Generator, height: int, width: int, dim: int, offset: float = 0) -> Case:
    """Make a map whose mean is `offset`."""
    inputs = [floats(rng, height, width, dim) + np.float32(offset)]
    for _ in range(2):
        inputs += [*norm(rng, dim), *conv(rng, dim, dim)]
    return inputs, {"epsilon": EPSILON}


def edge_taps_case(rng: np.random.Generator, h: int, w: int, stride: int, dim: int, out_dim: int) -> Case:
    """Make a map of h x w tokens of `stride` pixels."""
    taps = [floats(rng, 9, out_dim, dim, scale=(9 * dim) ** -0.5), floats(rng, 9, out_dim), floats(rng, out_dim)]
    return [floats(rng, h * stride, w * stride, dim), *taps], {"stride": stride}


# Cases of random sizes.


def drawn_conv3x3(rng: np.random.Generator) -> Case:
    height, width = (int(size) for size in rng.integers(1, 40, 2))
    in_dim, out_dim = (int(dim) for dim in rng.choice([1, 4, 5, 16, 20, 40], 2))
    return conv3x3_case(rng, height, width, in_dim, out_dim, 2)


def drawn_residual_conv_block(rng: np.random.Generator) -> Case:
    height, width = (int(size) for size in rng.integers(1, 40, 2))
    return residual_conv_block_case(rng, height, width, int(rng.choice([1, 4, 6, 16, 20, 32, 64])))


def drawn_edge_taps(rng: np.random.Generator) -> Case:
    h, w = (int(size) for size in rng.integers(1, 12, 2))
    return edge_taps_case(rng, h, w, 4, int(rng.choice([1, 4, 20])), int(rng.choice([1, 3, 4, 16, 20])))


OPS = {
    "CannyEdges": Op(
        edge_detector.canny_edges,
        oracles.canny_edges,
        small=lambda rng: canny_edges_case(rng, 7, 8),
        weights=tuple(range(1, 8)),
    ),
    "Conv3x3": Op(
        edge_detector.conv3x3,
        oracles.conv3x3,
        small=lambda rng: conv3x3_case(rng, 4, 5, 3, 4, 2),
        weights=(1, 2),
        drawn=drawn_conv3x3,
    ),
    "ResidualConvBlock": Op(
        edge_detector.residual_conv_block,
        oracles.residual_conv_block,
        small=lambda rng: residual_conv_block_case(rng, 4, 5, 4),
        weights=tuple(range(1, 9)),
        drawn=drawn_residual_conv_block,
    ),
    "EdgeTaps": Op(
        edge_detector.edge_taps,
        oracles.edge_taps,
        small=lambda rng: edge_taps_case(rng, 2, 3, 2, 4, 3),
        weights=(1, 2, 3),
        drawn=drawn_edge_taps,
    ),
}
