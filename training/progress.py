"""Progress on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

ItemT = TypeVar("ItemT")


def progress(items: Iterable[ItemT], total: int | None = None, label: str = "") -> tqdm[ItemT]:
    """`items` with a bar on stderr, shown only if that is a terminal."""
    return tqdm(items, total=total, desc=label, disable=not sys.stderr.isatty(), leave=False)
