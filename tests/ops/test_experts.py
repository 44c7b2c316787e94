"""HybridMoE: PyTorch form == onnxscript function == oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.ops.agreement import assert_forms_agree, oracle, torch_form
from support.ops.arrays import Case
from support.ops.comparison import assert_close
from support.ops.families.experts import hybrid_moe_case
from support.ops.oracles import experts as oracles
from support.ops.sessions import run_op

SEEDS = st.integers(0, 2**32 - 1)
# Tokens and how many of them are boundary tokens.
COUNTS = st.sampled_from([(1, 0), (1, 1), (2, 1), (9, 0), (9, 2), (15, 15), (33, 17), (40, 39)])
EXPERTS = st.sampled_from([1, 4, 8])
SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)
GATE_WEIGHT, GATE_BIAS, EXPERT_BIAS = 22, 23, 24


def clear(case: Case) -> bool:
    """Whether every boundary token's expert leads by more than rounding."""
    inputs, attributes = case
    x, boundary, weight, bias = inputs[:4]
    gate_weight, gate_bias, expert_bias = (array.astype(np.float64) for array in inputs[GATE_WEIGHT:])
    scores = oracles.expert_scores(
        x[boundary].astype(np.float64), weight, bias, gate_weight, gate_bias, expert_bias, attributes["epsilon"]
    )
    if scores.shape[1] == 1:
        return True
    top = np.sort(scores, axis=1)
    return bool((top[:, -1] - top[:, -2] > 1e-5).all())


@SETTINGS
@given(SEEDS, COUNTS, EXPERTS)
def test_random(seed: int, counts: tuple[int, int], experts: int) -> None:
    case = hybrid_moe_case(np.random.default_rng(seed), *counts, experts)
    assume(clear(case))
    assert_forms_agree("HybridMoE", case)


@SETTINGS
@given(SEEDS, COUNTS, EXPERTS, st.sampled_from([1e4, 1e-4]))
def test_magnitudes(seed: int, counts: tuple[int, int], experts: int, scale: float) -> None:
    case = hybrid_moe_case(np.random.default_rng(seed), *counts, experts, scale=scale)
    assume(clear(case))
    assert_forms_agree("HybridMoE", case)


@SETTINGS
@given(SEEDS, COUNTS, st.integers(0, 7))
def test_ties_take_the_first_expert(seed: int, counts: tuple[int, int], first: int) -> None:
    """Scores that do not depend on the token; those from `first` on are equal and the highest."""
    case = hybrid_moe_case(np.random.default_rng(seed), *counts, 8)
    inputs, _ = case
    inputs[GATE_WEIGHT][:] = 0
    inputs[GATE_BIAS][:] = np.where(np.arange(8) < first, -1, 0.5).astype(np.float32)
    inputs[EXPERT_BIAS][:] = 0.25
    assert_forms_agree("HybridMoE", case)


@pytest.mark.parametrize("saturated", [200.0, -200.0])
def test_saturated_gates_are_ties(saturated: float) -> None:
    """Sigmoids of all experts are exactly 1, or exactly 0: the first one is taken."""
    case = hybrid_moe_case(np.random.default_rng(4), 12, 12, 4)
    case[0][GATE_BIAS][:] = np.array([1, 2, 3, 4], np.float32) * np.float32(saturated)
    case[0][EXPERT_BIAS][:] = 0
    expected = oracle("HybridMoE", (flat := first_expert_only(case))[0], flat[1])
    assert_close(run_op("HybridMoE", *case), expected, 2e-5, "onnxscript function")
    assert_close(torch_form("HybridMoE", *case), expected, 2e-5, "PyTorch form")


def first_expert_only(case: Case) -> Case:
    inputs, attributes = case
    stacked = {14, 15, 16, 17, 20, 21, GATE_WEIGHT, GATE_BIAS, EXPERT_BIAS}
    return [array[:1] if position in stacked else array for position, array in enumerate(inputs)], attributes


def test_one_expert_takes_all() -> None:
    """Seven of eight experts without a token."""
    case = hybrid_moe_case(np.random.default_rng(6), 70, 65, 8)
    case[0][EXPERT_BIAS][:] = 0
    case[0][EXPERT_BIAS][5] = 100
    assert_forms_agree("HybridMoE", case)


def test_expert_bias_chooses_but_does_not_mix() -> None:
    case = hybrid_moe_case(np.random.default_rng(7), 10, 10, 1)
    (before,) = run_op("HybridMoE", *case)
    case[0][EXPERT_BIAS][:] = 50
    np.testing.assert_array_equal(run_op("HybridMoE", *case)[0], before)


def test_tokens_that_are_not_boundary_do_not_see_the_experts() -> None:
    case = hybrid_moe_case(np.random.default_rng(8), 9, 4, 4)
    inputs, attributes = case
    (before,) = run_op("HybridMoE", inputs, attributes)
    inputs[20] += 1
    (after,) = run_op("HybridMoE", inputs, attributes)
    inside = np.isin(np.arange(9), inputs[1])
    np.testing.assert_array_equal(after[~inside], before[~inside])
    assert (np.abs(after[inside] - before[inside]).max(1) > 1e-3).all()
