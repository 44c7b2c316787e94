"""The linear ops: PyTorch form == onnxscript function == oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ops.agreement import assert_forms_agree, oracle, torch_form
from support.ops.comparison import assert_close, assert_quantised_agree
from support.ops.families.linear import (
    QUANTISED,
    ROWS_WITHOUT_A_RANGE,
    norm_mlp_case,
    norm_projection_case,
    quant_residual_projection_case,
    residual_projection_case,
)
from support.ops.sessions import run_op

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 24)
SETTINGS = settings(max_examples=20, deadline=None, derandomize=True)


@settings(SETTINGS, max_examples=25)
@given(SEEDS, st.sampled_from([0, 1, 2, 7, 33]), st.sampled_from([1.0, 1e4, 1e-4]))
def test_norm_projection(seed: int, tokens: int, scale: float) -> None:
    inputs, attributes = norm_projection_case(np.random.default_rng(seed), tokens)
    inputs[0] *= np.float32(scale)
    assert_forms_agree("NormProjection", (inputs, attributes))


def test_norm_projection_of_equal_channels_is_the_bias() -> None:
    inputs, attributes = norm_projection_case(np.random.default_rng(1), 3)
    inputs[0][:] = 1e4
    inputs[2][:] = 0
    (out,) = run_op("NormProjection", inputs, attributes)
    np.testing.assert_allclose(out, np.broadcast_to(inputs[4], out.shape), atol=1e-6)


@SETTINGS
@given(SEEDS, SIZES, SIZES, SIZES)
def test_residual_projection(seed: int, tokens: int, dim: int, out_dim: int) -> None:
    case = residual_projection_case(np.random.default_rng(seed), tokens, dim, out_dim)
    assert_forms_agree("ResidualProjection", case)


@SETTINGS
@given(SEEDS, SIZES, SIZES, SIZES, st.sampled_from([1e-4, 1.0, 1e4]))
def test_norm_mlp(seed: int, tokens: int, dim: int, hidden: int, scale: float) -> None:
    inputs, attributes = norm_mlp_case(np.random.default_rng(seed), tokens, dim, hidden)
    inputs[0] *= np.float32(scale)
    assert_forms_agree("NormMlp", (inputs, attributes))


def test_gelu_of_large_and_small_values() -> None:
    """The whole range of GELU, through a layer that passes values on."""
    inputs, attributes = norm_mlp_case(np.random.default_rng(0), 3, 2, 400)
    inputs[3][:] = 0
    inputs[4][:] = np.linspace(-12, 12, 400, dtype=np.float32)
    assert_forms_agree("NormMlp", (inputs, attributes))


@pytest.mark.parametrize("name", QUANTISED)
@settings(SETTINGS, max_examples=15)
@given(SEEDS, st.integers(1, 70), st.integers(1, 70), st.integers(1, 70))
def test_quantised_forms_agree(name: str, seed: int, tokens: int, dim: int, out_dim: int) -> None:
    inputs, attributes = QUANTISED[name](np.random.default_rng(seed), tokens, dim, out_dim)
    expected = oracle(name, inputs, attributes)
    assert_quantised_agree(torch_form(name, inputs, attributes), expected, f"{name}: PyTorch form")
    assert_quantised_agree(run_op(name, inputs, attributes), expected, f"{name}: onnxscript function")


@pytest.mark.parametrize("rows", ROWS_WITHOUT_A_RANGE)
def test_quantised_rows_without_a_range(rows: np.ndarray) -> None:
    """All zero, all of one sign, and too small to be told from zero."""
    inputs, attributes = quant_residual_projection_case(np.random.default_rng(0), len(rows), 8)
    inputs[0] = rows.astype(np.float32)
    expected = oracle("QuantResidualProjection", inputs, attributes)
    assert_close(torch_form("QuantResidualProjection", inputs, attributes), expected, 2e-5, "PyTorch form")
    assert_close(run_op("QuantResidualProjection", inputs, attributes), expected, 2e-5, "onnxscript function")
