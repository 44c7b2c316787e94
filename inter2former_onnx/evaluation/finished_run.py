"""What a run's folder holds when it is done, or as far as it got."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from ..wording import counted
from .metrics import NOC_THRESHOLDS
from .results import Line, read_lines, read_settings
from .summary import Summary, summarise


@dataclass(frozen=True)
class FinishedRun:
    """A run's folder and what is in it."""

    folder: Path
    settings: dict[str, Any]
    lines: list[Line]
    summary: Summary

    @property
    def label(self) -> str:
        """The method, with what a reader must know about it."""
        notes = []
        if self.settings["method"].get("random_weights"):
            notes.append("random weights")
        done = len({line["picture"] for line in self.lines})
        if done < self.settings["pictures"]:
            notes.append(f"incomplete: {done} of {counted(self.settings['pictures'], 'picture')}")
        return self.settings["label"] + (f" ({', '.join(notes)})" if notes else "")

    @property
    def notes(self) -> list[str]:
        """What is to be known of single pictures, each once."""
        return list(dict.fromkeys(line["note"] for line in self.lines if "note" in line))

    def line(self) -> str:
        """Say the most important numbers in one line, for a terminal."""
        s = self.summary
        noc = " ".join(f"NoC@{100 * t:.0f} {s.noc[t]:.2f}" for t in NOC_THRESHOLDS)
        broken = f"; {len(s.broken)} broken" if s.broken else ""
        at = f"mIoU@1 {s.miou[0]:.3f} @{s.clicks} {s.miou[-1]:.3f}, {s.spc:.4f} s a click"
        return f"{self.settings['dataset']}, {self.label}: {counted(s.objects, 'object')}, {noc}, {at}{broken}"


def read_run(folder: Path) -> FinishedRun:
    """Read the run in `folder`, finished or not.

    Raises:
        ArgumentError: no run there, or one without a single object.
    """
    settings, lines = read_settings(folder), read_lines(folder)
    summary = summarise(lines)
    if summary is None:
        broken = [line for line in lines if "error" in line]
        reason = f"; {len(broken)} could not be used, the first: {broken[0]['error']}" if broken else ""
        raise ArgumentError(f"{folder}: no object was evaluated{reason}")
    return FinishedRun(folder, settings, lines, summary)
