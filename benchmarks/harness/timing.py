"""Interleaved timing: everything that is compared takes turns in one process, and ratios are of neighbours in time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WARM_UP = 2  # rounds before the timed ones
RUNS_PER_TURN = 2  # the first brings a contestant's data and threads back from what the others did; the last is timed


@dataclass(frozen=True)
class Times:
    """Seconds of every run, in order."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median run, in seconds."""
        return statistics.median(self.runs)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile, in seconds."""
        low, _, high = statistics.quantiles(self.runs, n=4) if len(self.runs) > 1 else (self.runs[0],) * 3
        return low, high

    def ratio_to(self, other: Times) -> float:
        """Compute how many times faster this is: the median over the rounds of other / self."""
        return statistics.median(b / a for a, b in zip(self.runs, other.runs, strict=True))

    def __str__(self) -> str:
        low, high = self.quartiles
        return f"{1e3 * self.median:8.2f} ms  [{1e3 * low:.2f} .. {1e3 * high:.2f}]"


def interleaved(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = WARM_UP,
    runs_per_turn: int = RUNS_PER_TURN,
) -> dict[str, Times]:
    """Time each contestant once per round, in turn, right after untimed runs of its own.

    Args:
        contestants: what to time, by name. Each is called `calls(rounds)` times with the defaults of the rest.
        rounds: timed rounds, at least 1.
        warm_up: rounds before the timed ones; one is enough for what takes seconds.
        runs_per_turn: of which the last is timed; likewise.

    Returns:
        The timed runs, by name; the k-th runs of two contestants are neighbours in time.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(warm_up + rounds):
        for name, run in contestants.items():
            for _ in range(runs_per_turn):
                start = time.perf_counter()
                run()
                elapsed = time.perf_counter() - start
            if turn >= warm_up:
                seconds[name].append(elapsed)
    return {name: Times(tuple(runs)) for name, runs in seconds.items()}


def calls(rounds: int) -> int:
    """Count how often `interleaved` calls each contestant, with its defaults."""
    return (WARM_UP + rounds) * RUNS_PER_TURN
