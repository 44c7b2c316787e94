"""Simulated clicks for a whole batch in tensor operations, for accelerators: the same clicks as clicks.py."""

from __future__ import annotations

import torch
from torch import Tensor

from .label_maps import NOWHERE

_CHUNK_ELEMENTS = 1 << 28  # of the largest temporary


def squared_distances(regions: Tensor) -> Tensor:
    """Exact squared L2 distance to the nearest pixel outside each region, the image's frame included.

    Args:
        regions: bool [B, H, W].

    Returns:
        float32 [B, H, W] (float64 where float32 cannot hold the largest), whole numbers; 0 outside the regions.
    """
    height, width = regions.shape[1:]
    exact = torch.float32 if height * height + width * width < 1 << 24 else torch.float64
    vertical = _distance_along_columns(regions).to(exact).square()
    # Row by row: min over x' of (x - x')^2 + vertical(x')^2; the frame is at x' = -1 and x' = width.
    axis = torch.arange(width, device=regions.device, dtype=exact)
    offsets = (axis[:, None] - axis).square()
    border = torch.minimum(axis + 1, width - axis).square()
    # A compiled reduction makes no temporary; it stays below 2^31 elements for its index arithmetic.
    elements = (1 << 31) - 1 if torch.compiler.is_compiling() else _CHUNK_ELEMENTS
    rows = max(1, elements // (regions.shape[0] * width * width))
    parts = [
        (vertical[:, start : start + rows, None, :] + offsets).amin(-1) for start in range(0, height, rows)
    ]
    return torch.minimum(torch.cat(parts, dim=1), border)


@torch.compiler.disable  # else the compiled minimum over x' combines the two scans anew for each pair (x, x')
def _distance_along_columns(regions: Tensor) -> Tensor:
    """Distance to the nearest pixel outside the region in the same column, int32 [B, H, W]; the frame counts."""
    height = regions.shape[1]
    index = torch.arange(1, height + 1, device=regions.device, dtype=torch.int32)[:, None]
    outside_above = torch.where(regions, 0, index).cummax(1).values
    outside_below = torch.where(regions, height + 1, index).flip(1).cummin(1).values.flip(1)
    return torch.minimum(index - outside_above, outside_below - index)


def deepest_pixels(regions: Tensor) -> tuple[Tensor, Tensor]:
    """Each region's deepest pixel, the first in reading order on ties: squared depth and flat index, int64 [B] each."""
    distances = squared_distances(regions).flatten(1).long()
    count = distances.shape[1]
    order = torch.arange(count - 1, -1, -1, device=regions.device)
    best = (distances * count + order).amax(1)
    return best.div(count, rounding_mode="floor"), count - 1 - best % count


def batched_clicks(predictions: Tensor, targets: Tensor) -> Tensor:
    """The next click of every object, as `clicks.simulate_clicks`.

    Args:
        predictions, targets: bool [B, H, W].

    Returns:
        int64 [B, 3]: row, column (`NOWHERE` where there is no error left), 1 for positive.
    """
    width = targets.shape[2]
    missing, missing_index = deepest_pixels(targets & ~predictions)
    excess, excess_index = deepest_pixels(predictions & ~targets)
    positive = missing > excess
    index = torch.where(positive, missing_index, excess_index)
    none = (missing == 0) & (excess == 0)
    row = torch.where(none, NOWHERE, index.div(width, rounding_mode="floor"))
    return torch.stack([row, torch.where(none, NOWHERE, index % width), positive.long()], dim=1)
