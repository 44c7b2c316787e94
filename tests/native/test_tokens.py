"""The native ops that move tokens about against the portable forms, every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ops.arrays import floats, random_box
from support.ops.families.tokens import crop_case, gather_case, localise_case
from support.ops.native import (
    assert_native_is_portable,
    assert_same_bits,
    instruction_sets,
    needs_library,
    run_native,
)

pytestmark = needs_library

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("isa", instruction_sets())
def test_a_refusal_names_op_and_input(isa: str) -> None:
    """onnxruntime hands on what the kernel says."""
    inputs, attributes = gather_case(np.random.default_rng(0), 5, 2)
    inputs[1] = np.array([1, 5], np.int64)
    with pytest.raises(Exception, match=r"inter2former::BoundaryGather: input 'boundary' holds 5 at position 1"):
        run_native("BoundaryGather", (inputs, attributes), isa)


@pytest.mark.parametrize("isa", instruction_sets())
@SETTINGS
@given(SEEDS, st.integers(1, 20), st.integers(1, 20))
def test_localise(isa: str, seed: int, h: int, w: int) -> None:
    rng = np.random.default_rng(seed)
    dims = [*(int(dim) for dim in rng.integers(1, 80, 4)), 1]
    assert_native_is_portable("Localise", localise_case(rng, h, w, dims), isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_localise_constants_and_threads_change_nothing(isa: str) -> None:
    case = localise_case(np.random.default_rng(4), 30, 31, (256, 64, 16, 4, 1))
    assert_same_bits("Localise", case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
@SETTINGS
@given(SEEDS, st.integers(1, 9), st.integers(1, 30), st.sampled_from([-np.inf, -1.5, 0.0, 1.5, np.inf, np.nan]))
def test_local_box(isa: str, seed: int, h: int, w: int, threshold: float) -> None:
    """Values that are not numbers, and values equal to the threshold, are outside."""
    rng = np.random.default_rng(seed)
    values = floats(rng, h, w)
    values[rng.random((h, w)) < 0.2] = rng.choice([np.nan, threshold])
    assert_native_is_portable("LocalBox", ([values, np.array(threshold, np.float32)], {}), isa)


@pytest.mark.parametrize("isa", instruction_sets())
@SETTINGS
@given(SEEDS, st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 5, 64, 3000]))
def test_crop_tokens(isa: str, seed: int, h: int, w: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    assert_native_is_portable("CropTokens", crop_case(rng, h, w, random_box(rng, h, w), dim), isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("box", [(-1, 0, 2, 2), (0, 0, 5, 2), (2, 0, 2, 2), (0, 3, 1, 1), (0, 0, 1, 4)])
def test_crop_refuses_boxes_outside(box: tuple[int, int, int, int], isa: str) -> None:
    case = crop_case(np.random.default_rng(5), 3, 4, box)
    with pytest.raises(Exception, match=r"CropTokens: input 'box' is \(.*within 4 columns and 3 rows of tokens"):
        run_native("CropTokens", case, isa)
