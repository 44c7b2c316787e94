"""Which region, or union of regions, is the object to segment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .region_table import MAX_REGIONS, RegionTable
from .sources import PARTITION, SourceKind

_SMALLEST_AREA = 0.002  # share of the image; augmentation may zoom in on it
_LARGEST_AREA = 0.6  # of unions
_LARGEST_BACKGROUND = 0.9
_MAX_UNION = 4


def sample_target(
    table: RegionTable, generator: np.random.Generator, kind: SourceKind = PARTITION, background_share: float = 0.0
) -> NDArray[np.int64]:
    """Draw one target: a group, a single region, a connected union of two to four neighbours, or the background.

    Single regions are drawn in proportion to the root of their area, those inside the image twice as often.

    Args:
        table: of the map.
        generator: source of randomness.
        kind: of the map's source.
        background_share: of the targets, how many are what is labelled 0, where the kind knows that for background.

    Returns:
        The target's ids; none where the map offers nothing.
    """
    areas = table.areas
    candidates = np.flatnonzero((areas >= _SMALLEST_AREA) & (areas <= kind.largest))
    candidates = candidates[candidates > 0]
    chance = generator.random()
    if kind.background and chance >= 1.0 - background_share and _SMALLEST_AREA <= areas[0] <= _LARGEST_BACKGROUND:
        return np.zeros(1, dtype=np.int64)
    if table.groups and table.groups[0].size and chance < kind.group_share:
        return table.groups[0] if len(table.groups) == 1 else table.groups[generator.integers(len(table.groups))]
    if candidates.size == 0:
        return table.groups[0] if table.groups else np.zeros(0, dtype=np.int64)
    weights = np.sqrt(areas[candidates]) * np.where(table.interior[candidates], 2.0, 1.0)
    first = int(generator.choice(candidates, p=weights / weights.sum()))
    if chance < 1.0 - kind.union_share:
        return np.array([first])
    return grow_union(table, first, int(generator.integers(2, _MAX_UNION + 1)), generator)


def grow_union(table: RegionTable, first: int, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Join up to `count` regions, each touching one before it, as long as the union stays below the largest area.

    Args:
        table: of the map.
        first: id to begin with.
        count: of regions.
        generator: source of randomness.

    Returns:
        Their ids.
    """
    chosen = [first]
    while len(chosen) < count:
        around = np.setdiff1d(np.concatenate([table.neighbours[i] for i in chosen]), chosen)
        around = around[table.areas[chosen].sum() + table.areas[around] <= _LARGEST_AREA]
        if around.size == 0:
            break
        chosen.append(int(generator.choice(around)))
    return np.array(chosen, dtype=np.int64)


def as_lookup(ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark a target's ids.

    Returns:
        bool [MAX_REGIONS]
    """
    lookup = np.zeros(MAX_REGIONS, dtype=np.bool_)
    lookup[ids] = True
    return lookup


def target_box(table: RegionTable, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Find the bounding box of a target.

    Returns:
        float64 [4]: left, top, right, bottom in pixels.
    """
    boxes = table.boxes[ids]
    return np.array([boxes[:, 0].min(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max()], dtype=np.float64)
