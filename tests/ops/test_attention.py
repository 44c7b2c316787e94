"""The attention ops: PyTorch form == onnxscript function == oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ops.agreement import assert_forms_agree, torch_form
from support.ops.arrays import Case, floats
from support.ops.families.attention import (
    boundary_attention_case,
    bsq_attention_case,
    first_attention_case,
    hybrid_attention_case,
    prompted_attention_case,
    random_windows,
    window_attention_case,
)
from support.ops.oracles import attention as oracles
from support.ops.sessions import run_op

SEEDS = st.integers(0, 2**32 - 1)
HEADS = st.sampled_from([1, 2])
BITS = st.sampled_from([6, 8])
# Rows, columns and queries: no query, one, two, some, all; a grid of one token, of one row, of one column.
GRIDS = st.sampled_from(
    [(1, 1, 0), (1, 1, 1), (1, 7, 2), (5, 1, 5), (3, 4, 0), (3, 4, 1), (4, 3, 2), (5, 5, 7), (3, 5, 15), (6, 4, 23)]
)
# Grids of one or two scales: one token, a line, less than a window, whole windows, windows and a rest.
WINDOWED = st.sampled_from(
    [[(1, 1)], [(1, 9)], [(5, 2)], [(4, 4)], [(8, 12), (4, 4)], [(7, 10), (4, 4)], [(3, 13), (5, 5)]]
)
SETTINGS = settings(max_examples=20, deadline=None, derandomize=True)


def exact(case: Case) -> list[np.ndarray]:
    return [array.astype(np.float64) if array.dtype == np.float32 else array for array in case[0]]


@SETTINGS
@given(SEEDS, GRIDS, HEADS)
def test_boundary_attention(seed: int, grid: tuple[int, int, int], heads: int) -> None:
    assert_forms_agree("BoundaryAttention", boundary_attention_case(np.random.default_rng(seed), *grid, heads))


@SETTINGS
@given(SEEDS, GRIDS, HEADS)
def test_boundary_attention_of_large_values(seed: int, grid: tuple[int, int, int], heads: int) -> None:
    inputs, attributes = boundary_attention_case(np.random.default_rng(seed), *grid, heads)
    inputs[2] *= np.float32(1e4)
    assert_forms_agree("BoundaryAttention", (inputs, attributes))


@SETTINGS
@given(SEEDS, GRIDS, HEADS)
def test_boundary_attention_of_large_scores(seed: int, grid: tuple[int, int, int], heads: int) -> None:
    """Scores of 1e8 are rounded by several units: only queries with a clear winner have one right answer, its value."""
    case = boundary_attention_case(np.random.default_rng(seed), *grid, heads, scale=1e4)
    q, k, v, boundary, sizes, freqs = exact(case)
    scores = oracles.boundary_scores(q, k, boundary, sizes, freqs, heads)
    check_decided(scores, v, run_op("BoundaryAttention", *case)[0], heads)
    check_decided(scores, v, torch_form("BoundaryAttention", *case)[0], heads)


def check_decided(scores: np.ndarray, v: np.ndarray, out: np.ndarray, heads: int) -> None:
    """Where one key's score is far above all others, the output is its value; everywhere it is a mean of values."""
    assert np.isfinite(out).all()
    assert (out >= v.min(0, initial=np.inf) - 1e-4).all()
    assert (out <= v.max(0, initial=-np.inf) + 1e-4).all()
    head = v.shape[1] // heads
    error = 1e-5 * np.abs(scores).max(initial=0) + 50
    for n in range(heads):
        part = slice(n * head, (n + 1) * head)
        for row in range(len(out)):
            winner = scores[n, row].argmax()
            if (np.delete(scores[n, row], winner) < scores[n, row, winner] - error).all():
                np.testing.assert_allclose(out[row, part], v[winner, part], atol=1e-5)


