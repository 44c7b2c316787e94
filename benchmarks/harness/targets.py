"""Targets of an evaluation list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(targets: Sequence[Item], count: int) -> Sequence[Item]:
    """Choose at most `count` of them, evenly spread over the list."""
    return targets[:: max(1, -(-len(targets) // count))]
