"""The native ops of the edge map against the portable forms, every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest

from support.ops.agreement import oracle
from support.ops.comparison import assert_edges_agree
from support.ops.families.edges import (
    canny_edges_case,
    conv3x3_case,
    edge_taps_case,
    residual_conv_block_case,
)
from support.ops.native import (
    assert_native_is_portable,
    assert_same_bits,
    instruction_sets,
    needs_library,
    run_native,
)

pytestmark = needs_library


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 50), (70, 3), (67, 81), (33, 64)])
def test_canny_edges(height: int, width: int, plain: bool, isa: str) -> None:
    """Not a pixel differs but for those whose orientation or neighbourhood lies on a border between two decisions."""
    case = canny_edges_case(np.random.default_rng(5), height, width, plain)
    assert_edges_agree(run_native("CannyEdges", case, isa)[0], oracle("CannyEdges", *case)[0], plain, isa)
    assert_same_bits("CannyEdges", case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_of_groups_of_pixels(stride: int, isa: str) -> None:
    """Outputs of fewer channels than a vector has lanes."""
    for width, in_dim, out_dim in ((1, 5, 4), (7, 5, 4), (33, 3, 1), (18, 4, 2), (20, 2, 8)):
        case = conv3x3_case(np.random.default_rng(0), 9, width, in_dim, out_dim, stride)
        assert_native_is_portable("Conv3x3", case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_conv3x3_of_published_widths(isa: str) -> None:
    assert_native_is_portable("Conv3x3", conv3x3_case(np.random.default_rng(0), 36, 30, 64, 256, 2), isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_residual_conv_block_of_published_widths(isa: str) -> None:
    case = residual_conv_block_case(np.random.default_rng(0), 34, 30, 256)
    assert_native_is_portable("ResidualConvBlock", case, isa)


@pytest.mark.parametrize("isa", instruction_sets())
def test_edge_taps_of_published_widths(isa: str) -> None:
    assert_native_is_portable("EdgeTaps", edge_taps_case(np.random.default_rng(0), 10, 9, 2, 256, 64), isa)
