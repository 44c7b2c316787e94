"""SampleImage: PyTorch form == onnxscript function == oracle."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ops.agreement import assert_forms_agree
from support.ops.families.image import sample_image_case

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 24)
SETTINGS = settings(max_examples=20, deadline=None, derandomize=True)


@SETTINGS
@given(SEEDS, st.tuples(SIZES, SIZES), st.tuples(SIZES, SIZES), st.integers(0, 1))
def test_sample_image(seed: int, source: tuple[int, int], samples: tuple[int, int], reverse: int) -> None:
    case = sample_image_case(np.random.default_rng(seed), source, samples, reverse)
    assert_forms_agree("SampleImage", case, 1e-6)
