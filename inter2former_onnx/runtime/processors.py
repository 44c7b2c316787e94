"""How many processors there are to use."""

from __future__ import annotations

import os


def usable_processors() -> int:
    """Count the processors that this process may run on: containers and taskset give fewer than the machine has."""
    usable = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(usable(0)) if usable else os.cpu_count() or 1
