"""Hostile input to every native operator, through onnxruntime: an error that names the operator, or a result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from support.ops.arrays import Case, Inputs
from support.ops.native import forced, instruction_sets, needs_library, run_session
from support.ops.registry import OPS
from support.ops.sessions import op_model, session
from support.tried import tried

pytestmark = needs_library

NUMBERS = (np.nan, np.inf, -np.inf, 3.4e38, 1e-45, -0.0)
INTEGERS = (-1, 255, 1 << 31, (1 << 62) + 1, -(1 << 63), (1 << 63) - 1)


def case(name: str) -> Case:
    return OPS[name].small(np.random.default_rng(5))


def shapeless(name: str, inputs: Inputs, attributes: dict[str, Any]) -> onnx.ModelProto:
    """The op alone, of inputs about whose shapes the model says nothing: what arrives is the kernel's to check."""
    model = op_model(name, inputs, attributes)
    for value in model.graph.input:
        value.type.tensor_type.ClearField("shape")
    return model


def shapes(array: np.ndarray) -> Iterator[np.ndarray]:
    """Every axis empty, one short and one long; one axis fewer, one more, none, and more than any op has."""
    for axis in range(array.ndim):
        yield array.take([], axis)
        yield array.take(range(array.shape[axis] - 1), axis) if array.shape[axis] else array
        if array.shape[axis]:
            yield np.concatenate([array, array.take([0], axis)], axis)
    yield array[None]
    yield array.reshape(array.shape + (1,) * 6)
    yield np.zeros((), array.dtype)
    if array.ndim > 1:
        yield array.reshape(-1)


def values(array: np.ndarray) -> Iterator[np.ndarray]:
    """One and all elements of every kind that is no ordinary number, or no index."""
    special = NUMBERS if array.dtype == np.float32 else INTEGERS
    for value in special:
        with np.errstate(over="ignore"):
            wrapped = np.array(value).astype(array.dtype)
        for places in (slice(0, 1), slice(None)):
            changed = array.copy()
            changed.reshape(-1)[places] = wrapped
            yield changed


def attempt(name: str, runner: ort.InferenceSession, inputs: Inputs) -> bool:
    """Whether it was refused; a refusal names the operator and, unless it is onnxruntime's own, an input."""
    tried()
    try:
        run_session(runner, inputs)
    except Exception as error:  # onnxruntime's exceptions share no public base
        assert f"inter2former::{name}: " in str(error), f"{name}: {str(error)[:500]}"
        assert "'" in str(error).split(f"inter2former::{name}: ")[1], str(error)[:500]
        return True
    return False


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("name", OPS)
def test_any_shape_and_value(name: str, isa: str) -> None:
    """Each input in turn gets another shape or value; NaN and infinity are no reason to refuse. Later runs work."""
    inputs, attributes = case(name)
    with forced(isa):
        runner = session(shapeless(name, inputs, attributes), "native")
    intact = run_session(runner, inputs)
    for position, array in enumerate(inputs):
        refused = sum(
            attempt(name, runner, [*inputs[:position], changed, *inputs[position + 1 :]]) for changed in shapes(array)
        )
        assert refused >= (3 if array.ndim else 2), f"{name}: input {position} of another rank went through"
        for changed in values(array):
            refused = attempt(name, runner, [*inputs[:position], changed, *inputs[position + 1 :]])
            assert not (refused and array.dtype == np.float32), f"{name}: input {position} = {changed.flat[0]}"
    for got, want in zip(run_session(runner, inputs), intact, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", OPS)
def test_any_type(name: str) -> None:
    """A model that gives an input of another type is refused when it is loaded."""
    inputs, attributes = case(name)
    model = shapeless(name, inputs, attributes)
    for value in model.graph.input:
        own = value.type.tensor_type.elem_type
        for other in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.UINT8):
            if other == own:
                continue
            tried()
            value.type.tensor_type.elem_type = other
            with pytest.raises(Exception, match=name):
                session(model, "native")
        value.type.tensor_type.elem_type = own


ATTRIBUTES: dict[str, tuple[Any, ...]] = {
    "reverse": (0.5, "yes"),
    "stride": (-1, 0, 1 << 40),
    "num_heads": (0, -1, 7, 1 << 40, -(1 << 63), 1.5, "two", [1, 2]),
    "epsilon": (7, "small", [1.0]),
    "activation": (0.5, "relu"),
    "level": (-1, 60, 1 << 62, "one"),
}


@pytest.mark.parametrize("name", [name for name in OPS if case(name)[1]])
def test_any_attribute(name: str) -> None:
    """Attributes that are missing, of another type or absurd: refused when loaded or run, with the op's name."""
    inputs, attributes = case(name)
    changes: list[dict[str, Any]] = [{}]
    changes += [{**attributes, key: value} for key in attributes for value in ATTRIBUTES[key]]
    for changed in changes:
        tried()
        with pytest.raises(Exception, match=name):
            run_session(session(shapeless(name, inputs, changed), "native"), inputs)
