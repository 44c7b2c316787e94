"""How good one mask is, and how many clicks a sequence of masks needed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .targets import Mask

NOC_THRESHOLDS = (0.80, 0.85, 0.90, 0.95)
BOUNDARY_SHARE = 0.02  # of the image's diagonal: Cheng et al., Boundary IoU, CVPR 2021


def iou(mask: Mask, target: Mask, void: Mask | None = None) -> float:
    """Compute the intersection over union of two masks.

    Args:
        mask, target: bool [H, W].
        void: bool [H, W], pixels that do not count.

    Returns:
        0.0 to 1.0; 1.0 when both are empty.
    """
    both, either = mask & target, mask | target
    if void is not None:
        both &= ~void
        either &= ~void
    union = int(np.count_nonzero(either))
    return int(np.count_nonzero(both)) / union if union else 1.0


def boundary_width(shape: tuple[int, ...]) -> int:
    """Compute how many pixels on the inside of an outline count as boundary.

    Args:
        shape: of the image: height, width, ...
    """
    return max(1, round(BOUNDARY_SHARE * float(np.hypot(shape[0], shape[1]))))


def boundary(mask: Mask, width: int) -> Mask:
    """Mark the pixels of a mask no further than `width` from its outside, the image's outside included.

    What is left of the mask after `width` erosions by 3 x 3 pixels are the pixels whose chessboard distance to the
    outside is more than `width`; that distance takes one pass, whatever the width.

    Args:
        mask: bool [H, W].
        width: in pixels.

    Returns:
        bool [H, W]
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_C, cv2.DIST_MASK_3)[1:-1, 1:-1]
    return mask & (distance <= width)


def boundary_iou(mask: Mask, target_boundary: Mask, void: Mask | None = None) -> float:
    """Compute the IoU of the boundaries of two masks (Cheng et al. 2021).

    Args:
        mask: bool [H, W].
        target_boundary: bool [H, W], `boundary` of the target with the same image's `boundary_width`.
        void: bool [H, W], pixels that do not count.

    Returns:
        0.0 to 1.0; 1.0 when both are empty.
    """
    return iou(boundary(mask, boundary_width(mask.shape)), target_boundary, void)


def clicks_needed(overlaps: Sequence[float] | NDArray[np.floating], threshold: float) -> int | None:
    """Find the first click after which the IoU is at least `threshold`.

    Args:
        overlaps: IoU after each click.
        threshold: of the IoU.

    Returns:
        Its number, from 1; None when there is none.
    """
    reached = np.flatnonzero(np.asarray(overlaps) >= threshold)
    return int(reached[0]) + 1 if reached.size else None


def number_of_clicks(sequences: Sequence[Sequence[float]], threshold: float, limit: int) -> tuple[float, int]:
    """Compute NoC and NoF: the mean number of clicks to `threshold`, and how many objects never got there.

    Args:
        sequences: IoU after each click, an object.
        threshold: of the IoU.
        limit: what a failure counts.

    Returns:
        NoC, NoF.
    """
    needed = [clicks_needed(overlaps, threshold) for overlaps in sequences]
    failures = sum(number is None for number in needed)
    return float(np.mean([limit if number is None else number for number in needed])), failures
