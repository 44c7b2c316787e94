"""LocalUpsample2x."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inter2former_onnx.models import dynamic_local_upsampling
from support.ops.arrays import EPSILON, Case, Inputs, floats, norm
from support.ops.op import Op
from support.ops.oracles import upsampling as oracles


def local_upsample_2x_case(
    rng: np.random.Generator,
    level: int,
    h: int,
    w: int,
    box: Sequence[int],
    in_dim: int,
    out_dim: int,
    activation: int,
    scale: float = 1.0,
) -> Case:
    """Make level k = 0 .. 3 of a grid of h x w tokens; the edge tensors hold anything, as the op only adds them up."""
    s = 2 ** (level + 1)
    left, top, right, bottom = box
    inputs: Inputs = [
        floats(rng, (bottom - top) * s // 2, (right - left) * s // 2, in_dim, scale=scale),
        np.array(box, np.int64),
    ]
    inputs += [floats(rng, s * h, s * w, out_dim), floats(rng, 2, h, s * w, out_dim), floats(rng, 2, s * h, w, out_dim)]
    inputs += [floats(rng, 2, 2, h, w, out_dim), *norm(rng, in_dim)]
    inputs += [floats(rng, out_dim, in_dim, 3, 3, scale=(9 * in_dim) ** -0.5)]
    return inputs, {"activation": activation, "epsilon": EPSILON}


OPS = {
    "LocalUpsample2x": Op(
        dynamic_local_upsampling.local_upsample_2x,
        oracles.local_upsample_2x,
        small=lambda rng: local_upsample_2x_case(rng, 1, 3, 4, (1, 0, 3, 2), 4, 3, 1),
        weights=(6, 7, 8),
    ),
}
