"""PromptEmbed and PromptProjection: PyTorch form == onnxscript function == oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ops.agreement import assert_forms_agree
from support.ops.arrays import floats
from support.ops.families.prompt import label_map, prompt_projection_case, prompt_weights
from support.ops.sessions import run_op

SEEDS = st.integers(0, 2**32 - 1)
SIDES = st.integers(1, 6)
SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)


@SETTINGS
@given(SEEDS, SIDES, SIDES, st.sampled_from([0, 1, 2, 5]))
def test_discs(seed: int, h: int, w: int, discs: int) -> None:
    """Few mixed tokens: they are computed one by one, the others looked up."""
    rng = np.random.default_rng(seed)
    assert_forms_agree("PromptEmbed", ([label_map(rng, h, w, discs, radii=(1, 20)), *prompt_weights(rng)], {}))


@SETTINGS
@given(SEEDS, SIDES, SIDES)
def test_noise(seed: int, h: int, w: int) -> None:
    """All tokens are mixed: the convolutions run over the whole map."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, (16 * h, 16 * w)).astype(np.uint8)
    assert_forms_agree("PromptEmbed", ([labels, *prompt_weights(rng)], {}))


@pytest.mark.parametrize("pixel", [(0, 0), (0, 79), (79, 0), (79, 79), (15, 15), (16, 16), (32, 47), (47, 32), (0, 40)])
def test_one_pixel(pixel: tuple[int, int]) -> None:
    """One pixel of another label, on and beside the tokens' borders."""
    rng = np.random.default_rng(3)
    labels = np.ones((80, 80), np.uint8)
    labels[pixel] = 4
    assert_forms_agree("PromptEmbed", ([labels, *prompt_weights(rng)], {}))


def test_large_magnitudes() -> None:
    rng = np.random.default_rng(4)
    weights = prompt_weights(rng)
    weights[0] *= np.float32(1e4)
    assert_forms_agree("PromptEmbed", ([label_map(rng, 4, 5, 3, radii=(1, 20)), *weights], {}))


def test_a_pixel_changes_only_tokens_that_see_it() -> None:
    rng = np.random.default_rng(5)
    weights = prompt_weights(rng)
    labels = np.full((80, 80), 2, np.uint8)
    (before,) = run_op("PromptEmbed", [labels, *weights], {})
    labels[33, 47] = 0
    (after,) = run_op("PromptEmbed", [labels, *weights], {})
    # Row 33 is seen by the token rows 2 (32 .. 47) and 3 (33 .. 63); column 47 by the token columns 2 and 3.
    changed = {tuple(token) for token in np.argwhere(np.abs(after - before).max(2) > 1e-6).tolist()}
    assert changed <= {(2, 2), (2, 3), (3, 2), (3, 3)}
    assert (2, 2) in changed


@SETTINGS
@given(SEEDS, st.integers(1, 7), st.integers(1, 7), st.sampled_from([0.0, 0.3, 1.0]))
def test_prompt_projection(seed: int, h: int, w: int, changed: float) -> None:
    case = prompt_projection_case(np.random.default_rng(seed), h, w, changed=changed)
    assert_forms_agree("PromptProjection", case)


def test_prompt_projection_covers_the_grid() -> None:
    """Without a token outside the region the background is not used."""
    rng = np.random.default_rng(0)
    inputs, attributes = prompt_projection_case(rng, 3, 4, 2)
    inputs[1], inputs[2] = floats(rng, 3, 4, 2), np.zeros(2, np.int64)
    inputs[3] = np.full(2, np.nan, np.float32)
    x, _ = run_op("PromptProjection", inputs, attributes)
    np.testing.assert_array_equal(x, (inputs[0] + inputs[1]).reshape(12, 2))
