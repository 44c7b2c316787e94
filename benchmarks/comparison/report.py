"""The measurements as a page: benchmarks/report/README.md. Every number and every comparison is computed from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.timing import Times

from inter2former_onnx.evaluation.report import table

from .contestants import CONTESTANTS, REFERENCE
from .losses import losses
from .measurements import Measurement, Section, ratio
from .plots import PLOTS, draw

COMMAND = "python benchmarks/compare.py"
DATA = "measurements.json"
MASKS = "masks/report.md"  # the report of `inter2former eval`, linked where it is there
BUSY_LOAD = 0.5  # a load average above this before a run began means that somebody else was computing


@dataclass(frozen=True)
class Table:
    """A section of the run that the page shows as a table: its title and what a reader needs to know."""

    title: str
    text: str


TABLES = {
    "encode": Table(
        "Encoding an image",
        "From 8-bit pixels, 1024 x 1024, to what clicks need of them: once an image. Dense tokens differ in clicks "
        "only, and are left out where nothing is clicked or only once.",
    ),
    "clicks": Table(
        "Clicks",
        "From the click to the 1024 x 1024 mask. Objects span so many per cent of the image's side; a later click is a "
        "correction at the outline after four others. With dense tokens every token has full attention and the whole "
        "image is drawn: what the paper measures its 3.2 x against. The SAM models get all clicks so far and their "
        "previous mask; they predict 256 x 256 pixels and draw those larger, this project predicts at 1024 x 1024 "
        "(tiny: 512 x 512).",
    ),
    "object": Table(
        "An object of 20 clicks",
        "The sum of a first click and 19 corrections around an object that spans 35 % of the side. Encoding is not in "
        "it.",
    ),
    "cold": Table(
        "Cold start and memory",
        "A fresh process each time, files in the system's cache. Opened: interpreter, imports and model are loaded. "
        "Ready for clicks: an image is encoded as well; this project loads its encoder only then. First mask: a first "
        "click is answered as well. Peak memory is the process's largest resident set up to there, files mapped into "
        "memory included.",
    ),
    "size": Table(
        "Size on disk",
        "What has to be there: graphs with their weights, or PyTorch's checkpoint. Nothing is quantised or halved. The "
        "graph that this project keeps for its next start, which takes up to twice as much again, is not counted.",
    ),
}


def write_report(sections: Mapping[str, Section], folder: Path) -> Path:
    """Write the page, its pictures and its data.

    Args:
        sections: by name; those of TABLES and PLOTS that are missing are left out of the page.
        folder: made if need be.

    Returns:
        The page's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = ["# How this project compares", _introduction(sections)]
    if (folder / MASKS).is_file():
        parts.append(f"How good the masks of the model that ships are, and GrabCut's: [{MASKS}]({MASKS}).")
    parts += [_losses(sections), _wins(sections)]
    parts += [_table(sections[name], shown) for name, shown in TABLES.items() if name in sections]
    for name, plot in PLOTS.items():
        if name in sections:
            draw(plot, sections[name].measurements, folder / plot.file)
            numbers = _numbers(sections[name], plot.axis) if plot.axis else _shares(sections[name])
            parts += [f"## {plot.title}\n\n{plot.text}", f"![{plot.title}]({plot.file})", numbers]
    parts += [_notes(sections), _conditions(sections)]
    data = json.dumps([asdict(section) for section in sections.values()]) + "\n"
    (folder / DATA).write_text(data, encoding="utf-8")
    page = folder / "README.md"
    page.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return page


def amount(measurement: Measurement, name: str) -> str:
    """Format the median and the quartiles of a contestant's runs, with their unit."""
    times = Times(measurement.runs[name])
    scale, unit = _scale(measurement, times.median)
    text = _digits(scale * times.median)
    if len(times.runs) > 1:
        low, high = times.quartiles
        text += f" [{_digits(scale * low)} .. {_digits(scale * high)}]"
    return f"{text} {unit}"


def _introduction(sections: Mapping[str, Section]) -> str:
    first = next(iter(sections.values()))
    lines = [
        f"Written by `{COMMAND}`: every measured number and every comparison on this page is computed from "
        f"[{DATA}]({DATA}).",
        "",
        "**All weights are random.** How long a model takes does not depend on what its weights are, and nothing here "
        "says how good its masks are. Under the random weights used, the box that this project draws follows the "
        "object, as it does after training; were it larger, its clicks would cost more, up to dense tokens.",
        "",
        *(f"* {line}" for line in first.machine),
        f"* measured {_dates(sections)}, in {sum(section.seconds for section in sections.values()) / 60:.0f} minutes",
    ]
    if first.settings.get("name") == "quick":
        lines.insert(0, "**A trial of the command on tiny models: its numbers and their labels mean nothing.**\n")
    busy = [f"{name} ({section.load:.1f})" for name, section in sections.items() if section.load > BUSY_LOAD]
    if busy:
        lines.append(
            f"* **The machine was not quiet**: load average before the run, by section: {', '.join(busy)}. "
            "Times are too long by an unknown amount."
        )
    if len({tuple(section.machine[:2]) for section in sections.values()}) > 1:
        lines.append("* **Not all sections were measured on one machine**; see Conditions.")
    return "\n".join(lines)


