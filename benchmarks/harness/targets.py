"""Targets of an evaluation list."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Item = TypeVar("Item")


def spread(targets: list[Item], count: int) -> list[Item]:
    """Choose at most `count` of them, evenly spread over the list."""
    return targets[:: max(1, -(-len(targets) // count))]
