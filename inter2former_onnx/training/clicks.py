"""Simulated clicks and sessions' rules for a batch of objects on a CPU: evaluation's and the runtime's, on threads."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from ..evaluation.clicks import simulate_click
from ..evaluation.targets import Mask
from ..runtime.islands import drop_islands
from ..runtime.labels import DEFINITE_FOREGROUND
from .label_maps import NOWHERE


def simulate_clicks(predictions: Mask, targets: Mask, pool: Executor | None) -> NDArray[np.int64]:
    """Choose the next click of every object of a batch, as `simulate_click` does.

    Args:
        predictions, targets: bool [B, H, W].
        pool: threads to share the work, or None.

    Returns:
        int64 [B, 3]: row, column (`NOWHERE` where there is no error left), 1 for positive.
    """
    found = (pool.map if pool else map)(simulate_click, predictions, targets)
    return np.array(
        [(c.y, c.x, int(c.positive)) if c else (NOWHERE, NOWHERE, 0) for c in found], dtype=np.int64
    ).reshape(-1, 3)


def without_islands(
    logits: NDArray[np.float32], foreground: Mask, labels: NDArray[np.uint8], pool: Executor | None
) -> Mask:
    """Drop the islands of each prediction (`runtime.islands`).

    Args:
        logits: [B, H, W].
        foreground: [B, H, W], `logits > 0`.
        labels: [B, H, W], the label maps that the predictions were made from.
        pool: threads to share the work, or None.

    Returns:
        bool [B, H, W]
    """
    kept = (pool.map if pool else map)(drop_islands, logits, foreground, labels == DEFINITE_FOREGROUND)
    return np.stack([positive for _, positive in kept])
