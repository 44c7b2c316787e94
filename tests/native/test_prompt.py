"""The native PromptEmbed against the portable form, every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ops.arrays import Case
from support.ops.families.prompt import label_map, prompt_weights
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
PUBLISHED = (32, 64, 128, 256)


@pytest.mark.parametrize("isa", instruction_sets())
@SETTINGS
@given(SEEDS, st.integers(1, 7), st.integers(1, 7), st.sampled_from([0, 1, 2, 6]))
def test_prompt_discs(isa: str, seed: int, h: int, w: int, discs: int) -> None:
    """Pixels that are looked up beside pixels that are computed."""
    rng = np.random.default_rng(seed)
    dims = [int(dim) for dim in rng.integers(1, 40, 4)]
    case: Case = ([label_map(rng, h, w, discs, radii=(0, 30)), *prompt_weights(rng, dims)], {})
    assert_native_is_portable("PromptEmbed", case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1), (9, 8)])
def test_prompt_noise(size: tuple[int, int], isa: str) -> None:
    """Everything is computed."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, (16 * size[0], 16 * size[1])).astype(np.uint8)
    assert_native_is_portable("PromptEmbed", ([labels, *prompt_weights(rng, PUBLISHED)], {}), isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_prompt_constants_and_threads_change_nothing(isa: str) -> None:
    """Tables and weights made beforehand, and any number of threads, give the same bits."""
    rng = np.random.default_rng(2)
    case: Case = ([label_map(rng, 12, 20, 5, radii=(0, 30)), *prompt_weights(rng, PUBLISHED)], {})
    assert_same_bits("PromptEmbed", case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("value", [5, 130, 255])
def test_prompt_refuses_what_is_no_label(value: int, isa: str) -> None:
    rng = np.random.default_rng(3)
    labels = np.ones((48, 32), np.uint8)
    labels[20, 31] = value
    with pytest.raises(Exception, match=rf"PromptEmbed: input 'labels' holds {value} at row 20, column 31, expected"):
        run_native("PromptEmbed", ([labels, *prompt_weights(rng)], {}), isa)
