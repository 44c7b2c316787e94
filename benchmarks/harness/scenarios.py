"""The situations in which clicks are timed, generated from code: the label map, and where the click goes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inter2former_onnx.runtime import labels as label_map

CLICK_RADIUS = 5


@dataclass(frozen=True)
class Scenario:
    """One click to time.

    Attributes:
        name: for tables.
        labels: uint8 [T, T], the label map before the click.
        x, y: the click in model pixels.
        positive: its sign.
    """

    name: str
    labels: NDArray[np.uint8]
    x: int
    y: int
    positive: bool


def first_click(size: int) -> Scenario:
    """Make the first click: nothing is known yet."""
    return Scenario("first click", np.full((size, size), label_map.UNKNOWN, dtype=np.uint8), size // 2, size // 2, True)


def later_click(size: int, share: float) -> Scenario:
    """Make a correction at the border of an object that spans `share` of the image's side.

    Its predicted outline is wavy, two thirds of it carry a fringe of unknown pixels (where predictions disagreed), and
    a few earlier clicks have left their discs.

    Args:
        size: side T of the model's input in pixels.
        share: diameter of the object over T.
    """
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) + 0.5 - size / 2
    angle, distance = np.arctan2(rows, columns), np.hypot(rows, columns)
    outline = share * size / 2 * (0.92 + 0.06 * np.sin(7 * angle) + 0.02 * np.sin(23 * angle + 1))
    labels = np.where(distance < outline, label_map.POSSIBLE_FOREGROUND, label_map.POSSIBLE_BACKGROUND).astype(np.uint8)
    fringe = (np.abs(distance - outline) < 3) & (np.sin(3 * angle) > -0.5)
    labels[fringe] = label_map.UNKNOWN
    for turn, reach, positive in ((0.3, 0.0, True), (1.9, 0.5, True), (3.3, 1.08, False), (5.1, 0.8, True)):
        radius = reach * share * size / 2
        centre_x, centre_y = radius * np.cos(turn), radius * np.sin(turn)
        labels[np.hypot(columns - centre_x, rows - centre_y) <= CLICK_RADIUS] = (
            label_map.DEFINITE_FOREGROUND if positive else label_map.DEFINITE_BACKGROUND
        )
    edge = size / 2 + 0.9 * share * size / 2
    return Scenario(f"{share:.0%} object", labels, int(edge), size // 2, True)


def scenarios(size: int) -> list[Scenario]:
    """Make the first click, and later ones on objects of 15, 35 and 70 % of the side."""
    return [first_click(size), *(later_click(size, share) for share in (0.15, 0.35, 0.70))]


def object_clicks(size: int, share: float, count: int) -> list[Scenario]:
    """Make all clicks of one object: the first, then corrections all around its outline, inside and outside in turn.

    Each correction finds the label map of `later_click`: with random weights a session's own masks would not be an
    object's.

    Args:
        size: side T of the model's input in pixels.
        share: diameter of the object over T.
        count: how many clicks.
    """
    later = later_click(size, share)
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)[1:]
    clicks = [first_click(size)]
    for number, angle in enumerate(angles):
        reach = share * size / 2 * (0.9 if number % 2 else 1.05)
        x, y = (int(size / 2 + reach * way) for way in (np.cos(angle), np.sin(angle)))
        clicks.append(replace(later, x=x, y=y, positive=bool(number % 2)))
    return clicks
