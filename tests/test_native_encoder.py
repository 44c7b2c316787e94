"""The encoder's native kernels against the portable form, every instruction set of this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import encoder_cases
from native_ops import assert_same_bits, instruction_sets, native_session, needs_library, run_session
from op_forms import Case, assert_close, floats
from ops_harness import run_op

pytestmark = needs_library

# Relative: to the largest value of the output, or to 1.
TOLERANCE = 1e-4
SETTINGS = settings(max_examples=15, deadline=None, derandomize=True)
Make = Callable[[np.random.Generator], Case]


def _residual_projection(rng: np.random.Generator) -> Case:
    return encoder_cases.residual_projection_case(rng, *(int(size) for size in rng.integers(1, 130, 3)))


def _norm_mlp(rng: np.random.Generator) -> Case:
    tokens, dim = (int(size) for size in rng.integers(1, 150, 2))
    return encoder_cases.norm_mlp_case(rng, tokens, dim, int(rng.choice([1, 31, 512, 513, 700])))


def _window_attention(rng: np.random.Generator) -> Case:
    heads, head, window = int(rng.integers(1, 4)), 4 * int(rng.integers(1, 10)), int(rng.integers(2, 7))
    grids = [(int(rng.integers(1, 20)), int(rng.integers(1, 20))), (window, window)]
    scale = float(rng.choice([0.1, 1.0, 3.0]))
    if rng.integers(2):
        return encoder_cases.window_attention_case(rng, grids, window, bool(rng.integers(2)), heads, head, scale)
    tokens, windows = int(rng.integers(0, 30)), int(rng.integers(1, 5))
    plan = encoder_cases.random_windows(rng, tokens, windows, int(rng.integers(30, 70)), head)
    width = 3 * heads * head
    return [floats(rng, tokens, width, scale=scale), floats(rng, width), *plan], {"num_heads": heads}


def _residual_conv_block(rng: np.random.Generator) -> Case:
    height, width = (int(size) for size in rng.integers(1, 40, 2))
    return encoder_cases.residual_conv_block_case(rng, height, width, int(rng.choice([1, 4, 6, 16, 20, 32, 64])))


# Per op: random cases, and which inputs are weights.
CASES: dict[str, tuple[Make, tuple[int, ...]]] = {
    "ResidualProjection": (_residual_projection, (2, 3)),
    "NormMlp": (_norm_mlp, tuple(range(1, 7))),
    "WindowAttention": (_window_attention, (1, 2, 3, 4, 5)),
    "ResidualConvBlock": (_residual_conv_block, tuple(range(1, 9))),
}


@cache
def _open_session(name: str, attributes: tuple[tuple[str, int | float], ...], isa: str) -> ort.InferenceSession:
    """One session for all shapes: no input is a constant, every dimension is open."""
    inputs, _ = CASES[name][0](np.random.default_rng(0))
    return native_session(name, inputs, dict(attributes), isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("name", CASES)
@SETTINGS
@given(st.integers(0, 2**32 - 1))
def test_native_is_portable(name: str, isa: str, seed: int) -> None:
    """Random shapes."""
    inputs, attributes = CASES[name][0](np.random.default_rng(seed))
    runner = _open_session(name, tuple(sorted(attributes.items())), isa)
    assert_close(run_session(runner, inputs), run_op(name, inputs, attributes), TOLERANCE, f"{name}, {isa}")


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("name", CASES)
def test_constants_and_threads_change_nothing(name: str, isa: str) -> None:
    make, constants = CASES[name]
    assert_same_bits(name, *make(np.random.default_rng(7)), isa, constants)


def published(rng: np.random.Generator, name: str) -> Case:
    """Cases of the published widths."""
    if name == "ResidualProjection":
        return encoder_cases.residual_projection_case(rng, 300, 768, 768)
    if name == "NormMlp":
        return encoder_cases.norm_mlp_case(rng, 300, 768, 3072)
    if name == "WindowAttention":
        return encoder_cases.window_attention_case(rng, [(20, 33), (16, 16)], 16, True, 12, 64)
    return encoder_cases.residual_conv_block_case(rng, 34, 30, 256)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("name", CASES)
def test_published_sizes(name: str, isa: str) -> None:
    """The widths that the published model runs with."""
    inputs, attributes = published(np.random.default_rng(0), name)
    runner = native_session(name, inputs, attributes, isa)
    assert_close(run_session(runner, inputs), run_op(name, inputs, attributes), TOLERANCE, f"{name}, {isa}")


@pytest.mark.parametrize("isa", instruction_sets())
def test_gelu_everywhere(isa: str) -> None:
    """The whole range, to a unit or two in the last place of its largest values."""
    values = np.linspace(-8, 8, 2000, dtype=np.float32)
    inputs, attributes = encoder_cases.norm_mlp_case(np.random.default_rng(0), 1, 2000, 2000)
    inputs[0][:], inputs[3][:], inputs[4][:], inputs[6][:] = 0, 0, values, 0
    inputs[5][:] = np.eye(2000, dtype=np.float32)
    (found,) = run_session(native_session("NormMlp", inputs, attributes, isa), inputs)
    (expected,) = run_op("NormMlp", inputs, attributes)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
