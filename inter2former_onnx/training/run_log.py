"""The run's log: one JSON object a line, and its curves as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..evaluation.report import MARKS

LOG_FILE = "log.jsonl"


class RunLog:
    """Appends lines to a file; every line is on the disk when `write` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, kind: str, **values: Any) -> None:
        """Append {"kind": kind, ...}; numbers are rounded to six digits."""
        line = {"kind": kind, **{name: _plain(value) for name, value in values.items()}}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read all complete lines of a log; a last line cut short by a crash is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def plot_log(path: Path, target: Path) -> None:
    """Draw losses, IoU in training, IoU on the development list, and codes and experts over time (hours).

    Args:
        path: of the log.
        target: the PNG to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = read_log(path)
    steps = [line for line in lines if line["kind"] == "step"]
    evaluations = [line for line in lines if line["kind"] == "evaluation"]
    figure, ((losses, overlap), (development, inner)) = pyplot.subplots(2, 2, figsize=(14, 9))
    hours = [line["hours"] for line in steps]
    for name in ("entropy", "overlap", "clicks", "localisation", "blocks", "same_region"):
        losses.plot(hours, [line[name] for line in steps], label=name, linewidth=0.8)
    losses.set(title="losses (weighted, smoothed)", yscale="log", xlabel="hours")
    for name in ("iou_first", "iou_last", "clicks_right"):
        overlap.plot(hours, [line[name] for line in steps], label=name, linewidth=0.8)
    overlap.set(title="training batches", xlabel="hours", ylim=(0, 1))
    times = [line["hours"] for line in evaluations]
    for clicks in MARKS:
        known = [(line["hours"], line["iou"]) for line in evaluations]
        points = [(hour, overlaps[clicks - 1]) for hour, overlaps in known if len(overlaps) >= clicks]
        if points:
            development.plot(*zip(*points, strict=True), marker=".", label=f"IoU@{clicks}")
    development.plot(times, [line["clicks_right"] for line in evaluations], "k--", label="clicks right")
    development.set(title="development list, averaged weights", xlabel="hours", ylim=(0.3, 1))
    for block in range(len(evaluations[0]["codes_used"]) if evaluations else 0):
        inner.plot(times, [line["codes_used"][block] for line in evaluations], label=f"codes used, block {block}")
    shares = inner.twinx()
    for block in range(len(evaluations[0]["expert_shares"]) if evaluations else 0):
        for expert in range(len(evaluations[0]["expert_shares"][block])):
            values = [line["expert_shares"][block][expert] for line in evaluations]
            shares.plot(times, values, ":", linewidth=0.8)
    shares.set(ylim=(0, 1), ylabel="expert shares (dotted)")
    inner.set(title="codes and experts", xlabel="hours")
    for axes in (losses, overlap, development, inner):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(target, dpi=80)
    pyplot.close(figure)
