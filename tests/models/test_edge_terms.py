"""The click-independent edge term of local upsampling against the convolution it stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from inter2former_onnx.models.dynamic_local_upsampling import (
    LocalUpsample2x,
    crop_edge_term,
    edge_terms,
    local_upsample_2x,
)
from inter2former_onnx.models.weights import LinearWeights, NormWeights

ROWS, COLUMNS = 5, 6


@st.composite
def boxes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    left, right = sorted(draw(st.lists(st.integers(0, COLUMNS), min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(draw(st.lists(st.integers(0, ROWS), min_size=2, max_size=2, unique=True)))
    return left, top, right, bottom


@pytest.mark.parametrize("stride", [2, 4, 16])
@given(box=boxes(), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_crop_of_terms_is_convolution_of_crop(stride: int, box: tuple[int, int, int, int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    edge = torch.randn(3, ROWS * stride, COLUMNS * stride, generator=generator)
    weight, bias = torch.randn(2, 3, 3, 3, generator=generator), torch.randn(2, generator=generator)
    left, top, right, bottom = (stride * side for side in box)
    plain = F.conv2d(edge[None, :, top:bottom, left:right], weight, bias, padding=1)[0].permute(1, 2, 0)
    terms = edge_terms(edge, LinearWeights(weight, bias), stride)
    torch.testing.assert_close(crop_edge_term(terms, box), plain, atol=2e-5, rtol=0)


@pytest.mark.parametrize("activation", [True, False])
@pytest.mark.parametrize("box", [(0, 0, COLUMNS, ROWS), (1, 2, 4, 5), (3, 3, 4, 4), (0, 4, 6, 5)])
def test_op_form_is_published_form(box: tuple[int, int, int, int], activation: bool) -> None:
    """Level 1 (four output pixels per token side): both forms of the module on the same crop."""
    generator = torch.Generator().manual_seed(3)
    module = LocalUpsample2x(8, 3, activation)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    left, top, right, bottom = box
    x = torch.randn(1, 8, 2 * (bottom - top), 2 * (right - left), generator=generator)
    edge = torch.randn(8, 4 * ROWS, 4 * COLUMNS, generator=generator)
    with torch.no_grad():
        plain = module(x, edge[None, :, 4 * top : 4 * bottom, 4 * left : 4 * right])[0].permute(1, 2, 0)
        op = local_upsample_2x(
            x[0].permute(1, 2, 0),
            torch.tensor(box),
            edge_terms(edge, LinearWeights.of(module.conv), 4),
            NormWeights.of(module.norm),
            module.conv.weight,
            int(activation),
            module.norm.eps,
        )
    torch.testing.assert_close(op, plain, atol=1e-4, rtol=1e-5)
