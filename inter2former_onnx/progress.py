"""Progress of long work: a bar on a terminal, silence in a pipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

ItemT = TypeVar("ItemT")


def progress(items: Iterable[ItemT], label: str, total: int | None = None) -> tqdm[ItemT]:
    """`items` with a bar on standard error; `disable=None` leaves it out where that is no terminal."""
    return tqdm(items, desc=label, total=total, disable=None, leave=False)
