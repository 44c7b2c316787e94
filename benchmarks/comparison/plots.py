"""The report's pictures: how a click scales, and what it consists of. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.timing import Times

from .contestants import CONTESTANTS
from .measurements import Measurement


@dataclass(frozen=True)
class Plot:
    """A picture of one section.

    Attributes:
        title, text: of the page's part.
        file: the PNG.
        axis: what `Measurement.x` is; None for bars that stack the parts of each measurement.
    """

    title: str
    text: str
    file: str
    axis: str | None


PLOTS = {
    "object_size": Plot(
        "Click latency over object size",
        "A correction at the outline of an object. What this project computes follows the object; dense tokens and the "
        "SAM models do not know where it is.",
        "object_size.png",
        "object's diameter, % of the image's side",
    ),
    "resolution": Plot(
        "Click latency over resolution",
        "The model's own input in pixels a side; a correction on an object of 35 % of the side. The mask drawn has "
        "1024 x 1024 pixels throughout.",
        "resolution.png",
        "side of the model's input, pixels",
    ),
    "threads": Plot(
        "Click latency over threads",
        "A correction on an object of 35 % of the side.",
        "threads.png",
        "threads",
    ),
    "stages": Plot(
        "What a click consists of",
        "The parts of a click on vit_b with native ops, each timed by itself. The decoder is what routing and prompt "
        "leave of the three together.",
        "stages.png",
        None,
    ),
}


def draw(plot: Plot, measurements: Sequence[Measurement], path: Path) -> None:
    """Write the PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    (_lines if plot.axis else _bars)(axes, measurements)
    axes.set(title=plot.title, **({"xlabel": plot.axis, "ylabel": "ms"} if plot.axis else {"xlabel": "ms"}))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _lines(axes: Any, measurements: Sequence[Measurement]) -> None:
    """Draw a line a contestant: medians, with quartiles as bars."""
    for name in dict.fromkeys(name for m in measurements for name in m.runs):
        points = [(m.x, Times(m.runs[name])) for m in measurements if name in m.runs]
        places = [x for x, _ in points]
        medians = [1e3 * times.median for _, times in points]
        quartiles = [times.quartiles for _, times in points]
        low = [median - 1e3 * lower for median, (lower, _) in zip(medians, quartiles, strict=True)]
        high = [1e3 * upper - median for median, (_, upper) in zip(medians, quartiles, strict=True)]
        axes.errorbar(places, medians, yerr=[low, high], marker="o", capsize=2, label=CONTESTANTS[name].label)
    axes.set_xticks([m.x for m in measurements])
    axes.set_ylim(bottom=0)


def _bars(axes: Any, measurements: Sequence[Measurement]) -> None:
    """Draw a bar a measurement, its parts in a row."""
    names = list(dict.fromkeys(name for m in measurements for name in m.runs))
    left = [0.0] * len(measurements)
    for name in names:
        widths = [1e3 * m.median(name) for m in measurements]
        axes.barh([m.metric for m in measurements], widths, left=left, label=name)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
