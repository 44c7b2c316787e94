"""The native HybridMoE against the portable form, every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest

from support.ops.families.experts import hybrid_moe_case
from support.ops.native import assert_native_is_portable, instruction_sets, needs_library

pytestmark = needs_library


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("boundary", [0, 300])
def test_published_sizes(boundary: int, isa: str) -> None:
    """64 x 64 tokens of 256 channels, 8 experts."""
    case = hybrid_moe_case(np.random.default_rng(boundary), 4096, boundary, 8, 256, 64)
    assert_native_is_portable("HybridMoE", case, isa)
