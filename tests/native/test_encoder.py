"""The encoder's native kernels against the portable form, every instruction set of this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import encoder_cases
from support.encoder_oracles import assert_edges_agree
from support.native_ops import instruction_sets, native_session, needs_library, run_session
from support.op_forms import Case, assert_close, floats, oracle
from support.ops_harness import run_op

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


def _sample_image(rng: np.random.Generator) -> Case:
    source, samples = ((int(high), int(wide)) for high, wide in rng.integers(1, 70, (2, 2)))
    return encoder_cases.sample_image_case(rng, source, samples, 1)


def _conv3x3(rng: np.random.Generator) -> Case:
    height, width = (int(size) for size in rng.integers(1, 40, 2))
    in_dim, out_dim = (int(dim) for dim in rng.choice([1, 4, 5, 16, 20, 40], 2))
    return encoder_cases.conv3x3_case(rng, height, width, in_dim, out_dim, 2)


def _edge_taps(rng: np.random.Generator) -> Case:
    h, w = (int(size) for size in rng.integers(1, 12, 2))
    return encoder_cases.edge_taps_case(rng, h, w, 4, int(rng.choice([1, 4, 20])), int(rng.choice([1, 3, 4, 16, 20])))


# Per op: random cases, and which inputs are weights.
CASES: dict[str, tuple[Make, tuple[int, ...]]] = {
    "ResidualProjection": (_residual_projection, (2, 3)),
    "NormMlp": (_norm_mlp, tuple(range(1, 7))),
    "WindowAttention": (_window_attention, (1, 2, 3, 4, 5)),
    "SampleImage": (_sample_image, (7, 8)),
    "Conv3x3": (_conv3x3, (1, 2)),
    "EdgeTaps": (_edge_taps, (1, 2, 3)),
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
    inputs, attributes = make(np.random.default_rng(7))
    expected = run_session(native_session(name, inputs, attributes, isa, threads=1), inputs)
    for threads in (1, 2, 4):
        runner = native_session(name, inputs, attributes, isa, constants, threads)
        for found, wanted in zip(run_session(runner, inputs, constants), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def published(rng: np.random.Generator, name: str) -> Case:
    """Cases of the published widths."""
    if name == "ResidualProjection":
        return encoder_cases.residual_projection_case(rng, 300, 768, 768)
    if name == "NormMlp":
        return encoder_cases.norm_mlp_case(rng, 300, 768, 3072)
    if name == "WindowAttention":
        return encoder_cases.window_attention_case(rng, [(20, 33), (16, 16)], 16, True, 12, 64)
    if name == "SampleImage":
        return encoder_cases.sample_image_case(rng, (90, 160), (64, 48), 1)
    if name == "Conv3x3":
        return encoder_cases.conv3x3_case(rng, 36, 30, 64, 256, 2)
    if name == "EdgeTaps":
        return encoder_cases.edge_taps_case(rng, 10, 9, 2, 256, 64)
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


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_of_groups_of_pixels(stride: int, isa: str) -> None:
    """Outputs of fewer channels than a vector has lanes."""
    for width, in_dim, out_dim in ((1, 5, 4), (7, 5, 4), (33, 3, 1), (18, 4, 2), (20, 2, 8)):
        inputs, attributes = encoder_cases.conv3x3_case(np.random.default_rng(0), 9, width, in_dim, out_dim, stride)
        runner = native_session("Conv3x3", inputs, attributes, isa)
        assert_close(run_session(runner, inputs), run_op("Conv3x3", inputs, attributes), TOLERANCE, f"{isa}, {width}")


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 50), (70, 3), (67, 81), (33, 64)])
def test_canny_edges(height: int, width: int, plain: bool, isa: str) -> None:
    """Not a pixel differs but for those whose orientation or neighbourhood lies on a border between two decisions."""
    inputs, attributes = encoder_cases.canny_edges_case(np.random.default_rng(5), height, width, plain)
    runner = native_session("CannyEdges", inputs, attributes, isa)
    assert_edges_agree(run_session(runner, inputs)[0], oracle("CannyEdges", inputs, attributes)[0], plain, isa)
    for threads in (1, 3):
        again = native_session("CannyEdges", inputs, attributes, isa, tuple(range(1, 8)), threads)
        np.testing.assert_array_equal(run_session(again, inputs, tuple(range(1, 8)))[0], run_session(runner, inputs)[0])
