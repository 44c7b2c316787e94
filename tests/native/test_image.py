"""The native SampleImage against the portable form, every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest

from support.ops.families.image import sample_image_case
from support.ops.native import assert_native_is_portable, instruction_sets, needs_library

pytestmark = needs_library


@pytest.mark.parametrize("isa", instruction_sets())
def test_larger_images(isa: str) -> None:
    case = sample_image_case(np.random.default_rng(0), (90, 160), (64, 48), 1)
    assert_native_is_portable("SampleImage", case, isa)
