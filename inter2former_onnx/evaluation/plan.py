"""From a command line to runs: each data set or target list with each method, every one with a folder of its own."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ArgumentError
from . import results
from .datasets import READERS
from .datasets.regions import listed
from .methods import MethodSettings
from .runner import run
from .summary import worst
from .targets import Picture
from .worst import draw_worst

PROTOCOL = 1  # raised when the rules change, so that a run is not continued under other ones


@dataclass(frozen=True)
class PlannedRun:
    """One data set or list with one method: `settings` are what `results.begin` compares."""

    folder: Path
    pictures: Sequence[Picture]
    method: MethodSettings
    settings: dict[str, Any]


def plan_runs(
    dataset: str,
    data: Path,
    lists: Sequence[str],
    methods: Mapping[str, MethodSettings],
    out: Path,
    clicks: int,
    threads: int,
) -> list[PlannedRun]:
    """Plan all runs of a command line. A single one gets `out` itself, several get folders in it.

    Args:
        dataset: one of `datasets.READERS`.
        data: its folder.
        lists: target lists in it (`regions` only); each is a run.
        methods: by name; each is a run.
        out: folder of the run or runs.
        clicks: of the protocol.
        threads: of each process.

    Raises:
        Inter2FormerError: the data set or a list is not there, or a method cannot be opened.
    """
    if not data.exists():
        raise ArgumentError(f"--data {data}: no such file or folder")
    if lists and dataset != "regions":
        raise ArgumentError(f"--list goes with --dataset regions, not with {dataset}")
    if len({Path(name).stem for name in lists}) < len(lists):
        raise ArgumentError(f"--list: expected files of different names, found {', '.join(lists)}")
    sources = {Path(name).stem: listed(data, name) for name in lists} or {dataset: READERS[dataset](data)}
    described = {name: method.describe() for name, method in methods.items()}
    several = len(sources) * len(methods) > 1
    planned = []
    for source, pictures in sources.items():
        for name, method in methods.items():
            settings = {
                "protocol": PROTOCOL,
                "dataset": source,
                "pictures": len(pictures),
                "picture_names_sha256": _names_digest(pictures),
                "method": described[name],
                "clicks": clicks,
                "threads": threads,
                "label": method.name,
                "data": str(data),
            }
            folder = out / (f"{source}-{name}" if len(sources) > 1 else name) if several else out
            planned.append(PlannedRun(folder, pictures, method, settings))
    return planned


def carry_out(planned: PlannedRun, processes: int, worst_count: int) -> None:
    """Do what is left of a run and draw its worst objects.

    Args:
        planned: the run.
        processes: work on pictures side by side.
        worst_count: how many objects to draw.

    Raises:
        Inter2FormerError: the folder holds another run, or the method fails.
    """
    settings = {**planned.settings, "made_with": _made_with(processes)}
    threads = settings["threads"]
    with results.claim(planned.folder, settings):
        run(planned.pictures, planned.method, planned.folder, settings["clicks"], processes, threads)
        lines = worst(results.read_lines(planned.folder), worst_count)
        draw_worst(lines, planned.pictures, planned.method, threads, planned.folder)


def _names_digest(pictures: Sequence[Picture]) -> str:
    return hashlib.sha256("\n".join(picture.name for picture in pictures).encode()).hexdigest()


def _made_with(processes: int) -> dict[str, Any]:
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} logical processors",
        "python": platform.python_version(),
        "version": __version__,
        "processes": processes,
    }


def _processor() -> str:
    """Read the processor's name where the system says it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
