"""Contact sheets: a row a target, its mask after some of the clicks, with the clicks drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from ..evaluation.targets import Mask
from ..runtime.click import Click
from .development import Example
from .sessions import Session

_FOREGROUND, _POSITIVE, _NEGATIVE = (255, 80, 40), (40, 220, 40), (230, 30, 30)


def contact_sheet(
    examples: Sequence[Example], sessions: Sequence[Session], after: Sequence[int], cell: int = 220
) -> NDArray[np.uint8]:
    """Draw a row a target: the target, then the masks after some of the clicks.

    Args:
        examples: the targets and their pictures.
        sessions: of the targets, with their masks.
        after: numbers of clicks after which the mask is shown.
        cell: side of each square of the sheet, in pixels.

    Returns:
        uint8 [rows * cell, (1 + len(after)) * cell, 3], RGB.
    """
    rows = []
    for example, session in zip(examples, sessions, strict=True):
        cells = [_cell(example.image, example.target.mask, [], "target", cell)]
        for count in after:
            clicks = [click for click in session.clicks[:count] if click]
            text = f"@{count} {session.overlaps[count - 1]:.3f}"
            cells.append(_cell(example.image, session.masks[count - 1], clicks, text, cell))
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows, axis=0)


def _cell(
    picture: NDArray[np.uint8], mask: Mask, clicks: Sequence[Click], text: str, cell: int
) -> NDArray[np.uint8]:
    height, width = mask.shape
    scale = cell / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    shown = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    image = np.where(shown[..., None], image // 2 + np.array(_FOREGROUND, dtype=np.uint8) // 2, image).astype(np.uint8)
    edge = cv2.morphologyEx(shown.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    image[edge] = (255, 255, 0)
    for x, y, positive in clicks:
        place = (int(x * scale), int(y * scale))
        cv2.circle(image, place, 3, _POSITIVE if positive else _NEGATIVE, -1)
        cv2.circle(image, place, 3, (255, 255, 255), 1)
    canvas = np.full((cell, cell, 3), 255, dtype=np.uint8)
    canvas[: size[1], : size[0]] = image
    cv2.putText(canvas, text, (4, cell - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return canvas


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Save a picture as its name's ending says.

    Args:
        path: of the file.
        image: uint8 [H, W, 3], RGB.

    Raises:
        ArgumentError: it cannot be written.
    """
    if not cv2.imwrite(str(path), np.ascontiguousarray(image[:, :, ::-1])):
        raise ArgumentError(f"{path} cannot be written as an image")
