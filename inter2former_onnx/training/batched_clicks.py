"""Simulated clicks for a whole batch in tensor operations, for accelerators: the same clicks as clicks.py."""

from __future__ import annotations

import torch
from torch import Tensor

from .label_maps import NOWHERE

_CHUNK_ELEMENTS = 1 << 28  # of the largest temporary


def squared_distances(classes: Tensor) -> Tensor:
    """Measure the exact squared L2 distance to the nearest pixel of another class, the image's frame included.

    Args:
        classes: bool or uint8 [B, H, W]. One pass serves several regions of a map, each a class of its own.

    Returns:
        float32 [B, H, W] (float64 where float32 cannot hold the largest), whole numbers; 0 in class 0.
    """
    height, width = classes.shape[1:]
    exact = torch.float32 if height * height + width * width < 1 << 24 else torch.float64
    vertical = _distance_along_columns(classes).to(exact).square()
    # Row by row: min over x' of (x - x')^2 + vertical(x')^2, with 0 for the latter where x' is of another class; the
    # frame is at x' = -1 and x' = width.
    axis = torch.arange(width, device=classes.device, dtype=exact)
    offsets = (axis[:, None] - axis).square()
    border = torch.minimum(axis + 1, width - axis).square()
    # A compiled reduction makes no temporary; it stays below 2^31 elements for its index arithmetic.
    elements = (1 << 31) - 1 if torch.compiler.is_compiling() else _CHUNK_ELEMENTS
    rows = max(1, elements // (classes.shape[0] * width * width))
    parts = []
    for start in range(0, height, rows):
        chunk, depth = classes[:, start : start + rows], vertical[:, start : start + rows]
        same = chunk[:, :, :, None] == chunk[:, :, None, :]
        parts.append((torch.where(same, depth[:, :, None, :], 0.0) + offsets).amin(-1))
    return torch.minimum(torch.cat(parts, dim=1), border) * (classes != 0)


@torch.compiler.disable  # else the compiled minimum over x' combines the two scans anew for each pair (x, x')
def _distance_along_columns(classes: Tensor) -> Tensor:
    """Measure the distance to the nearest pixel of another class in the same column; the frame counts.

    Returns:
        int32 [B, H, W]
    """
    height = classes.shape[1]
    index = torch.arange(height, device=classes.device, dtype=torch.int32)[:, None]
    changed = torch.cat([torch.ones_like(classes[:, :1], dtype=torch.bool), classes[:, 1:] != classes[:, :-1]], dim=1)
    # Downward and upward at once: a scan is a thread a column, whatever the number of columns.
    starts = torch.where(changed, index, 0)
    ends = torch.where(torch.roll(changed, -1, 1), height - 1 - index, 0).flip(1)
    above, below = torch.cat([starts, ends]).cummax(1).values.chunk(2)
    return torch.minimum(index - above, index.flip(0) - below.flip(1)) + 1


def deepest_pixels(distances: Tensor) -> tuple[Tensor, Tensor]:
    """Find each map's largest squared distance and its place, the first in reading order on ties.

    Args:
        distances: [B, H, W], whole numbers.

    Returns:
        The distance and its flat index, int64 [B] each.
    """
    values = distances.flatten(1).long()
    count = values.shape[1]
    order = torch.arange(count - 1, -1, -1, device=values.device)
    best = (values * count + order).amax(1)
    return best.div(count, rounding_mode="floor"), count - 1 - best % count


def batched_clicks(predictions: Tensor, targets: Tensor) -> Tensor:
    """Choose the next click of every object, as `clicks.simulate_clicks` does.

    Args:
        predictions, targets: bool [B, H, W].

    Returns:
        int64 [B, 3]: row, column (`NOWHERE` where there is no error left), 1 for positive.
    """
    width = targets.shape[2]
    absent, surplus = targets & ~predictions, predictions & ~targets
    distances = squared_distances(absent.to(torch.uint8) + 2 * surplus.to(torch.uint8))
    missing, missing_index = deepest_pixels(distances * absent)
    excess, excess_index = deepest_pixels(distances * surplus)
    positive = missing > excess
    index = torch.where(positive, missing_index, excess_index)
    none = (missing == 0) & (excess == 0)
    row = torch.where(none, NOWHERE, index.div(width, rounding_mode="floor"))
    return torch.stack([row, torch.where(none, NOWHERE, index % width), positive.long()], dim=1)
