"""The label maps of a batch of objects: clicks, predictions, region of interest and routing (docs/model.md 4 to 6)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..runtime.geometry import PATCH_SIZE
from ..runtime.labels import (
    DEFINITE_BACKGROUND,
    DEFINITE_FOREGROUND,
    POSSIBLE_BACKGROUND,
    POSSIBLE_FOREGROUND,
    UNKNOWN,
)

NOWHERE = -(10**6)  # row and column of "no click": its disc touches no pixel


def initial_labels(count: int, size: int, device: torch.device) -> Tensor:
    """Begin with everything unknown.

    Returns:
        uint8 [count, size, size]
    """
    return torch.full((count, size, size), UNKNOWN, dtype=torch.uint8, device=device)


def click_discs(rows: Tensor, columns: Tensor, size: int, radius: int) -> Tensor:
    """Mark the pixels no further than `radius` from each click.

    Args:
        rows, columns: int64 [B].
        size: of the maps, in pixels.
        radius: in pixels.

    Returns:
        bool [B, size, size]
    """
    axis = torch.arange(size, device=rows.device)
    down = (axis - rows[:, None]) ** 2
    across = (axis - columns[:, None]) ** 2
    return down[:, :, None] + across[:, None, :] <= radius * radius


def draw_clicks(labels: Tensor, discs: Tensor, positive: Tensor) -> Tensor:
    """Set the pixels of each disc to definite foreground or background.

    Args:
        labels: uint8 [B, T, T].
        discs: bool [B, T, T].
        positive: bool [B].

    Returns:
        uint8 [B, T, T]
    """
    definite = torch.where(positive, DEFINITE_FOREGROUND, DEFINITE_BACKGROUND).to(labels.dtype)
    return torch.where(discs, definite[:, None, None], labels)


def apply_predictions(labels: Tensor, foreground: Tensor) -> Tensor:
    """Move labels on: predicted foreground turns 2 -> 3 and 1 -> 2, background 2 -> 1 and 3 -> 2; 0 and 4 stay.

    Args:
        labels: uint8 [B, T, T].
        foreground: bool [B, T, T].

    Returns:
        uint8 [B, T, T]
    """
    up = foreground & ((labels == UNKNOWN) | (labels == POSSIBLE_BACKGROUND))
    down = ~foreground & ((labels == UNKNOWN) | (labels == POSSIBLE_FOREGROUND))
    return labels + up.to(labels.dtype) - down.to(labels.dtype)


def extents(inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the first and last true index along the last axis.

    Args:
        inside: bool [B, n].

    Returns:
        First and last, int64 [B] each, and whether there is any, bool [B].
    """
    size = inside.shape[-1]
    as_int = inside.to(torch.int32)
    first = as_int.argmax(-1)
    last = size - 1 - as_int.flip(-1).argmax(-1)
    return first, last, inside.any(-1)


def bounding_boxes(inside: Tensor) -> Tensor:
    """Find the bounding box of each map's true cells, the whole map where none is.

    Args:
        inside: bool [B, h, w].

    Returns:
        int64 [B, 4], (l, t, r, b).
    """
    height, width = inside.shape[-2:]
    top, bottom, present = extents(inside.any(2))
    left, right, _ = extents(inside.any(1))
    whole = torch.tensor([0, 0, width, height], device=inside.device)
    return torch.where(present[:, None], torch.stack([left, top, right + 1, bottom + 1], dim=1), whole)


def regions_of_interest(labels: Tensor) -> Tensor:
    """Find the region of interest of each label map.

    Args:
        labels: uint8 [B, T, T].

    Returns:
        int64 [B, 4], (l, t, r, b) in tokens.
    """
    grid = labels.shape[-1] // PATCH_SIZE
    inside = labels != POSSIBLE_BACKGROUND
    tokens = inside.unflatten(2, (grid, PATCH_SIZE)).any(3).unflatten(1, (grid, PATCH_SIZE)).any(2)
    boxes = bounding_boxes(tokens)
    grow = torch.tensor([-1, -1, 1, 1], device=labels.device)
    return (boxes + grow).clamp(0, grid)


def box_mask(boxes: Tensor, size: int) -> Tensor:
    """Mark what is inside each box.

    Args:
        boxes: int64 [B, 4], (l, t, r, b) in cells of the map.
        size: cells per side of the map.

    Returns:
        bool [B, size, size]
    """
    axis = torch.arange(size, device=boxes.device)
    left, top, right, bottom = (side[:, None] for side in boxes.unbind(1))
    rows, columns = (axis >= top) & (axis < bottom), (axis >= left) & (axis < right)
    return rows[:, :, None] & columns[:, None, :]


def boundary_tokens(labels: Tensor, regions: Tensor, routing: str, kernel_size: int) -> Tensor:
    """Decide which tokens take the boundary route, as `models.boundary_tokens.route` does for one object.

    Args:
        labels: uint8 [B, T, T].
        regions: int64 [B, 4] in tokens.
        routing: "boundary" or "roi".
        kernel_size: odd side of the window in pixels.

    Returns:
        bool [B, T/16, T/16]
    """
    size = labels.shape[-1]
    inside = box_mask(regions, size // PATCH_SIZE)
    if routing == "roi":
        return inside
    pixels = box_mask(regions * PATCH_SIZE, size)
    values = labels.float()
    # Outside the region nothing counts: lower than every label for the maximum, higher for the minimum.
    largest = _token_maximum(torch.where(pixels, values, -9.0), kernel_size // 2)
    smallest = -_token_maximum(torch.where(pixels, -values, -9.0), kernel_size // 2)
    return inside & ((largest != smallest) | (largest == UNKNOWN))


def _token_maximum(values: Tensor, radius: int) -> Tensor:
    """Find the maximum over each token's pixels grown by `radius` pixels, one axis at a time.

    Args:
        values: [B, T, T].
        radius: in pixels.

    Returns:
        [B, T/16, T/16]
    """
    window = PATCH_SIZE + 2 * radius
    rows = F.max_pool2d(values[:, None], (window, 1), (PATCH_SIZE, 1), (radius, 0))
    return F.max_pool2d(rows, (1, window), (1, PATCH_SIZE), (0, radius))[:, 0]
