"""Native kernels against the portable form of the same op, every instruction set of this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import op_forms
from support.native_ops import instruction_sets, native_session, needs_library, run_session
from support.op_forms import Case, assert_close
from support.ops_harness import run_op

pytestmark = needs_library

# Relative: to the largest value of the output, or to 1.
TOLERANCE = 1e-4
SETTINGS = settings(max_examples=15, deadline=None, derandomize=True)
Make = Callable[[np.random.Generator], Case]


def _some(rng: np.random.Generator, total: int) -> int:
    """How many of `total` tokens: none, all or a part."""
    return int(rng.choice([0, total, rng.integers(0, total + 1)]))


def _grid(rng: np.random.Generator) -> tuple[int, int, int]:
    h, w = (int(side) for side in rng.integers(1, 24, 2))
    return h, w, _some(rng, h * w)


def _gather(rng: np.random.Generator) -> Case:
    tokens = int(rng.integers(1, 600))
    return op_forms.gather_case(rng, tokens, _some(rng, tokens), int(rng.integers(1, 40)))


def _scatter(rng: np.random.Generator) -> Case:
    tokens = int(rng.integers(1, 600))
    return op_forms.scatter_case(rng, tokens, _some(rng, tokens), int(rng.integers(1, 40)))


def _boundary_attention(rng: np.random.Generator) -> Case:
    heads, head = int(rng.integers(1, 4)), 4 * int(rng.integers(1, 10))
    return op_forms.boundary_attention_case(rng, *_grid(rng), heads, head, float(rng.choice([0.1, 1.0, 3.0])))


def _bsq_attention(rng: np.random.Generator) -> Case:
    heads, head, bits = int(rng.integers(1, 4)), int(rng.integers(1, 40)), int(rng.integers(1, 13))
    tokens, others = int(rng.integers(1, 1500)), int(rng.integers(0, 100))
    return op_forms.bsq_attention_case(rng, tokens, others, heads, bits, head, float(rng.choice([0.1, 1.0, 3.0])))


def _norm_projection(rng: np.random.Generator) -> Case:
    return op_forms.norm_projection_case(rng, *(int(size) for size in rng.integers(1, 130, 3)))


def _hybrid_attention(rng: np.random.Generator) -> Case:
    heads, head, bits = int(rng.integers(1, 4)), 4 * int(rng.integers(1, 10)), int(rng.integers(1, 10))
    return op_forms.hybrid_attention_case(rng, *_grid(rng), heads, bits, head, int(rng.integers(1, 80)))


def _hybrid_moe(rng: np.random.Generator) -> Case:
    tokens, experts = int(rng.integers(1, 300)), int(rng.integers(1, 9))
    dim, hidden = (int(size) for size in rng.integers(2, 80, 2))
    return op_forms.hybrid_moe_case(rng, tokens, _some(rng, tokens), experts, dim, hidden)


def _first_attention(rng: np.random.Generator) -> Case:
    heads, head = int(rng.integers(1, 4)), 4 * int(rng.integers(1, 10))
    return op_forms.first_attention_case(rng, *_grid(rng)[:2], heads, head, float(rng.choice([0.1, 1.0, 3.0])))


def _prompted_attention(rng: np.random.Generator) -> Case:
    """Often all tokens on the boundary route and few of them changed, which is when the kernel corrects."""
    heads, head, bits = int(rng.integers(1, 4)), 4 * int(rng.integers(1, 10)), int(rng.integers(1, 10))
    h, w, boundary = _grid(rng)
    changed = int(rng.choice([0, 1, 3, h * w]))
    before = float(rng.choice([0.1, 1.0, 3.0]))
    case = (h, w, boundary, min(changed, h * w), heads, bits, head, int(rng.integers(1, 80)), before)
    return op_forms.prompted_attention_case(rng, *case)


def _prompt_projection(rng: np.random.Generator) -> Case:
    changed = float(rng.choice([0.0, 0.1, 1.0]))
    return op_forms.prompt_projection_case(rng, *(int(size) for size in rng.integers(1, 40, 4)), changed)


# Per op: random cases, and which inputs are weights.
CASES: dict[str, tuple[Make, tuple[int, ...]]] = {
    "BoundaryGather": (_gather, ()),
    "BoundaryScatter": (_scatter, ()),
    "BoundaryAttention": (_boundary_attention, (5,)),
    "BSQAttention": (_bsq_attention, (3, 4, 5)),
    "NormProjection": (_norm_projection, (1, 2, 3, 4)),
    "HybridAttention": (_hybrid_attention, tuple(range(5, 11))),
    "HybridMoE": (_hybrid_moe, tuple(range(2, 25))),
    "FirstAttention": (_first_attention, (2,)),
    "PromptedAttention": (_prompted_attention, tuple(range(5, 11))),
    "PromptProjection": (_prompt_projection, tuple(range(3, 8))),
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
    """Weights packed beforehand, and one, two and three threads, give the same bits."""
    make, constants = CASES[name]
    inputs, attributes = make(np.random.default_rng(7))
    expected = run_session(native_session(name, inputs, attributes, isa, threads=1), inputs)
    for threads in (1, 2, 3):
        runner = native_session(name, inputs, attributes, isa, constants, threads)
        for got, want in zip(run_session(runner, inputs, constants), expected, strict=True):
            np.testing.assert_array_equal(got, want)


def published(rng: np.random.Generator, name: str, boundary: int) -> Case:
    """Cases of the published sizes: 64 x 64 tokens, 256 channels."""
    if name == "HybridAttention":
        return op_forms.hybrid_attention_case(rng, 64, 64, boundary, 1, 8, 32, 256)
    if name == "HybridMoE":
        return op_forms.hybrid_moe_case(rng, 4096, boundary, 8, 256, 64)
    return op_forms.norm_projection_case(rng, 4096, 256, 96)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize(
    ("name", "boundary"),
    [("NormProjection", 0), ("HybridAttention", 0), ("HybridAttention", 300), ("HybridMoE", 0), ("HybridMoE", 300)],
)
def test_published_sizes(name: str, boundary: int, isa: str) -> None:
    """The sizes that the published model runs with."""
    inputs, attributes = published(np.random.default_rng(boundary), name, boundary)
    runner = native_session(name, inputs, attributes, isa)
    assert_close(run_session(runner, inputs), run_op(name, inputs, attributes), TOLERANCE, f"{name}, {isa}")


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize(
    ("now", "before"), [(1.0, 1.0), (30.0, 1.0), (1.0, 30.0), (1e4, 1.0), (1.0, 1e4), (np.inf, 1.0), (np.nan, 1.0)]
)
def test_exchanged_keys_may_have_any_weight(now: float, before: float, isa: str) -> None:
    """Changed tokens that held most of the attention, that take most of it now, or that are no numbers at all."""
    rng = np.random.default_rng(11)
    inputs, attributes = op_forms.prompted_attention_case(rng, 9, 11, 99, 5, 2, 6, before=before)
    first, rows = inputs[11], inputs[14]
    inputs[1][rows] = first[rows] * np.float32(now)
    if before > 1:
        inputs[1][rows] = op_forms.floats(rng, 5, first.shape[1])
    runner = native_session("PromptedAttention", inputs, attributes, isa)
    plain = native_session("HybridAttention", inputs[:11], attributes, isa)
    (got,), (want,) = run_session(runner, inputs), run_session(plain, inputs[:11])
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    assert_close([np.nan_to_num(got)], [np.nan_to_num(want)], TOLERANCE, f"{now=} {before=} {isa}")


@pytest.mark.parametrize("isa", instruction_sets())
def test_a_refusal_names_op_and_input(isa: str) -> None:
    """onnxruntime hands on what the kernel says."""
    inputs, attributes = op_forms.gather_case(np.random.default_rng(0), 5, 2)
    runner = native_session("BoundaryGather", inputs, attributes, isa)
    inputs[1] = np.array([1, 5], np.int64)
    with pytest.raises(Exception, match=r"inter2former::BoundaryGather: input 'boundary' holds 5 at position 1"):
        run_session(runner, inputs)
