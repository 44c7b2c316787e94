"""Running one op through the native library, with an instruction set of choice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from inter2former_onnx.custom_ops import library
from inter2former_onnx.errors import OpsLibraryError
from support.ops.arrays import Case, Inputs
from support.ops.comparison import assert_close
from support.ops.registry import OPS
from support.ops.sessions import op_model, run_op, session

_VARIABLE = "INTER2FORMER_ISA"
# Of a kernel against the portable form, relative to the largest value of the output or to 1.
TOLERANCE = 1e-4

needs_library = pytest.mark.skipif(library.find() is None, reason="this installation has no native custom-op library")


@contextmanager
def forced(instruction_set: str) -> Iterator[None]:
    """Make the sessions that are opened inside use this instruction set."""
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
    """List those that the library has kernels for and this machine can run; empty without a library."""
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
    """Open a session of one op with the native kernels.

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
    """Compute the outputs for inputs of a native_session with the same constants."""
    given = [array for position, array in enumerate(inputs) if position not in constants]
    names = [value.name for value in runner.get_inputs()]
    return list(runner.run(None, dict(zip(names, given, strict=True))))


@cache
def _open_session(
    name: str, attributes: tuple[tuple[str, int | float], ...], instruction_set: str
) -> ort.InferenceSession:
    """Open a session for all shapes: no input is a constant, every dimension is open."""
    inputs, _ = OPS[name].small(np.random.default_rng(0))
    return native_session(name, inputs, dict(attributes), instruction_set)


def run_native(name: str, case: Case, instruction_set: str) -> list[np.ndarray]:
    """Run one op with the native kernels; sessions are kept for the next call with the same attributes."""
    inputs, attributes = case
    return run_session(_open_session(name, tuple(sorted(attributes.items())), instruction_set), inputs)


def assert_native_is_portable(name: str, case: Case, instruction_set: str) -> None:
    """Check the outputs of the kernel against those of the portable form."""
    assert_close(run_native(name, case, instruction_set), run_op(name, *case), TOLERANCE, f"{name}, {instruction_set}")


def assert_same_bits(name: str, case: Case, instruction_set: str) -> None:
    """Check that weights packed beforehand, and one to four threads, change no bit."""
    inputs, attributes = case
    weights = OPS[name].weights
    expected = run_session(native_session(name, inputs, attributes, instruction_set, threads=1), inputs)
    for threads in (1, 2, 3, 4):
        runner = native_session(name, inputs, attributes, instruction_set, weights, threads)
        for found, wanted in zip(run_session(runner, inputs, weights), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
