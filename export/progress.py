"""Progress of long work: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Iterate over `items` behind a bar on standard error; `disable=None` silences it where there is no terminal."""
    yield from tqdm(items, desc=label, total=total, disable=None, leave=False)
