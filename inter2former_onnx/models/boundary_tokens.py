"""Routing (docs/model.md 6): which tokens are boundary tokens, and moving them to and from their route."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..runtime.geometry import PATCH_SIZE
from ..runtime.labels import UNKNOWN


def route(labels: Tensor, region: tuple[int, int, int, int], routing: str, kernel_size: int) -> tuple[Tensor, Tensor]:
    """Split all tokens into boundary tokens and the others.

    A token of the region is a boundary token if one of its pixels sees more than one label in its
    kernel_size x kernel_size window, reflected at the region's border, or is unknown. Windows of neighbouring pixels
    overlap and a reflected window holds nothing that the token's own pixels do not, so this is: the labels in the
    token's pixels, grown by half the kernel and clipped to the region, are not all one definite value.

    Args:
        labels: uint8 [H, W] label map.
        region: left, top, right, bottom of the region of interest in pixels, multiples of 16.
        routing: "boundary" for the rule above, "roi" to send every token of the region (what the published code
            computes, whose variance test rounds up from zero).
        kernel_size: odd side of the window in pixels.

    Returns:
        boundary [Nb] and other [N - Nb], int64 token indices in ascending order.
    """
    left, top, right, bottom = region
    mask = torch.zeros(labels.shape[0] // PATCH_SIZE, labels.shape[1] // PATCH_SIZE, dtype=torch.bool)
    tokens = (slice(top // PATCH_SIZE, bottom // PATCH_SIZE), slice(left // PATCH_SIZE, right // PATCH_SIZE))
    if routing == "roi":
        mask[tokens] = True
    else:
        crop = labels[None, None, top:bottom, left:right].float()
        radius = kernel_size // 2
        largest = F.max_pool2d(crop, PATCH_SIZE + 2 * radius, PATCH_SIZE, radius)[0, 0]
        smallest = -F.max_pool2d(-crop, PATCH_SIZE + 2 * radius, PATCH_SIZE, radius)[0, 0]
        mask[tokens] = (largest != smallest) | (largest == UNKNOWN)
    flat = mask.flatten()
    return torch.nonzero(flat).flatten(), torch.nonzero(~flat).flatten()


def boundary_gather(x: Tensor, boundary: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Take the tokens out to their two routes.

    Args:
        x: [N, C].
        boundary, other: int64 [Nb], [No] token indices.

    Returns:
        [Nb, C] and [No, C].
    """
    return x[boundary], x[other]


def boundary_scatter(x_boundary: Tensor, x_other: Tensor, boundary: Tensor, other: Tensor) -> Tensor:
    """Put the tokens of both routes back: the inverse of `boundary_gather`.

    Args:
        x_boundary, x_other: [Nb, C] and [No, C].
        boundary, other: int64 [Nb], [No] token indices, together 0 .. Nb + No - 1.

    Returns:
        [Nb + No, C]
    """
    x = x_boundary.new_empty(x_boundary.shape[0] + x_other.shape[0], x_boundary.shape[1])
    return x.index_copy(0, boundary, x_boundary).index_copy(0, other, x_other)
