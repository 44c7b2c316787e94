"""Native kernels against the portable form of the same op, at random sizes: every op that draws such cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ops.native import assert_native_is_portable, assert_same_bits, instruction_sets, needs_library
from support.ops.registry import OPS

pytestmark = needs_library

DRAWN = {name: op.drawn for name, op in OPS.items() if op.drawn is not None}
SETTINGS = settings(max_examples=15, deadline=None, derandomize=True)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("name", DRAWN)
@SETTINGS
@given(st.integers(0, 2**32 - 1))
def test_native_is_portable(name: str, isa: str, seed: int) -> None:
    """Random shapes."""
    assert_native_is_portable(name, DRAWN[name](np.random.default_rng(seed)), isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("name", DRAWN)
def test_constants_and_threads_change_nothing(name: str, isa: str) -> None:
    """Weights packed beforehand, and any number of threads, give the same bits."""
    assert_same_bits(name, DRAWN[name](np.random.default_rng(7)), isa)
