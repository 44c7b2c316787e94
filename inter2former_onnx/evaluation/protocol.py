"""One object: clicks where the mask is wrong most, the mask after each, and how good it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ..runtime.click import Click
from .clicks import simulate_click
from .methods import Encoded
from .metrics import boundary, boundary_iou, boundary_width, iou
from .targets import Mask, Target

CLICKS = 20


@dataclass(frozen=True)
class ObjectResult:
    """What happened on one object.

    Attributes:
        ious, boundary_ious: after each of the protocol's clicks; where no error was left, the last goes on.
        clicks: those that were made.
        seconds: from each click to its mask.
    """

    ious: list[float]
    boundary_ious: list[float]
    clicks: list[Click]
    seconds: list[float]


def evaluate_object(
    image: Encoded, target: Target, clicks: int = CLICKS, watch: Callable[[Click, Mask], object] | None = None
) -> ObjectResult:
    """Click on one object until `clicks` were made or nothing is wrong any more.

    Args:
        image: encoded by the method that is measured.
        target: what to reach.
        clicks: the most that are made.
        watch: called with each click and the mask after it.
    """
    session = image.session()
    mask, clicked = np.zeros_like(target.mask), np.zeros_like(target.mask)
    band = boundary(target.mask, boundary_width(target.mask.shape))
    result = ObjectResult([], [], [], [])
    for _ in range(clicks):
        click = simulate_click(mask, target.mask, target.void, clicked)
        if click is None:
            break
        start = perf_counter()
        mask = session.click(*click)
        result.seconds.append(perf_counter() - start)
        clicked[click.y, click.x] = True
        result.clicks.append(click)
        result.ious.append(iou(mask, target.mask, target.void))
        result.boundary_ious.append(boundary_iou(mask, band, target.void))
        if watch is not None:
            watch(click, mask)
    return ObjectResult(
        _continued(result.ious, clicks), _continued(result.boundary_ious, clicks), result.clicks, result.seconds
    )


def _continued(values: Sequence[float], length: int) -> list[float]:
    return [*values, *[values[-1]] * (length - len(values))]
