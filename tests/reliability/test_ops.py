"""Hostile input to every native operator, through onnxruntime: an error that names the operator, or a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from inter2former_onnx.custom_ops import registry
from support import encoder_cases, op_forms
from support.native_ops import forced, instruction_sets, needs_library, run_session
from support.op_forms import Case, Inputs
from support.ops_harness import op_model, session
from support.tried import tried

pytestmark = needs_library

CASES: dict[str, Callable[[np.random.Generator], Case]] = {
    "BoundaryGather": lambda rng: op_forms.gather_case(rng, 12, 4),
    "BoundaryScatter": lambda rng: op_forms.scatter_case(rng, 12, 4),
    "BoundaryAttention": lambda rng: op_forms.boundary_attention_case(rng, 3, 4, 5, 2),
    "FirstAttention": lambda rng: op_forms.first_attention_case(rng, 3, 4, 2),
    "BSQAttention": lambda rng: op_forms.bsq_attention_case(rng, 12, 7, 2, 3),
    "NormProjection": lambda rng: op_forms.norm_projection_case(rng, 7),
    "ResidualProjection": lambda rng: encoder_cases.residual_projection_case(rng, 7),
    "NormMlp": lambda rng: encoder_cases.norm_mlp_case(rng, 7),
    "WindowAttention": lambda rng: encoder_cases.window_attention_case(rng, [(3, 4)], 2, True, 2),
    "ResidualConvBlock": lambda rng: encoder_cases.residual_conv_block_case(rng, 4, 5, 4),
    "SampleImage": lambda rng: encoder_cases.sample_image_case(rng, (5, 6), (4, 3), 0),
    "CannyEdges": lambda rng: encoder_cases.canny_edges_case(rng, 7, 8),
    "Conv3x3": lambda rng: encoder_cases.conv3x3_case(rng, 4, 5, 3, 4, 2),
    "EdgeTaps": lambda rng: encoder_cases.edge_taps_case(rng, 2, 3, 2, 4, 3),
    "QuantNormProjection": lambda rng: encoder_cases.quant_norm_projection_case(rng, 7),
    "QuantResidualProjection": lambda rng: encoder_cases.quant_residual_projection_case(rng, 7),
    "QuantNormMlp": lambda rng: encoder_cases.quant_norm_mlp_case(rng, 7),
    "HybridAttention": lambda rng: op_forms.hybrid_attention_case(rng, 3, 4, 5, 2, 3),
    "PromptedAttention": lambda rng: op_forms.prompted_attention_case(rng, 3, 4, 5, 4, 2, 3),
    "HybridMoE": lambda rng: op_forms.hybrid_moe_case(rng, 12, 5, 3),
    "PromptProjection": lambda rng: op_forms.prompt_projection_case(rng, 3, 4),
    "PromptEmbed": lambda rng: ([op_forms.label_map(rng, 3, 4, 2, (3, 9)), *op_forms.prompt_weights(rng)], {}),
    "Localise": lambda rng: op_forms.localise_case(rng, 3, 4),
    "LocalBox": lambda rng: ([op_forms.floats(rng, 3, 4), np.array(0.0, np.float32)], {}),
    "CropTokens": lambda rng: op_forms.crop_case(rng, 3, 4, (1, 0, 3, 2)),
    "LocalUpsample2x": lambda rng: op_forms.local_upsample_2x_case(rng, 1, 3, 4, (1, 0, 3, 2), 4, 3, 1),
}
NUMBERS = (np.nan, np.inf, -np.inf, 3.4e38, 1e-45, -0.0)
INTEGERS = (-1, 255, 1 << 31, (1 << 62) + 1, -(1 << 63), (1 << 63) - 1)


def case(name: str) -> Case:
    return CASES[name](np.random.default_rng(5))


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


def test_every_op_of_the_library_is_here() -> None:
    assert sorted(op.name for op in registry.ops()) == sorted(CASES)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("name", CASES)
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


@pytest.mark.parametrize("name", CASES)
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


@pytest.mark.parametrize("name", [name for name in CASES if case(name)[1]])
def test_any_attribute(name: str) -> None:
    """Attributes that are missing, of another type or absurd: refused when loaded or run, with the op's name."""
    inputs, attributes = case(name)
    changes: list[dict[str, Any]] = [{}]
    changes += [{**attributes, key: value} for key in attributes for value in ATTRIBUTES[key]]
    for changed in changes:
        tried()
        with pytest.raises(Exception, match=name):
            run_session(session(shapeless(name, inputs, changed), "native"), inputs)