def test_boundary_attention_of_equal_keys_is_the_mean() -> None:
    """At equal scores every key counts the same: zero queries, with and without several chunks of them."""
    for rows, columns in ((3, 5), (30, 35)):
        tokens = rows * columns
        inputs, attributes = boundary_attention_case(np.random.default_rng(2), rows, columns, tokens, 2)
        inputs[0][:] = 0
        (out,) = run_op("BoundaryAttention", inputs, attributes)
        np.testing.assert_allclose(out, np.broadcast_to(inputs[2].mean(0), (tokens, 16)), atol=1e-6)


@pytest.mark.parametrize("queries", [511, 512, 513, 1025, 1050])
def test_boundary_attention_in_chunks(queries: int) -> None:
    """Every number of queries around a multiple of the chunk gives the rows that a few at a time give."""
    case = boundary_attention_case(np.random.default_rng(3), 30, 35, queries, 2)
    (whole,) = run_op("BoundaryAttention", *case)
    np.testing.assert_allclose(whole, torch_form("BoundaryAttention", *case)[0], atol=2e-5)
    inputs, attributes = case
    for start in (0, 300, queries - 20):
        part = slice(start, start + 20)
        (few,) = run_op("BoundaryAttention", [inputs[0][part], *inputs[1:3], inputs[3][part], *inputs[4:]], attributes)
        np.testing.assert_allclose(whole[part], few, atol=1e-6)


@SETTINGS
@given(SEEDS, st.sampled_from([(1, 0), (1, 1), (2, 1), (9, 2), (20, 20), (33, 17)]), HEADS, BITS)
def test_bsq_attention(seed: int, counts: tuple[int, int], heads: int, bits: int) -> None:
    assert_forms_agree("BSQAttention", bsq_attention_case(np.random.default_rng(seed), *counts, heads, bits))


@SETTINGS
@given(SEEDS, st.integers(1, 12))
def test_bsq_attention_with_other_code_sizes(seed: int, bits: int) -> None:
    assert_forms_agree("BSQAttention", bsq_attention_case(np.random.default_rng(seed), 15, 6, 1, bits))


@SETTINGS
@given(SEEDS, HEADS, BITS)
def test_bsq_attention_of_large_values(seed: int, heads: int, bits: int) -> None:
    inputs, attributes = bsq_attention_case(np.random.default_rng(seed), 18, 5, heads, bits)
    inputs[1] *= np.float32(1e4)
    inputs[2] *= np.float32(1e4)
    assert_forms_agree("BSQAttention", (inputs, attributes))


@SETTINGS
@given(SEEDS, HEADS, BITS)
def test_bsq_attention_of_large_scores(seed: int, heads: int, bits: int) -> None:
    """Also here an empty bucket may hold all the mass: the best of 2^B buckets is rarely one of at most 18."""
    case = bsq_attention_case(np.random.default_rng(seed), 18, 5, heads, bits, scale=1e4)
    q, k, v, weight, bias, codebook = exact(case)
    scores, buckets = oracles.bsq_scores(q, k, weight, bias, codebook, heads)
    # One key a bucket, so that the winner of a query is one key and not a bucket of several.
    _, first, count = np.unique(buckets, return_index=True, return_counts=True)
    means = np.array([v[buckets == buckets[key]].mean(0) for key in first])
    assert count.sum() == 18
    check_decided(scores[:, :, first], means, run_op("BSQAttention", *case)[0], heads)
    check_decided(scores[:, :, first], means, torch_form("BSQAttention", *case)[0], heads)


@SETTINGS
@given(SEEDS, HEADS, BITS)
def test_bsq_attention_with_bits_on_the_edge(seed: int, heads: int, bits: int) -> None:
    """A projection of exactly zero sets its bit."""
    inputs, attributes = bsq_attention_case(np.random.default_rng(seed), 11, 4, heads, bits)
    inputs[1][::2] = 0
    inputs[4][:] = 0
    inputs[4][0] = -0.0
    assert_forms_agree("BSQAttention", (inputs, attributes))


