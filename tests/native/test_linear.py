"""The native linear ops against the portable forms, every instruction set and 8-bit unit of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ops.agreement import oracle
from support.ops.arrays import Case
from support.ops.comparison import assert_close, assert_quantised_agree
from support.ops.families.linear import (
    QUANTISED,
    ROWS_WITHOUT_A_RANGE,
    norm_mlp_case,
    norm_projection_case,
    quant_residual_projection_case,
    residual_projection_case,
)
from support.ops.native import (
    assert_native_is_portable,
    forced,
    instruction_sets,
    needs_library,
    run_native,
    run_session,
)
from support.ops.registry import OPS
from support.ops.sessions import op_model, run_op, session

pytestmark = needs_library

SETTINGS = settings(max_examples=15, deadline=None, derandomize=True)


@pytest.mark.parametrize("isa", instruction_sets())
def test_norm_projection_of_published_sizes(isa: str) -> None:
    """64 x 64 tokens of 256 channels."""
    assert_native_is_portable("NormProjection", norm_projection_case(np.random.default_rng(0), 4096, 256, 96), isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_residual_projection_of_published_widths(isa: str) -> None:
    case = residual_projection_case(np.random.default_rng(0), 300, 768, 768)
    assert_native_is_portable("ResidualProjection", case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_norm_mlp_of_published_widths(isa: str) -> None:
    assert_native_is_portable("NormMlp", norm_mlp_case(np.random.default_rng(0), 300, 768, 3072), isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_gelu_everywhere(isa: str) -> None:
    """The whole range, to a unit or two in the last place of its largest values."""
    values = np.linspace(-8, 8, 2000, dtype=np.float32)
    inputs, attributes = norm_mlp_case(np.random.default_rng(0), 1, 2000, 2000)
    inputs[0][:], inputs[3][:], inputs[4][:], inputs[6][:] = 0, 0, values, 0
    inputs[5][:] = np.eye(2000, dtype=np.float32)
    (found,) = run_native("NormMlp", (inputs, attributes), isa)
    (expected,) = run_op("NormMlp", inputs, attributes)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


# The 8-bit ops


def native(
    name: str, case: Case, isa: str, unit: str, constants: Sequence[int] = (), threads: int = 2
) -> ort.InferenceSession:
    """Open a session of the native kernel with a unit for 8-bit products."""
    with pytest.MonkeyPatch.context() as patch, forced(isa):
        patch.setenv("INTER2FORMER_INT8", unit)
        return session(op_model(name, *case, constants), "native", threads=threads)


@cache
def _open_session(name: str, isa: str, unit: str) -> ort.InferenceSession:
    """Open a session for all shapes: no input is a constant, every dimension is open."""
    return native(name, QUANTISED[name](np.random.default_rng(0), 1), isa, unit)


@cache
def units() -> list[tuple[str, str]]:
    """List the instruction sets and units that this machine has."""
    usable = [(isa, "pairs") for isa in instruction_sets()]
    for unit in ("vnni", "amx"):
        if "avx512" in instruction_sets():
            try:
                _open_session("QuantNormProjection", "avx512", unit)
            except Exception as error:
                assert "this machine lacks it" in str(error)
                continue
            usable.append(("avx512", unit))
    return usable


@pytest.mark.parametrize(("isa", "unit"), units())
@pytest.mark.parametrize("name", QUANTISED)
@SETTINGS
@given(st.integers(0, 2**32 - 1))
def test_quantised_native_is_portable(name: str, isa: str, unit: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, attributes = QUANTISED[name](rng, *(int(size) for size in rng.integers(1, 200, 3)))
    found = run_session(_open_session(name, isa, unit), inputs)
    assert_quantised_agree(found, run_op(name, inputs, attributes), f"{name}, {isa}, {unit}")


@pytest.mark.parametrize(("isa", "unit"), units())
@pytest.mark.parametrize("rows", ROWS_WITHOUT_A_RANGE)
def test_quantised_rows_without_a_range(rows: np.ndarray, isa: str, unit: str) -> None:
    """All zero, all of one sign, and too small to be told from zero."""
    inputs, attributes = quant_residual_projection_case(np.random.default_rng(0), len(rows), 8)
    inputs[0] = rows.astype(np.float32)
    expected = oracle("QuantResidualProjection", inputs, attributes)
    found = run_session(_open_session("QuantResidualProjection", isa, unit), inputs)
    assert_close(found, expected, 2e-5, f"{isa}, {unit}")


@pytest.mark.parametrize("name", QUANTISED)
def test_quantised_units_threads_and_constants_change_nothing(name: str) -> None:
    """Sums of whole numbers do not depend on how they are taken: for one instruction set, not a bit differs."""
    case = QUANTISED[name](np.random.default_rng(3), 150, 100, 130)
    for isa in instruction_sets():
        (expected,) = run_session(native(name, case, isa, "pairs", threads=1), case[0])
        for unit in [unit for has, unit in units() if has == isa]:
            for threads in (1, 2, 3):
                constants = list(OPS[name].weights)
                runner = native(name, case, isa, unit, constants, threads)
                np.testing.assert_array_equal(run_session(runner, case[0], constants)[0], expected)


def test_unknown_unit() -> None:
    with pytest.raises(Exception, match="INTER2FORMER_INT8=fast: expected pairs, vnni or amx"):
        native(
            "QuantNormProjection",
            QUANTISED["QuantNormProjection"](np.random.default_rng(0), 1),
            instruction_sets()[-1],
            "fast",
        )
