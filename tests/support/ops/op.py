"""What the tests know of one op."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from support.ops.arrays import Case

Make = Callable[[np.random.Generator], Case]


@dataclass(frozen=True)
class Op:
    """Hold the other forms of an op, and what makes inputs for it.

    Attributes:
        torch_form: the function of `inter2former_onnx.models`; its arguments are the op's inputs and attributes, some
            of the inputs in groups (see `support.ops.groups`).
        oracle: the same from the op's definition, in float64 numpy.
        small: makes a case of a few tokens or pixels, which hostile inputs are changes of.
        weights: positions of the inputs that are weights of the model in a bundle.
        drawn: makes a case of random sizes for the native kernel; None where the native tests of the op's family draw
            the sizes.
    """

    torch_form: Callable[..., Any]
    oracle: Callable[..., Any]
    small: Make
    weights: tuple[int, ...] = ()
    drawn: Make | None = None
