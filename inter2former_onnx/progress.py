"""Progress of long work: a bar on a terminal, silence in a pipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

ItemT = TypeVar("ItemT")


def progress(items: Iterable[ItemT], label: str, total: int | None = None) -> tqdm[ItemT]:
    """Show a bar on standard error while items are gone through, where that is a terminal.

    Args:
        items: what is gone through.
        label: stands before the bar.
        total: how many, where `items` cannot tell.

    Returns:
        `items` with the bar.
    """
    return tqdm(items, desc=label, total=total, disable=None, leave=False)
