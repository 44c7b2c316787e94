"""The native LocalUpsample2x against the portable form, every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ops.agreement import oracle
from support.ops.arrays import Case, random_box
from support.ops.comparison import assert_close
from support.ops.families.upsampling import local_upsample_2x_case
from support.ops.native import (
    TOLERANCE,
    assert_native_is_portable,
    assert_same_bits,
    instruction_sets,
    native_session,
    needs_library,
    run_native,
    run_session,
)
from support.ops.registry import OPS
from support.ops.sessions import run_op

pytestmark = needs_library

NAME = "LocalUpsample2x"
WEIGHTS = OPS[NAME].weights
# In and out channels: more than a vector of any instruction set, a part of one, whole groups of four, one.
CHANNELS = [(8, 64), (5, 48), (3, 32), (7, 20), (64, 16), (4, 12), (16, 8), (6, 7), (16, 4), (3, 3), (8, 2), (4, 1)]
# Channels of the published model's levels.
PUBLISHED = (256, 64, 16, 4, 1)
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.mark.parametrize("isa", instruction_sets())
@SETTINGS
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(CHANNELS),
    st.integers(0, 3),
    st.sampled_from([1.0, 1e4, 1e-3]),
    st.booleans(),
)
def test_boxes(isa: str, seed: int, channels: tuple[int, int], level: int, scale: float, activation: bool) -> None:
    """Boxes that touch none, some or all borders of the grid."""
    rng = np.random.default_rng(seed)
    h, w = (int(side) for side in rng.integers(1, 6, 2))
    case = local_upsample_2x_case(rng, level, h, w, random_box(rng, h, w), *channels, int(activation), scale)
    assert_native_is_portable(NAME, case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("channels", [(3, 32), (5, 16), (6, 7), (4, 4), (4, 1)])
@pytest.mark.parametrize("box", [(0, 0, 1, 1), (2, 3, 3, 4), (1, 1, 2, 2), (0, 2, 3, 3), (1, 0, 2, 4)])
def test_one_token_one_row_one_column(box: tuple[int, int, int, int], channels: tuple[int, int], isa: str) -> None:
    for level in range(4):
        case = local_upsample_2x_case(np.random.default_rng(level), level, 4, 3, box, *channels, 1)
        assert_native_is_portable(NAME, case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("channels", [(5, 16), (4, 4), (4, 1)])
@pytest.mark.parametrize(("scale", "mean"), [(0, 0), (0, 3.1), (0, 1e4), (1e-2, 1e4), (1e4, -1e4)])
def test_mean_far_from_zero(scale: float, mean: float, channels: tuple[int, int], isa: str) -> None:
    """Against the oracle, which is exact: without variance what is normalised is 0."""
    inputs, attributes = local_upsample_2x_case(np.random.default_rng(1), 1, 4, 5, (1, 0, 5, 3), *channels, 0)
    inputs[0] = inputs[0] * np.float32(scale) + np.float32(mean)
    expected = oracle(NAME, inputs, attributes)
    assert_close(run_native(NAME, (inputs, attributes), isa), expected, TOLERANCE, f"{scale}, {mean}")


def published(rng: np.random.Generator, level: int, tokens: int) -> Case:
    """A level of the published model, for a box of tokens x tokens in the middle of the image."""
    margin = 2
    box = (margin, margin, margin + tokens, margin + tokens)
    side = tokens + 2 * margin
    return local_upsample_2x_case(rng, level, side, side, box, PUBLISHED[level], PUBLISHED[level + 1], int(level < 3))


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("level", range(4))
def test_published_sizes(level: int, isa: str) -> None:
    inputs, attributes = published(np.random.default_rng(level), level, 21)
    runner = native_session(NAME, inputs, attributes, isa, WEIGHTS)
    expected = run_op(NAME, inputs, attributes)
    assert_close(run_session(runner, inputs, WEIGHTS), expected, TOLERANCE, f"level {level}, {isa}")


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("level", range(4))
def test_constants_and_threads_change_nothing(level: int, isa: str) -> None:
    """Weights packed beforehand, and any number of threads, give the same bits."""
    assert_same_bits(NAME, published(np.random.default_rng(level), level, 9), isa)
