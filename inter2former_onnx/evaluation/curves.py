"""The curve of the mean IoU over clicks, a line a run. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from .finished_run import FinishedRun


def draw_curves(runs: Sequence[FinishedRun], stream: BinaryIO) -> None:
    """Draw a panel a data set and a line a method, as PNG.

    Args:
        runs: those to draw.
        stream: where the file goes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    datasets = list(dict.fromkeys(run.settings["dataset"] for run in runs))
    figure = Figure(figsize=(5.2 * len(datasets), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(datasets), squeeze=False)[0]
    for panel, dataset in zip(panels, datasets, strict=True):
        for run in runs:
            if run.settings["dataset"] == dataset:
                values = run.summary.miou
                panel.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=run.label)
        panel.set(title=dataset, xlabel="clicks", ylabel="mean IoU", ylim=(0.0, 1.0))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
        panel.legend(loc="lower right", fontsize="small")
    figure.savefig(stream, format="png", dpi=120)
