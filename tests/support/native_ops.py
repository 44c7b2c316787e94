"""Running one op through the native library, with an instruction set of choice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from inter2former_onnx.custom_ops import library
from inter2former_onnx.errors import OpsLibraryError
from support.op_forms import Inputs
from support.ops_harness import op_model, session

_VARIABLE = "INTER2FORMER_ISA"

needs_library = pytest.mark.skipif(library.find() is None, reason="this installation has no native custom-op library")


@contextmanager
def forced(instruction_set: str) -> Iterator[None]:
    """Sessions that are made inside use this instruction set."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = instruction_set
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


def instruction_sets() -> list[str]:
    """Those that the library has kernels for and this machine can run; empty without a library."""
    usable = []
    for name in ("baseline", "avx2", "avx512", "neon"):
        with forced(name):
            try:
                if library.instruction_set() == name:
                    usable.append(name)
            except OpsLibraryError:
                continue
    return usable


def native_session(
    name: str,
    inputs: Inputs,
    attributes: Mapping[str, Any],
    instruction_set: str,
    constants: Sequence[int] = (),
    threads: int = 2,
) -> ort.InferenceSession:
    """A session of one op with the native kernels.

    Args:
        name: the op's name in the domain.
        inputs: examples of its inputs; those at the positions `constants` become weights of the model.
        attributes: its attributes.
        instruction_set: one of instruction_sets().
        constants: positions of the inputs that are constants of the graph, so that the kernel packs them beforehand.
        threads: of the session.
    """
    with forced(instruction_set):
        return session(op_model(name, inputs, attributes, constants), "native", threads=threads)


def run_session(runner: ort.InferenceSession, inputs: Inputs, constants: Sequence[int] = ()) -> list[np.ndarray]:
    """The outputs for inputs of a native_session with the same constants."""
    given = [array for position, array in enumerate(inputs) if position not in constants]
    names = [value.name for value in runner.get_inputs()]
    return list(runner.run(None, dict(zip(names, given, strict=True))))


def assert_same_bits(
    name: str, inputs: Inputs, attributes: Mapping[str, int | float], isa: str, weights: Sequence[int]
) -> None:
    """Weights that are constants, and one, two and four threads, change no bit of an op with one output.

    Args:
        weights: positions of the inputs that become constants.
    """
    (expected,) = run_session(native_session(name, inputs, attributes, isa, threads=1), inputs)
    for threads in (1, 2, 4):
        runner = native_session(name, inputs, attributes, isa, weights, threads)
        np.testing.assert_array_equal(run_session(runner, inputs, weights)[0], expected)
