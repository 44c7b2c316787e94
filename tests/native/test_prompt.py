"""The native PromptEmbed, Localise, LocalBox and CropTokens against the portable form, every instruction set here."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.native_ops import assert_same_bits, instruction_sets, native_session, needs_library, run_session
from support.op_forms import (
    Inputs,
    assert_close,
    crop_case,
    floats,
    label_map,
    localise_case,
    prompt_weights,
    random_box,
)
from support.ops_harness import run_op

pytestmark = needs_library

# Relative: to the largest value of the output, or to 1.
TOLERANCE = 1e-4
SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
PUBLISHED = (32, 64, 128, 256)


@cache
def open_session(name: str, isa: str) -> ort.InferenceSession:
    """One session for all shapes: no input is a constant, every dimension is open."""
    rng = np.random.default_rng(0)
    examples: dict[str, Inputs] = {
        "PromptEmbed": [np.zeros((16, 16), np.uint8), *prompt_weights(rng)],
        "Localise": localise_case(rng, 1, 1)[0],
        "LocalBox": [floats(rng, 1, 1), np.float32(0).reshape(())],
        "CropTokens": crop_case(rng, 1, 1, (0, 0, 1, 1))[0],
    }
    return native_session(name, examples[name], {}, isa)


def check(name: str, inputs: Inputs, isa: str) -> None:
    assert_close(run_session(open_session(name, isa), inputs), run_op(name, inputs, {}), TOLERANCE, f"{name}, {isa}")


@pytest.mark.parametrize("isa", instruction_sets())
@SETTINGS
@given(SEEDS, st.integers(1, 7), st.integers(1, 7), st.sampled_from([0, 1, 2, 6]))
def test_prompt_discs(isa: str, seed: int, h: int, w: int, discs: int) -> None:
    """Pixels that are looked up beside pixels that are computed."""
    rng = np.random.default_rng(seed)
    dims = [int(dim) for dim in rng.integers(1, 40, 4)]
    check("PromptEmbed", [label_map(rng, h, w, discs, radii=(0, 30)), *prompt_weights(rng, dims)], isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1), (9, 8)])
def test_prompt_noise(size: tuple[int, int], isa: str) -> None:
    """Everything is computed."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, (16 * size[0], 16 * size[1])).astype(np.uint8)
    check("PromptEmbed", [labels, *prompt_weights(rng, PUBLISHED)], isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_prompt_constants_and_threads_change_nothing(isa: str) -> None:
    """Tables and weights made beforehand, and one, two and four threads, give the same bits."""
    rng = np.random.default_rng(2)
    inputs: Inputs = [label_map(rng, 12, 20, 5, radii=(0, 30)), *prompt_weights(rng, PUBLISHED)]
    assert_same_bits("PromptEmbed", inputs, {}, isa, weights=tuple(range(1, 10)))


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("value", [5, 130, 255])
def test_prompt_refuses_what_is_no_label(value: int, isa: str) -> None:
    rng = np.random.default_rng(3)
    labels = np.ones((48, 32), np.uint8)
    labels[20, 31] = value
    with pytest.raises(Exception, match=rf"PromptEmbed: input 'labels' holds {value} at row 20, column 31, expected"):
        run_session(open_session("PromptEmbed", isa), [labels, *prompt_weights(rng)])


@pytest.mark.parametrize("isa", instruction_sets())
@SETTINGS
@given(SEEDS, st.integers(1, 20), st.integers(1, 20))
def test_localise(isa: str, seed: int, h: int, w: int) -> None:
    rng = np.random.default_rng(seed)
    dims = [*(int(dim) for dim in rng.integers(1, 80, 4)), 1]
    check("Localise", localise_case(rng, h, w, dims)[0], isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_localise_constants_and_threads_change_nothing(isa: str) -> None:
    inputs, _ = localise_case(np.random.default_rng(4), 30, 31, (256, 64, 16, 4, 1))
    assert_same_bits("Localise", inputs, {}, isa, weights=tuple(range(2, 10)))


@pytest.mark.parametrize("isa", instruction_sets())
@SETTINGS
@given(SEEDS, st.integers(1, 9), st.integers(1, 30), st.sampled_from([-np.inf, -1.5, 0.0, 1.5, np.inf, np.nan]))
def test_local_box(isa: str, seed: int, h: int, w: int, threshold: float) -> None:
    """Values that are not numbers, and values equal to the threshold, are outside."""
    rng = np.random.default_rng(seed)
    values = floats(rng, h, w)
    values[rng.random((h, w)) < 0.2] = rng.choice([np.nan, threshold])
    check("LocalBox", [values, np.array(threshold, np.float32)], isa)


@pytest.mark.parametrize("isa", instruction_sets())
@SETTINGS
@given(SEEDS, st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 5, 64, 3000]))
def test_crop_tokens(isa: str, seed: int, h: int, w: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    check("CropTokens", crop_case(rng, h, w, random_box(rng, h, w), dim)[0], isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("box", [(-1, 0, 2, 2), (0, 0, 5, 2), (2, 0, 2, 2), (0, 3, 1, 1), (0, 0, 1, 4)])
def test_crop_refuses_boxes_outside(box: tuple[int, int, int, int], isa: str) -> None:
    inputs, _ = crop_case(np.random.default_rng(5), 3, 4, box)
    with pytest.raises(Exception, match=r"CropTokens: input 'box' is \(.*within 4 columns and 3 rows of tokens"):
        run_session(open_session("CropTokens", isa), inputs)
