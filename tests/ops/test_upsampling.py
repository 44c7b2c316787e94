"""LocalUpsample2x: PyTorch form == onnxscript function == oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inter2former_onnx.models.dynamic_local_upsampling import edge_terms
from inter2former_onnx.models.weights import LinearWeights
from support.ops.agreement import assert_forms_agree, oracle
from support.ops.arrays import Inputs, floats, norm, random_box
from support.ops.families.upsampling import local_upsample_2x_case
from support.ops.sessions import run_op

SEEDS = st.integers(0, 2**32 - 1)
SIDES = st.integers(1, 5)
# In and out channels; from 16 on the op goes another way.
CHANNELS = st.sampled_from([(8, 2), (4, 1), (16, 4), (3, 15), (3, 16), (8, 20)])
ACTIVATION = st.sampled_from([0, 1])
SETTINGS = settings(max_examples=30, deadline=None, derandomize=True)


@SETTINGS
@given(SEEDS, st.sampled_from([0, 1, 2]), SIDES, SIDES, CHANNELS, ACTIVATION)
def test_boxes(seed: int, level: int, h: int, w: int, channels: tuple[int, int], activation: int) -> None:
    rng = np.random.default_rng(seed)
    case = local_upsample_2x_case(rng, level, h, w, random_box(rng, h, w), *channels, activation)
    assert_forms_agree("LocalUpsample2x", case)


@SETTINGS
@given(SEEDS, st.sampled_from([(0, 13, 29), (0, 23, 17), (1, 11, 7), (3, 3, 4)]), CHANNELS)
def test_sides_that_split_badly(seed: int, sizes: tuple[int, int, int], channels: tuple[int, int]) -> None:
    """The axes are cut into equal blocks: here into one, or into very small ones."""
    level, h, w = sizes
    case = local_upsample_2x_case(np.random.default_rng(seed), level, h, w, (0, 0, w, h), *channels, 1)
    assert_forms_agree("LocalUpsample2x", case)


@pytest.mark.parametrize("channels", [(4, 1), (3, 16)])
@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("corner", [(0, 0), (0, 3), (2, 0), (2, 3), (1, 1)])
def test_one_token(corner: tuple[int, int], level: int, channels: tuple[int, int]) -> None:
    row, column = corner
    box = (column, row, column + 1, row + 1)
    case = local_upsample_2x_case(np.random.default_rng(level), level, 3, 4, box, *channels, 0)
    assert_forms_agree("LocalUpsample2x", case)


@SETTINGS
@given(SEEDS, st.sampled_from([1e4, 1e-3]), CHANNELS, ACTIVATION)
def test_magnitudes(seed: int, scale: float, channels: tuple[int, int], activation: int) -> None:
    case = local_upsample_2x_case(np.random.default_rng(seed), 1, 4, 3, (0, 1, 3, 4), *channels, activation, scale)
    assert_forms_agree("LocalUpsample2x", case)


@pytest.mark.parametrize("channels", [(4, 1), (3, 16)])
@pytest.mark.parametrize("value", [0.0, 3.0, -64.0, 1e4])
def test_equal_values_leave_the_norms_bias(value: float, channels: tuple[int, int]) -> None:
    """Variance 0: what is normalised is 0. (PyTorch's own group norm does not get there from large values.)"""
    inputs, attributes = local_upsample_2x_case(np.random.default_rng(1), 1, 3, 4, (1, 0, 4, 3), *channels, 0)
    inputs[0][:] = value
    (out,) = run_op("LocalUpsample2x", inputs, attributes)
    np.testing.assert_allclose(out, oracle("LocalUpsample2x", inputs, attributes)[0], rtol=0, atol=2e-5)


@pytest.mark.parametrize("channels", [(4, 1), (16, 4), (3, 16)])
def test_large_crop_keeps_its_digits(channels: tuple[int, int]) -> None:
    """Mean and variance of half a million values that are far from zero."""
    case = local_upsample_2x_case(np.random.default_rng(2), 3, 36, 30, (0, 0, 30, 36), *channels, 0)
    case[0][0] += 4
    (out,) = run_op("LocalUpsample2x", *case)
    (expected,) = oracle("LocalUpsample2x", *case)
    np.testing.assert_allclose(out, expected, rtol=0, atol=3e-5)


@SETTINGS
@given(SEEDS, st.sampled_from([0, 1, 2, 3]), st.sampled_from([(4, 2), (3, 16)]))
def test_crop_equals_cropping_first(seed: int, level: int, channels: tuple[int, int]) -> None:
    """With the edge tensors made from an edge map: the published order of steps inside the box."""
    rng = np.random.default_rng(seed)
    in_dim, out_dim = channels
    h, w, s = 4, 3, 2 ** (level + 1)
    left, top, right, bottom = box = random_box(rng, h, w)
    x = floats(rng, (bottom - top) * s // 2, (right - left) * s // 2, in_dim)
    edge_map, bias = floats(rng, in_dim, s * h, s * w), floats(rng, out_dim)
    weight, (norm_weight, norm_bias) = floats(rng, out_dim, in_dim, 3, 3, scale=0.2), norm(rng, in_dim)
    conv = LinearWeights(torch.from_numpy(weight), torch.from_numpy(bias))
    terms = edge_terms(torch.from_numpy(edge_map), conv, s)
    edges = [np.ascontiguousarray(term.numpy()) for term in terms]
    inputs: Inputs = [x, np.array(box, np.int64), *edges, norm_weight, norm_bias, weight]
    (out,) = run_op("LocalUpsample2x", inputs, {"activation": 0, "epsilon": 1e-5})

    normed = torch.nn.functional.group_norm(
        torch.from_numpy(x).permute(2, 0, 1)[None], 1, torch.from_numpy(norm_weight), torch.from_numpy(norm_bias), 1e-5
    )
    doubled = torch.nn.functional.interpolate(normed, scale_factor=2, mode="bicubic")
    crop = torch.from_numpy(edge_map[None, :, s * top : s * bottom, s * left : s * right])
    expected = torch.nn.functional.conv2d(doubled + crop, torch.from_numpy(weight), torch.from_numpy(bias), padding=1)
    np.testing.assert_allclose(out, expected[0].permute(1, 2, 0).numpy(), rtol=0, atol=5e-5)
