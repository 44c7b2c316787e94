"""The 8-bit ops: PyTorch form == onnxscript function == oracle == native kernel on every unit of this machine.

A value that lies between two steps may be rounded either way by forms that differ in the last bit: a few outputs may be
off by one step's worth, all others agree to float32 precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import encoder_cases
from support.native_ops import forced, instruction_sets, needs_library, run_session
from support.op_forms import Case, assert_close, oracle, torch_form
from support.ops_harness import op_model, run_op, session

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 70)
SETTINGS = settings(max_examples=15, deadline=None, derandomize=True)
ONE_STEP = 0.02  # of the largest output: far more than one step, far less than a wrong product
CASES: dict[str, Callable[..., Case]] = {
    "QuantNormProjection": encoder_cases.quant_norm_projection_case,
    "QuantResidualProjection": encoder_cases.quant_residual_projection_case,
    "QuantNormMlp": encoder_cases.quant_norm_mlp_case,
}
WEIGHTS = {"QuantNormProjection": range(1, 6), "QuantResidualProjection": range(2, 5), "QuantNormMlp": range(1, 9)}


def assert_agree(found: Sequence[np.ndarray], expected: Sequence[np.ndarray], what: str) -> None:
    """Rows agree to float32 precision but for the few in which a value was rounded the other way."""
    assert_close(found, expected, ONE_STEP, what)
    error = np.abs(found[0] - expected[0]).max(axis=1, initial=0)
    precise = error <= 2e-5 * max(1.0, float(np.abs(expected[0]).max(initial=0)))
    assert precise.mean() >= 0.7 or len(precise) <= 5, (
        f"{what}: {np.count_nonzero(~precise)} of {len(precise)} rows off"
    )


@pytest.mark.parametrize("name", CASES)
@SETTINGS
@given(SEEDS, SIZES, SIZES, SIZES)
def test_forms_agree(name: str, seed: int, tokens: int, dim: int, out_dim: int) -> None:
    inputs, attributes = CASES[name](np.random.default_rng(seed), tokens, dim, out_dim)
    expected = oracle(name, inputs, attributes)
    assert_agree(torch_form(name, inputs, attributes), expected, f"{name}: PyTorch form")
    assert_agree(run_op(name, inputs, attributes), expected, f"{name}: onnxscript function")


@pytest.mark.parametrize("rows", [np.zeros((3, 8)), np.full((3, 8), 5.0), np.full((3, 8), -5.0), np.eye(8) * 1e-35])
def test_rows_without_a_range(rows: np.ndarray) -> None:
    """All zero, all of one sign, and too small to be told from zero."""
    inputs, attributes = encoder_cases.quant_residual_projection_case(np.random.default_rng(0), len(rows), 8)
    inputs[0] = rows.astype(np.float32)
    expected = oracle("QuantResidualProjection", inputs, attributes)
    assert_close(torch_form("QuantResidualProjection", inputs, attributes), expected, 2e-5, "PyTorch form")
    assert_close(run_op("QuantResidualProjection", inputs, attributes), expected, 2e-5, "onnxscript function")
    for isa, unit in units():
        found = run_session(native("QuantResidualProjection", (inputs, attributes), isa, unit), inputs)
        assert_close(found, expected, 2e-5, f"{isa}, {unit}")


def native(
    name: str, case: Case, isa: str, unit: str, constants: Sequence[int] = (), threads: int = 2
) -> ort.InferenceSession:
    """A session of the native kernel with a unit for 8-bit products."""
    with pytest.MonkeyPatch.context() as patch, forced(isa):
        patch.setenv("INTER2FORMER_INT8", unit)
        return session(op_model(name, *case, constants), "native", threads=threads)


def units() -> list[tuple[str, str]]:
    """Instruction sets and units that this machine has."""
    usable = [(isa, "pairs") for isa in instruction_sets()]
    for unit in ("vnni", "amx"):
        if "avx512" in instruction_sets():
            try:
                native("QuantNormProjection", CASES["QuantNormProjection"](np.random.default_rng(0), 1), "avx512", unit)
            except Exception as error:
                assert "this machine lacks it" in str(error)
                continue
            usable.append(("avx512", unit))
    return usable


@needs_library
@pytest.mark.parametrize(("isa", "unit"), units())
@pytest.mark.parametrize("name", CASES)
@SETTINGS
@given(st.integers(0, 2**32 - 1))
def test_native_is_portable(name: str, isa: str, unit: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, attributes = CASES[name](rng, *(int(size) for size in rng.integers(1, 200, 3)))
    found = run_session(native(name, (inputs, attributes), isa, unit), inputs)
    assert_agree(found, run_op(name, inputs, attributes), f"{name}, {isa}, {unit}")


@needs_library
@pytest.mark.parametrize("name", CASES)
def test_units_threads_and_constants_change_nothing(name: str) -> None:
    """Sums of whole numbers do not depend on how they are taken: for one instruction set, not a bit differs."""
    case = CASES[name](np.random.default_rng(3), 150, 100, 130)
    for isa in instruction_sets():
        (expected,) = run_session(native(name, case, isa, "pairs", threads=1), case[0])
        for unit in [unit for has, unit in units() if has == isa]:
            for threads in (1, 2, 3):
                constants = list(WEIGHTS[name])
                runner = native(name, case, isa, unit, constants, threads)
                np.testing.assert_array_equal(run_session(runner, case[0], constants)[0], expected)


@needs_library
def test_unknown_unit() -> None:
    with pytest.raises(Exception, match="INTER2FORMER_INT8=fast: expected pairs, vnni or amx"):
        native(
            "QuantNormProjection",
            CASES["QuantNormProjection"](np.random.default_rng(0), 1),
            instruction_sets()[-1],
            "fast",
        )
