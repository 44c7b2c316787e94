"""The ops of the edge map: PyTorch form == onnxscript function == oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inter2former_onnx.models.dynamic_local_upsampling import edge_terms
from inter2former_onnx.models.edge_detector import edge_taps, fold_lateral
from inter2former_onnx.models.weights import LinearWeights
from support.ops.agreement import assert_forms_agree, oracle, torch_form
from support.ops.comparison import assert_edges_agree
from support.ops.families.edges import (
    canny_edges_case,
    conv3x3_case,
    edge_taps_case,
    residual_conv_block_case,
)
from support.ops.sessions import run_op

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 24)
SETTINGS = settings(max_examples=20, deadline=None, derandomize=True)


@SETTINGS
@given(SEEDS, st.integers(1, 30), st.integers(1, 40))
def test_canny_edges(seed: int, height: int, width: int) -> None:
    inputs, attributes = canny_edges_case(np.random.default_rng(seed), height, width)
    (expected,) = oracle("CannyEdges", inputs, attributes)
    assert_edges_agree(torch_form("CannyEdges", inputs, attributes)[0], expected, False, "PyTorch form")
    assert_edges_agree(run_op("CannyEdges", inputs, attributes)[0], expected, False, "onnxscript function")


@SETTINGS
@given(SEEDS, SIZES, SIZES, st.integers(1, 9), st.integers(1, 9), st.integers(1, 2))
def test_conv3x3(seed: int, height: int, width: int, in_dim: int, out_dim: int, stride: int) -> None:
    case = conv3x3_case(np.random.default_rng(seed), height, width, in_dim, out_dim, stride)
    assert_forms_agree("Conv3x3", case)


@SETTINGS
@given(SEEDS, st.integers(2, 9), st.integers(1, 9), st.sampled_from([1, 3, 4, 16]), st.sampled_from([0, 30]))
def test_residual_conv_block(seed: int, height: int, width: int, dim: int, offset: float) -> None:
    case = residual_conv_block_case(np.random.default_rng(seed), height, width, dim, offset)
    assert_forms_agree("ResidualConvBlock", case, 1e-4 if offset else 2e-5)  # the offset takes digits


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_residual_conv_block_of_a_flat_map(value: float) -> None:
    """No deviation: the epsilon keeps the norm finite, and makes much of rounding errors."""
    case = residual_conv_block_case(np.random.default_rng(0), 6, 5, 4)
    case[0][0][:] = value
    assert_forms_agree("ResidualConvBlock", case, 1e-4)


@SETTINGS
@given(SEEDS, st.integers(1, 3), st.integers(1, 3), st.sampled_from([1, 2, 4]), st.integers(1, 6), st.integers(1, 4))
def test_edge_taps(seed: int, h: int, w: int, stride: int, dim: int, out_dim: int) -> None:
    case = edge_taps_case(np.random.default_rng(seed), h, w, stride, dim, out_dim)
    assert_forms_agree("EdgeTaps", case)


def test_edge_taps_are_the_edge_terms_of_a_folded_convolution() -> None:
    """What the graph computes of a level is what the modules compute of its 1 x 1 convolution."""
    generator = torch.Generator().manual_seed(0)
    lateral, conv = torch.nn.Conv2d(6, 6, 1), torch.nn.Conv2d(6, 3, 3, padding=1)
    with torch.no_grad():
        x = torch.randn(1, 6, 16, 24, generator=generator)
        expected = edge_terms(lateral(x)[0], LinearWeights.of(conv), 4)
        found = edge_taps(x[0].permute(1, 2, 0), fold_lateral(lateral, conv), 4)
    for terms, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(terms, wanted, atol=1e-5, rtol=0)