def _losses(sections: Mapping[str, Section]) -> str:
    rows = []
    for loss in losses(_compared(sections)):
        m = loss.measurement
        certain = "" if loss.ratio.certain else ", within the spread"
        factor = f"{loss.ratio.value:.2f} x{certain}"
        rows.append([m.metric, CONTESTANTS[loss.name].label, amount(m, REFERENCE), amount(m, loss.name), factor])
    title = "## Where this project loses"
    if not rows:
        return f"{title}\n\nNowhere: in no quantity measured did anything below need less."
    text = (
        "This project (vit_b, native ops) against every other way to run its model and every other model: all cases in "
        "which they need less. The factor is the median over neighbouring runs of ours / theirs; it is within the "
        "spread where the middle half of the pairs includes 1. A smaller model may need less and be worse: this says "
        "nothing of masks."
    )
    head = ["what", "who needs less", "this project", "they", "this project needs"]
    return f"{title}\n\n{text}\n\n{table(head, rows)}"


def _wins(sections: Mapping[str, Section]) -> str:
    """List what the reference is measured to be better in, by contestant."""
    rows = []
    compared = [m for m in _compared(sections) if REFERENCE in m.runs]
    for name, contestant in CONTESTANTS.items():
        if contestant.role not in ("variant", "peer"):
            continue
        ahead = [(ratio(m, name, REFERENCE), m) for m in compared if name in m.runs]
        won = [f"{m.metric} {r.value:.2f} x" for r, m in ahead if r.value > 1]
        if ahead:
            rows.append([contestant.label, f"{len(won)} of {len(ahead)}", "; ".join(won)])
    return "## Where it wins\n\n" + table(["against", "in", "they need"], rows) if rows else ""


def _table(section: Section, shown: Table) -> str:
    head = ["", *(m.metric for m in section.measurements)]
    rows, ratios = [], []
    for name, contestant in CONTESTANTS.items():
        if not any(name in m.runs for m in section.measurements):
            continue
        label = f"**{contestant.label}**" if name == REFERENCE else contestant.label
        rows.append([label, *(amount(m, name) if name in m.runs else "" for m in section.measurements)])
        if name != REFERENCE:
            cells = [
                f"{ratio(m, name, REFERENCE).value:.2f}" if {name, REFERENCE} <= set(m.runs) else ""
                for m in section.measurements
            ]
            ratios.append([label, *cells])
    text = f"## {shown.title}\n\n{shown.text} Median [quartiles].\n\n{table(head, rows)}"
    if any(cell for row in ratios for cell in row[1:]):
        text += f"\n\nHow many times as much as this project (median over neighbouring runs):\n\n{table(head, ratios)}"
    return text


def _numbers(section: Section, axis: str) -> str:
    """Tabulate what a plot with an axis shows: a column a contestant."""
    names = list(dict.fromkeys(name for m in section.measurements for name in m.runs))
    rows = [[m.metric, *(amount(m, name) if name in m.runs else "" for name in names)] for m in section.measurements]
    return table([axis, *(CONTESTANTS[name].label for name in names)], rows)


def _shares(section: Section) -> str:
    """Tabulate what a plot of parts shows: a column a part, with its share of the whole."""
    rows = []
    for m in section.measurements:
        total = sum(m.median(part) for part in m.runs)
        rows.append([m.metric, *(f"{amount(m, part)}, {m.median(part) / total:.0%}" for part in m.runs)])
    return table(["", *section.measurements[0].runs], rows)


def _compared(sections: Mapping[str, Section]) -> list[Measurement]:
    return [m for name in TABLES if name in sections for m in sections[name].measurements]


def _notes(sections: Mapping[str, Section]) -> str:
    notes = [f"* {note}" for section in sections.values() for note in section.notes]
    return "\n".join(["## Notes of the run", "", *notes]) if notes else ""


def _conditions(sections: Mapping[str, Section]) -> str:
    lines = [
        "## Conditions",
        "",
        "* All contestants of a table take turns: in one process (cold starts: in alternating processes), one timed "
        "run of each a round, after untimed rounds (cold starts: none). Ratios are of runs of the same round.",
        "* Thread counts are pinned to the number given above, for onnxruntime and for PyTorch.",
        "* Scenarios are generated by benchmarks/harness/scenarios.py. Everything is float32.",
        "* torch.compile gets the encoder's shapes as constants and the decoder's as variables; parts on which it "
        "fails run eagerly (benchmarks/comparison/compiled.py).",
        "* The SAM models are built by transformers from its configurations and cut as SAM's published ONNX export "
        "cuts them (benchmarks/comparison/sam_models.py). EfficientSAM-Ti's encoder is a plain ViT-Tiny with global "
        "attention; EdgeTAM, MobileSAM and TinySAM need encoders that transformers does not have by itself.",
    ]
    for section in sections.values():
        took = f"{section.seconds / 60:.1f} minutes, load {section.load:.1f} before"
        lines.append(f"* {section.name}: {section.date}; {'; '.join(section.machine)}; {took}")
    return "\n".join(lines)


def _dates(sections: Mapping[str, Section]) -> str:
    days = sorted({section.date[:10] for section in sections.values()})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _scale(measurement: Measurement, median: float) -> tuple[float, str]:
    if measurement.unit == "MB":
        return 1.0, "MB"
    return (1.0, "s") if median >= 1 else (1e3, "ms")


def _digits(value: float) -> str:
    """Format three digits that count, more where the number is larger."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
