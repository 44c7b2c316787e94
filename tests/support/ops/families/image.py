"""SampleImage."""

from __future__ import annotations

import numpy as np

from inter2former_onnx.models import preprocess
from support.ops.arrays import Case, Inputs
from support.ops.op import Op
from support.ops.oracles import image as oracles


def sample_image_case(
    rng: np.random.Generator, source: tuple[int, int], samples: tuple[int, int], reverse: int
) -> Case:
    """Draw any rows and columns, in any order, some of zeros."""
    inputs: Inputs = [rng.integers(0, 256, (*source, 3), dtype=np.uint8)]
    for size, count in zip(source, samples, strict=True):
        inputs += [rng.integers(0, size, (2, count)), rng.integers(0, 2, (2, count)).astype(np.float32)]
        inputs += [rng.uniform(0, 1, count).astype(np.float32)]
    mean, std = rng.uniform(90, 130, 3).astype(np.float32), rng.uniform(50, 60, 3).astype(np.float32)
    return [*inputs, mean, std], {"reverse": reverse}


def drawn_sample_image(rng: np.random.Generator) -> Case:
    source, samples = ((int(high), int(wide)) for high, wide in rng.integers(1, 70, (2, 2)))
    return sample_image_case(rng, source, samples, 1)


OPS = {
    "SampleImage": Op(
        preprocess.sample_image,
        oracles.sample_image,
        small=lambda rng: sample_image_case(rng, (5, 6), (4, 3), 0),
        weights=(7, 8),
        drawn=drawn_sample_image,
    ),
}
