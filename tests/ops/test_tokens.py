"""The ops that move tokens about: PyTorch form == onnxscript function == oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ops.agreement import assert_forms_agree
from support.ops.arrays import grid_of, random_box
from support.ops.families.tokens import crop_case, gather_case, localise_case, scatter_case
from support.ops.sessions import run_op

SEEDS = st.integers(0, 2**32 - 1)
SIDES = st.integers(1, 7)
# How many of the tokens are boundary tokens: none, one, two, all but some, all.
COUNTS = st.sampled_from([0, 1, 2, 3, -1, -2, None])
SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)


def count_of(tokens: int, count: int | None) -> int:
    if count is None:
        return tokens
    return min(count, tokens) if count >= 0 else max(0, tokens + count)


@SETTINGS
@given(SEEDS, st.integers(1, 40), COUNTS)
def test_gather(seed: int, tokens: int, count: int | None) -> None:
    assert_forms_agree("BoundaryGather", gather_case(np.random.default_rng(seed), tokens, count_of(tokens, count)), 0)


@SETTINGS
@given(SEEDS, st.integers(1, 40), COUNTS)
def test_scatter(seed: int, tokens: int, count: int | None) -> None:
    assert_forms_agree("BoundaryScatter", scatter_case(np.random.default_rng(seed), tokens, count_of(tokens, count)), 0)


@SETTINGS
@given(SEEDS, st.integers(1, 40), COUNTS)
def test_scatter_undoes_gather(seed: int, tokens: int, count: int | None) -> None:
    x, boundary, other = gather_case(np.random.default_rng(seed), tokens, count_of(tokens, count))[0]
    parts = run_op("BoundaryGather", [x, boundary, other], {})
    np.testing.assert_array_equal(run_op("BoundaryScatter", [*parts, boundary, other], {})[0], x)


@SETTINGS
@given(SEEDS, SIDES, SIDES, st.sampled_from([1.0, 1e4]))
def test_localise(seed: int, h: int, w: int, scale: float) -> None:
    inputs, attributes = localise_case(np.random.default_rng(seed), h, w)
    inputs[0] *= np.float32(scale)
    assert_forms_agree("Localise", (inputs, attributes))


@SETTINGS
@given(SEEDS, SIDES, SIDES, st.sampled_from([-2.0, 0.0, 1.5, 3.0, np.inf, -np.inf]))
def test_local_box(seed: int, h: int, w: int, threshold: float) -> None:
    # Whole numbers, so that values equal to the threshold occur.
    localisation = np.random.default_rng(seed).integers(-4, 5, (h, w)).astype(np.float32)
    assert_forms_agree("LocalBox", ([localisation, np.array(threshold, np.float32)], {}))


@pytest.mark.parametrize("token", [(0, 0), (2, 4), (1, 2), (2, 0)])
def test_local_box_of_one_token(token: tuple[int, int]) -> None:
    localisation = np.full((3, 5), -2, np.float32)
    localisation[token] = -1.5
    row, column = token
    (box,) = run_op("LocalBox", [localisation, np.array(-2, np.float32)], {})
    assert box.tolist() == [column, row, column + 1, row + 1]


def test_local_box_is_the_grid_when_nothing_exceeds_the_threshold() -> None:
    (box,) = run_op("LocalBox", [np.full((3, 5), -2, np.float32), np.array(-2, np.float32)], {})
    assert box.tolist() == [0, 0, 5, 3]


@SETTINGS
@given(SEEDS, SIDES, SIDES)
def test_crop_tokens(seed: int, h: int, w: int) -> None:
    rng = np.random.default_rng(seed)
    assert_forms_agree("CropTokens", crop_case(rng, h, w, random_box(rng, h, w)), 0)


def test_crop_of_one_token() -> None:
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    (out,) = run_op("CropTokens", [x, grid_of(2, 3), np.array([1, 1, 2, 2], np.int64)], {})
    np.testing.assert_array_equal(out, [[[8, 9]]])
