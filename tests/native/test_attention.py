"""The native attention against the portable forms, every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest

from support.ops.arrays import floats
from support.ops.comparison import assert_close
from support.ops.families.attention import hybrid_attention_case, prompted_attention_case, window_attention_case
from support.ops.native import (
    TOLERANCE,
    assert_native_is_portable,
    instruction_sets,
    needs_library,
    run_native,
)

pytestmark = needs_library


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("boundary", [0, 300])
def test_hybrid_attention_of_published_sizes(boundary: int, isa: str) -> None:
    """64 x 64 tokens of 256 channels."""
    case = hybrid_attention_case(np.random.default_rng(boundary), 64, 64, boundary, 1, 8, 32, 256)
    assert_native_is_portable("HybridAttention", case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_window_attention_of_published_widths(isa: str) -> None:
    case = window_attention_case(np.random.default_rng(0), [(20, 33), (16, 16)], 16, True, 12, 64)
    assert_native_is_portable("WindowAttention", case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize(
    ("now", "before"), [(1.0, 1.0), (30.0, 1.0), (1.0, 30.0), (1e4, 1.0), (1.0, 1e4), (np.inf, 1.0), (np.nan, 1.0)]
)
def test_exchanged_keys_may_have_any_weight(now: float, before: float, isa: str) -> None:
    """Changed tokens that held most of the attention, that take most of it now, or that are no numbers at all."""
    rng = np.random.default_rng(11)
    inputs, attributes = prompted_attention_case(rng, 9, 11, 99, 5, 2, 6, before=before)
    first, rows = inputs[11], inputs[14]
    inputs[1][rows] = first[rows] * np.float32(now)
    if before > 1:
        inputs[1][rows] = floats(rng, 5, first.shape[1])
    (got,) = run_native("PromptedAttention", (inputs, attributes), isa)
    (want,) = run_native("HybridAttention", (inputs[:11], attributes), isa)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    assert_close([np.nan_to_num(got)], [np.nan_to_num(want)], TOLERANCE, f"{now=} {before=} {isa}")