def test_bsq_attention_in_one_bucket_is_the_mean() -> None:
    inputs, attributes = bsq_attention_case(np.random.default_rng(5), 40, 40, 2, 8)
    inputs[1][:] = inputs[1][0]
    (out,) = run_op("BSQAttention", inputs, attributes)
    np.testing.assert_allclose(out, np.broadcast_to(inputs[2].mean(0), out.shape), atol=1e-6)


@SETTINGS
@given(SEEDS, GRIDS, HEADS, BITS)
def test_hybrid_attention(seed: int, grid: tuple[int, int, int], heads: int, bits: int) -> None:
    assert_forms_agree("HybridAttention", hybrid_attention_case(np.random.default_rng(seed), *grid, heads, bits))


@SETTINGS
@given(SEEDS, GRIDS, HEADS, BITS)
def test_hybrid_attention_of_large_values(seed: int, grid: tuple[int, int, int], heads: int, bits: int) -> None:
    inputs, attributes = hybrid_attention_case(np.random.default_rng(seed), *grid, heads, bits)
    inputs[0] *= np.float32(1e4)
    inputs[1][:, -heads * 8 :] *= np.float32(1e4)
    assert_forms_agree("HybridAttention", (inputs, attributes))


@SETTINGS
@given(SEEDS, GRIDS, HEADS, st.sampled_from([0.1, 1.0, 30.0]))
def test_first_attention(seed: int, grid: tuple[int, int, int], heads: int, scale: float) -> None:
    """Scores around 1, small ones, and ones whose exponentials overflow."""
    case = first_attention_case(np.random.default_rng(seed), *grid[:2], heads, scale=scale)
    # Scores of thousands are rounded in the fourth digit behind the point.
    assert_forms_agree("FirstAttention", case, 2e-5 if scale < 10 else 1e-3)


def test_first_attention_is_boundary_attention_of_all_tokens() -> None:
    """Also in several chunks, the last of them padded."""
    inputs, attributes = first_attention_case(np.random.default_rng(6), 30, 35, 2)
    attention, lse = run_op("FirstAttention", inputs, attributes)
    q, k, v = np.split(inputs[0], 3, axis=1)
    (expected,) = run_op("BoundaryAttention", [q, k, v, np.arange(1050), *inputs[1:]], attributes)
    np.testing.assert_allclose(attention, expected, atol=1e-6)
    from_torch = torch_form("FirstAttention", inputs, attributes)
    np.testing.assert_allclose(lse, from_torch[1], atol=1e-5)


@SETTINGS
@given(SEEDS, GRIDS, HEADS, BITS)
def test_prompted_attention(seed: int, grid: tuple[int, int, int], heads: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    changed = int(rng.integers(0, grid[0] * grid[1] + 1))
    assert_forms_agree("PromptedAttention", prompted_attention_case(rng, *grid, changed, heads, bits))


@SETTINGS
@given(SEEDS, WINDOWED, st.booleans(), st.sampled_from([1, 3]), st.sampled_from([0.1, 1.0, 10.0]))
def test_window_attention(seed: int, grids: list[tuple[int, int]], shift: bool, heads: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    case = window_attention_case(rng, grids, 4, shift, heads, scale=scale)
    assert_forms_agree("WindowAttention", case, 1e-4 if scale > 1 else 2e-5)  # scores of a thousand, rounded


@SETTINGS
@given(SEEDS, st.integers(0, 12), st.integers(3, 5), st.sampled_from([4, 5, 9]))
def test_window_attention_of_any_plan(seed: int, tokens: int, windows: int, area: int) -> None:
    rng = np.random.default_rng(seed)
    plan = random_windows(rng, tokens, windows, area, 8)
    assert_forms_agree("WindowAttention", ([floats(rng, tokens, 48), floats(rng, 48), *plan], {"num_heads": 2}))
