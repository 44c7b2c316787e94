"""Pictures of the objects that went worst, click by click."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import write_image
from ..outputs import OutputFile
from ..overlay import draw_overlay, side_by_side
from ..picture_folder import make_results_folder
from ..progress import progress
from ..runtime.click import Click
from .methods import MethodSettings
from .reduction import reduce_image
from .results import Line
from .targets import Mask, Picture
from .upright import read_picture

WORST_FOLDER = "worst"
PICTURE_PATTERN = "[0-9][0-9].png"

SHOWN = (1, 2, 3, 4, 5, 10, 20)  # clicks after which the mask is shown
COLUMNS = 4
PANEL_SIDE = 320  # pixels of a panel's longer side


def draw_worst(
    lines: Sequence[Line], pictures: Sequence[Picture], method: MethodSettings, threads: int, folder: Path
) -> None:
    """Write a PNG for each of `lines` into `folder/worst`, whose earlier pictures go.

    The masks are not in the lines: the method is given the same clicks again.

    Args:
        lines: of the objects, worst first.
        pictures: of the data set.
        method: that was measured.
        threads: that it may use.
        folder: of the run.
    """
    place = folder / WORST_FOLDER
    make_results_folder(place, "eval")
    for old in place.glob(PICTURE_PATTERN):
        old.unlink()
    if not lines:
        return
    opened = method.open(threads)
    for number, line in enumerate(progress(lines, label="draw worst"), start=1):
        picture = pictures[line["picture"]]
        image, targets, _ = read_picture(picture)
        target = targets[line["object"]]
        session = opened.encode(image).session()
        clicks = [Click(x, y, bool(positive)) for x, y, positive in line["clicks"]]
        masks = [session.click(*click) for click in clicks]
        sheet = contact_sheet(image, target.mask, target.void, masks, clicks, line["ious"], line["name"])
        with OutputFile(place / f"{number:02d}.png") as out:
            out.write(lambda stream, sheet=sheet: write_image(stream, sheet, ".png"))  # type: ignore[misc]


def contact_sheet(
    image: NDArray[np.uint8],
    target: Mask,
    void: Mask | None,
    masks: Sequence[Mask],
    clicks: Sequence[Click],
    ious: Sequence[float],
    name: str,
) -> NDArray[np.uint8]:
    """Draw the target, then the mask after some of the clicks with these.

    Args:
        image: uint8 [H, W, 3], RGB.
        target, void: bool [H, W]; pixels of `void` do not count.
        masks: bool [H, W] after each click.
        clicks: on the image.
        ious: after each click.
        name: of the object.

    Returns:
        uint8 [height, width, 3], RGB.
    """
    scale = min(1.0, PANEL_SIDE / max(image.shape[:2]))
    small = reduce_image(image, PANEL_SIDE)
    size = (small.shape[1], small.shape[0])
    shown_target = small.copy()
    if void is not None:
        shown_target[_reduced(void, size)] //= 3  # dark: does not count
    panels = [draw_overlay(shown_target, _reduced(target, size), [])]
    captions = [f"target {name}"]
    for count in (k for k in SHOWN if k <= len(masks)):
        reduced = [
            Click(min(int(c.x * scale), size[0] - 1), min(int(c.y * scale), size[1] - 1), c.positive)
            for c in clicks[:count]
        ]
        panels.append(draw_overlay(small, _reduced(masks[count - 1], size), reduced))
        captions.append(f"{count} click{'s' if count > 1 else ''}: IoU {ious[count - 1]:.3f}")
    while len(panels) % COLUMNS:
        panels.append(np.full_like(small, 255))
        captions.append("")
    rows = [side_by_side(panels[i : i + COLUMNS], captions[i : i + COLUMNS]) for i in range(0, len(panels), COLUMNS)]
    return np.concatenate(rows, axis=0)


def _reduced(mask: Mask, size: tuple[int, int]) -> Mask:
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)) > 0
