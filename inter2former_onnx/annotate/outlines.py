"""From masks to polygons: outlines along the edges between pixels, holes included, optionally simplified.

The page draws the same outlines (page/outline.js). Coordinates are pixel corners: pixel (i, j) is the square from
(i, j) to (i + 1, j + 1), which is also how COCO's polygons are rasterised, so an unsimplified polygon is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Points = NDArray[np.int64]  # [N, 2], x and y

# Half a pixel's diagonal and a little: stairs become straight, and nothing moves by more than a pixel.
TOLERANCE = 0.75


def rings(mask: Mask) -> list[Points]:
    """Trace the closed outlines of a mask.

    The object lies to the right of the way (as seen with y downwards, outer outlines run clockwise, holes the other
    way). Pixels that touch at a corner only belong to different outlines.

    Args:
        mask: bool [height, width].

    Returns:
        For every outline its corners in order, int64 [N, 2], x and y, the first one not repeated.
    """
    height, width = mask.shape
    grid = np.zeros((height + 2, width + 2), dtype=np.bool_)
    grid[1:-1, 1:-1] = mask
    # Every outline, of an object or a hole, has a top edge: a pixel of the mask below one that is not.
    tops = grid[1:] & ~grid[:-1]
    stride = width + 2
    unseen = np.flatnonzero(tops)
    pending = bytearray(tops.tobytes())
    pixels = grid.tobytes()
    return [_follow(pixels, pending, int(start), stride) for start in unseen if pending[start]]


def _follow(pixels: bytes, pending: bytearray, start: int, stride: int) -> Points:
    """Trace one outline from the top edge of pixel `start` of the padded grid without its first row; mark top edges."""
    # A position is the pixel right-below the current corner, in the padded grid. Around a corner: the two pixels ahead.
    ahead = ((-stride, 0), (0, -1), (-1, -stride - 1), (-stride - 1, -stride))  # (left, right) of the way, by direction
    move = (1, stride, -1, -stride)
    corners: list[int] = []
    position, direction = start + stride, 0
    first = position
    while True:
        if direction == 0:
            pending[position - stride] = 0
        position += move[direction]
        left, right = (pixels[position + offset] for offset in ahead[direction])
        if not right:
            turned = (direction + 1) % 4
        elif left:
            turned = (direction + 3) % 4
        else:
            turned = direction
        if turned != direction:
            corners.append(position)
            direction = turned
        if position == first and direction == 0:
            break
    rows, columns = np.divmod(np.array(corners, dtype=np.int64), stride)
    return np.column_stack((columns - 1, rows - 1))


def signed_area(ring: Points | NDArray[np.float64]) -> float:
    """Measure the area inside a ring, in pixels; negative for a hole's."""
    x, y = ring[:, 0], ring[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


def simplified(ring: Points, tolerance: float = TOLERANCE) -> Points:
    """Leave out corners of a ring that are at most `tolerance` pixels from what stays (Douglas and Peucker)."""
    count = len(ring)
    if count <= 4:
        return ring
    # Two corners that surely stay: the one furthest from the first, and the one furthest from that.
    second = int(np.argmax(((ring - ring[0]) ** 2).sum(axis=1)))
    ring = np.roll(ring, -second, axis=0)
    middle = int(np.argmax(((ring - ring[0]) ** 2).sum(axis=1)))
    closed = np.vstack((ring, ring[:1])).astype(np.float64)
    keep = np.zeros(count + 1, dtype=np.bool_)
    keep[[0, middle, count]] = True
    spans = [(0, middle), (middle, count)]
    while spans:
        start, stop = spans.pop()
        if stop - start < 2:
            continue
        way, offsets = closed[stop] - closed[start], closed[start + 1 : stop] - closed[start]
        length = float(np.hypot(*way))
        if length > 0:
            # To the segment, not the line: stretches that double back must keep their ends.
            along = np.clip(offsets @ way / length**2, 0.0, 1.0)
            distances = np.hypot(*(offsets - along[:, None] * way).T)
        else:
            distances = np.hypot(*offsets.T)
        furthest = int(np.argmax(distances))
        if distances[furthest] > tolerance:
            split = start + 1 + furthest
            keep[split] = True
            spans += [(start, split), (split, stop)]
    return ring[keep[:-1]]


def polygons(mask: Mask, tolerance: float = TOLERANCE) -> list[list[int]]:
    """Trace COCO's polygons of a mask.

    COCO's polygons know no holes, so a hole is joined to its outline by a cut of no width, there and back, which
    rasterises to the mask with its hole.

    Args:
        mask: bool [height, width].
        tolerance: of `simplified`; 0 keeps every corner.

    Returns:
        A flat list x, y, x, y, ... for every part; no part for an empty mask.
    """
    outer: list[tuple[Points, Points]] = []
    holes: list[tuple[Points, Points]] = []
    for ring in rings(mask):
        kept = simplified(ring, tolerance) if tolerance > 0 else ring
        # What is thinner than the tolerance collapses to a line; keep it as it was.
        if len(kept) < 3 or signed_area(kept) * signed_area(ring) <= 0:
            kept = ring
        (outer if signed_area(ring) > 0 else holes).append((ring, kept))
    parts = [[kept] for _, kept in outer]
    outlines = [ring for ring, _ in outer]
    boxes = np.array([[*ring.min(axis=0), *ring.max(axis=0)] for ring in outlines]).reshape(-1, 4)
    for ring, kept in holes:
        parts[_owner(ring, outlines, boxes)].append(kept)
    return [_joined(part).ravel().tolist() for part in parts]


def _owner(hole: Points, outlines: list[Points], boxes: NDArray[np.int64]) -> int:
    """Find the index of the outline around a hole: the smallest one that a pixel of its edge lies in.

    `boxes` has left, top, right and bottom of every outline: most are ruled out by it.
    """
    # The hole's first edge runs along pixels of the object, which lie to its right.
    (x, y), (next_x, next_y) = hole[0], hole[1]
    step_x, step_y = np.sign(next_x - x), np.sign(next_y - y)
    point_x, point_y = x + 0.5 * step_x - 0.5 * step_y, y + 0.5 * step_y + 0.5 * step_x
    near = (boxes[:, :2] < (point_x, point_y)).all(axis=1) & (boxes[:, 2:] > (point_x, point_y)).all(axis=1)
    inside = [int(index) for index in np.flatnonzero(near) if _contains(outlines[index], point_x, point_y)]
    return min(inside, key=lambda index: signed_area(outlines[index]))


def _contains(ring: Points, x: float, y: float) -> bool:
    """Tell whether a ring of vertical and horizontal edges goes around a point that is on none of them."""
    following = np.roll(ring, -1, axis=0)
    upright = ring[:, 0] == following[:, 0]
    low = np.minimum(ring[:, 1], following[:, 1])
    high = np.maximum(ring[:, 1], following[:, 1])
    crossed = upright & (ring[:, 0] > x) & (low < y) & (y < high)
    return int(np.count_nonzero(crossed)) % 2 == 1


def _joined(part: list[Points]) -> Points:
    """Join an outline and its holes to one ring."""
    joined, *holes = part
    for hole in sorted(holes, key=lambda ring: int(ring[:, 0].min())):
        distances = ((joined[:, None] - hole[None]) ** 2).sum(axis=2)
        at, of = np.unravel_index(int(np.argmin(distances)), distances.shape)
        loop = np.roll(hole, -int(of), axis=0)
        joined = np.vstack((joined[: at + 1], loop, loop[:1], joined[at:]))
    return joined
