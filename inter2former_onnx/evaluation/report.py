"""One or several runs as a page: `report.md`, with `miou.png` and pictures of the worst objects."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import ArgumentError
from ..extras import missing
from ..outputs import OutputFile
from ..picture_folder import make_results_folder
from .curves import draw_curves
from .finished_run import FinishedRun
from .metrics import NOC_THRESHOLDS
from .worst import PICTURE_PATTERN, WORST_FOLDER

REPORT_FILE = "report.md"
CURVE_FILE = "miou.png"

MARKS = (1, 2, 3, 5, 10, 20)  # clicks that tables have columns for
MOST_BROKEN = 20  # named in the report, and as many notes


def write_report(runs: Sequence[FinishedRun], folder: Path) -> Path:
    """Write the page on `runs`.

    Args:
        runs: in the order of the tables.
        folder: where the page and its pictures go; made if need be.

    Returns:
        The page's path.

    Raises:
        ArgumentError: it cannot be written.
    """
    try:
        make_results_folder(folder, "eval")
    except OSError as error:
        raise ArgumentError(f"cannot make {folder}: {error.strerror or error}") from None
    if not missing("matplotlib"):
        with OutputFile(folder / CURVE_FILE) as out:
            out.write(lambda stream: draw_curves(runs, stream))
        curve = f"![mean IoU after each click]({CURVE_FILE})"
    else:
        curve = "The curve of the mean IoU over clicks is left out: matplotlib is not installed (extra `[eval]`)."
    parts = ["# Evaluation", _clicks_table(runs), _iou_table(runs), curve, _boundary_table(runs), _seconds_table(runs)]
    parts += [_broken(runs), _notes(runs), _worst(runs, folder), _conditions(runs)]
    text = "\n\n".join(part for part in parts if part) + "\n"
    with OutputFile(folder / REPORT_FILE) as out:
        out.write(lambda stream: stream.write(text.encode()))
    return folder / REPORT_FILE


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table.

    Args:
        head: a cell a column.
        rows: of as many cells.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _clicks_table(runs: Sequence[FinishedRun]) -> str:
    percents = [f"{100 * t:.0f}" for t in NOC_THRESHOLDS]
    head = ["data", "method", "objects", "clicks", *(f"NoC@{p}" for p in percents), *(f"NoF@{p}" for p in percents)]
    rows = []
    for run in runs:
        summary = run.summary
        noc = [f"{summary.noc[t]:.2f}" for t in NOC_THRESHOLDS]
        nof = [str(summary.nof[t]) for t in NOC_THRESHOLDS]
        rows.append([run.settings["dataset"], run.label, str(summary.objects), str(summary.clicks), *noc, *nof])
    title = (
        "## Clicks needed\n\nNoC@T: mean clicks to an IoU of T %, a miss counting the limit; NoF@T: how many missed."
    )
    return f"{title}\n\n{table(head, rows)}"


def _iou_table(runs: Sequence[FinishedRun]) -> str:
    rows = [[run.settings["dataset"], run.label, *_at(run.summary.miou)] for run in runs]
    return "## Mean IoU after k clicks\n\n" + table(["data", "method", *(f"@{k}" for k in MARKS)], rows)


def _boundary_table(runs: Sequence[FinishedRun]) -> str:
    rows = [[run.settings["dataset"], run.label, *_at(run.summary.boundary_miou)] for run in runs]
    return "## Mean boundary IoU after k clicks\n\n" + table(["data", "method", *(f"@{k}" for k in MARKS)], rows)


def _at(values: Sequence[float]) -> list[str]:
    return [f"{values[k - 1]:.3f}" if k <= len(values) else "" for k in MARKS]


def _seconds_table(runs: Sequence[FinishedRun]) -> str:
    head = ["data", "method", "threads", "encoding", "SPC", "5 %", "median", "95 %", "SPC with encoding"]
    rows = []
    for run in runs:
        s, made_with = run.summary, run.settings["made_with"]
        threads = f"{run.settings['threads']}"
        if made_with["processes"] > 1:
            threads += f" x {made_with['processes']} processes"
        seconds = (s.encode, s.spc, *s.click_quantiles, s.spc_encoding)
        rows.append([run.settings["dataset"], run.label, threads, *(f"{value:.4f}" for value in seconds)])
    title = (
        "## Seconds\n\nEncoding: a picture. SPC: from a click to its mask at the picture's size, mean and quantiles. "
        "SPC with encoding: each picture's encoding shared out among its clicks. Neither reading files nor simulating "
        "clicks is in any of them; processes side by side disturb each other's times."
    )
    return f"{title}\n\n{table(head, rows)}"


def _broken(runs: Sequence[FinishedRun]) -> str:
    parts = []
    for run in runs:
        broken = run.summary.broken
        if broken:
            named = [f"* {name}: {reason}" for name, reason in broken[:MOST_BROKEN]]
            more = [f"* and {len(broken) - MOST_BROKEN} more"] if len(broken) > MOST_BROKEN else []
            head = (
                f"{run.settings['dataset']}, {run.label}: {len(broken)} could not be used and are in no number above."
            )
            parts.append("\n".join([head, "", *named, *more]))
    return "## Broken or missing\n\n" + "\n\n".join(parts) if parts else ""


def _notes(runs: Sequence[FinishedRun]) -> str:
    parts = []
    for run in runs:
        if run.notes:
            more = [f"* and {len(run.notes) - MOST_BROKEN} more"] if len(run.notes) > MOST_BROKEN else []
            named = [f"* {note}" for note in run.notes[:MOST_BROKEN]]
            parts.append("\n".join([f"{run.settings['dataset']}, {run.label}:", "", *named, *more]))
    return "## Notes on pictures\n\n" + "\n\n".join(parts) if parts else ""


def _worst(runs: Sequence[FinishedRun], folder: Path) -> str:
    parts = []
    for run in runs:
        pictures = sorted((run.folder / WORST_FOLDER).glob(PICTURE_PATTERN))
        if pictures:
            links = [Path(os.path.relpath(picture, folder)).as_posix() for picture in pictures]
            images = [f"![object {number}](<{link}>)" for number, link in enumerate(links, start=1)]
            parts.append("\n\n".join([f"### {run.settings['dataset']}, {run.label}", *images]))
    title = (
        "## Worst objects\n\nThose with the lowest mean IoU over all clicks: the target, then the mask after k clicks."
    )
    return "\n\n".join([title, *parts]) if parts else ""


def _conditions(runs: Sequence[FinishedRun]) -> str:
    lines = ["## Conditions", ""]
    for run in runs:
        made_with = run.settings["made_with"]
        described = ", ".join(f"{k} {v}" for k, v in run.settings["method"].items() if k != "method")
        lines.append(
            f"* {run.settings['dataset']}, {run.settings['label']}: {made_with['date']}, {made_with['machine']}, "
            f"Python {made_with['python']}, inter2former-onnx {made_with['version']}; {described}"
        )
    return "\n".join(lines)
