"""What was measured, as it lies on disk: a JSON file a section, so that a stopped run goes on where it was."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.timing import Times

from inter2former_onnx.runtime.files import write_file

Unit = Literal["s", "MB"]


@dataclass(frozen=True)
class Measurement:
    """One quantity, of every contestant that has it.

    Attributes:
        metric: what, as tables name it.
        unit: seconds, or 10^6 bytes.
        runs: every timed run by contestant; the k-th runs of two contestants are neighbours in time.
        x: where it lies on a scaling plot's axis.
    """

    metric: str
    unit: Unit
    runs: Mapping[str, tuple[float, ...]]
    x: float | None = None

    def median(self, name: str) -> float:
        """Compute the median of a contestant's runs, in the unit."""
        return statistics.median(self.runs[name])


@dataclass(frozen=True)
class Ratio:
    """How many times as much one contestant needs as another.

    Attributes:
        value: median over pairs of neighbouring runs; of the medians where runs are not paired.
        quartiles: of the pairs' ratios; None where there are fewer than two pairs.
    """

    value: float
    quartiles: tuple[float, float] | None

    @property
    def certain(self) -> bool:
        """Whether the middle half of the pairs lies on one side of 1. Without pairs nothing says otherwise."""
        return self.quartiles is None or not self.quartiles[0] <= 1 <= self.quartiles[1]


def ratio(measurement: Measurement, numerator: str, denominator: str) -> Ratio:
    """Compute `numerator` over `denominator`, both names of contestants."""
    above, below = measurement.runs[numerator], measurement.runs[denominator]
    if len(above) != len(below):
        return Ratio(statistics.median(above) / statistics.median(below), None)
    pairs = Times(tuple(a / b for a, b in zip(above, below, strict=True)))
    return Ratio(pairs.median, pairs.quartiles if len(above) > 1 else None)


@dataclass(frozen=True)
class Section:
    """One part of a run.

    Attributes:
        name: of the section.
        date: of its end, ISO.
        seconds: it took.
        load: the machine's load average over a minute, before the run began.
        machine: lines on machine and software.
        settings: what it was measured with; a section with other settings is measured again.
        notes: what failed, and what a reader must know.
        measurements: in the order of tables.
    """

    name: str
    date: str
    seconds: float
    load: float
    machine: list[str]
    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write it to NAME.json in the folder; the file appears whole."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1) + "\n"
        write_file(folder / f"{self.name}.json", lambda stream: stream.write(text.encode()))


def read_section(path: Path) -> Section:
    """Read what `Section.write` wrote."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    measurements = [
        Measurement(m["metric"], m["unit"], {name: tuple(runs) for name, runs in m["runs"].items()}, m["x"])
        for m in fields.pop("measurements")
    ]
    return Section(**fields, measurements=measurements)


def kept_section(folder: Path, name: str, settings: Mapping[str, Any]) -> Section | None:
    """Read a section of an earlier run with equal settings, if there is one."""
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    try:
        section = read_section(path)
    except (ValueError, KeyError, TypeError) as error:
        print(f"{path} cannot be read ({error!r}) and is measured again", file=sys.stderr)
        return None
    return section if section.settings == settings else None
