"""From lines to numbers: NoC, NoF, mIoU, boundary IoU, seconds per click."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..wording import counted
from .metrics import NOC_THRESHOLDS, clicks_needed, number_of_clicks
from .results import Line


@dataclass(frozen=True)
class Summary:
    """A run's numbers.

    Attributes:
        objects, pictures: evaluated.
        broken: (name, reason) of each picture or object that could not be.
        clicks: the protocol's number of clicks K.
        noc: by threshold, mean clicks to reach it, a miss counting K.
        nof: by threshold, objects that never reached it.
        miou, boundary_miou: mean over objects after each click [K].
        spc: mean seconds from a click to its mask.
        spc_encoding: the same with each picture's encoding shared out among its clicks.
        encode: mean seconds of encoding a picture.
        click_quantiles: 5 %, 50 % and 95 % of the seconds from a click to its mask.
    """

    objects: int
    pictures: int
    broken: list[tuple[str, str]]
    clicks: int
    noc: dict[float, float]
    nof: dict[float, int]
    miou: list[float]
    boundary_miou: list[float]
    spc: float
    spc_encoding: float
    encode: float
    click_quantiles: tuple[float, float, float]


def summarise(lines: Sequence[Line]) -> Summary | None:
    """Compute the numbers of a run.

    Args:
        lines: in the data set's order.

    Returns:
        The numbers; None when there is no object in the lines.
    """
    broken = [(line["name"], line["error"]) for line in lines if "error" in line]
    objects = [line for line in lines if "error" not in line]
    if not objects:
        return None
    ious = [line["ious"] for line in objects]
    limit = len(ious[0])
    reached = {t: number_of_clicks(ious, t, limit) for t in NOC_THRESHOLDS}
    seconds = np.array([s for line in objects for s in line["click_seconds"]])
    # A picture is encoded once, however many objects it has (again where a run was resumed in its middle).
    encodings = {line["picture"]: line["encode_seconds"] for line in reversed(objects)}
    encoding = float(sum(encodings.values()))
    low, median, high = np.quantile(seconds, (0.05, 0.5, 0.95)).tolist()
    return Summary(
        objects=len(objects),
        pictures=len(encodings),
        broken=broken,
        clicks=limit,
        noc={t: mean for t, (mean, _) in reached.items()},
        nof={t: failures for t, (_, failures) in reached.items()},
        miou=np.mean(ious, axis=0).tolist(),
        boundary_miou=np.mean([line["boundary_ious"] for line in objects], axis=0).tolist(),
        spc=float(seconds.mean()),
        spc_encoding=(float(seconds.sum()) + encoding) / len(seconds),
        encode=encoding / len(encodings),
        click_quantiles=(low, median, high),
    )


def worst(lines: Iterable[Line], count: int) -> list[Line]:
    """Choose the `count` objects with the lowest mean IoU over all clicks.

    Returns:
        Their lines, worst first; ties in the data set's order.
    """
    objects = [line for line in lines if "error" not in line]
    return sorted(objects, key=lambda line: float(np.mean(line["ious"])))[:count]


class Running:
    """NoC so far, for the progress bar."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._clicks = {threshold: 0 for threshold in NOC_THRESHOLDS}
        self._objects = self._broken = 0
        self.add(lines)

    def add(self, lines: Iterable[Line]) -> None:
        """Count more lines."""
        for line in lines:
            if "error" in line:
                self._broken += 1
                continue
            self._objects += 1
            for threshold in NOC_THRESHOLDS:
                self._clicks[threshold] += clicks_needed(line["ious"], threshold) or len(line["ious"])

    def text(self) -> str:
        """Say the numbers so far, such as "12 objects, NoC 80/85/90/95: 3.1 4.0 6.2 9.9, 1 broken"."""
        if not self._objects:
            return f"{self._broken} broken" if self._broken else ""
        means = " ".join(f"{self._clicks[t] / self._objects:.1f}" for t in NOC_THRESHOLDS)
        names = "/".join(f"{100 * t:.0f}" for t in NOC_THRESHOLDS)
        broken = f", {self._broken} broken" if self._broken else ""
        return f"{counted(self._objects, 'object')}, NoC {names}: {means}{broken}"
