"""The classic baseline: GrabCut (Rother et al. 2004) as OpenCV has it, steered by clicks alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CLICK_RADIUS = 5
FIRST_RADIUS_SHARE = 0.25  # of the image's shorter side: what a first click is taken to mean, probably
ITERATIONS = 5


@dataclass(frozen=True)
class GrabCutSettings:
    """Nothing to set."""

    name: str = "OpenCV GrabCut"

    def describe(self) -> dict[str, Any]:
        """The constants of this file."""
        return {
            "method": "grabcut",
            "click_radius": CLICK_RADIUS,
            "first_radius_share": FIRST_RADIUS_SHARE,
            "iterations": ITERATIONS,
            "opencv": cv2.__version__,
        }

    def open(self, threads: int) -> GrabCut:
        """Also gives OpenCV its threads, for the whole process."""
        cv2.setNumThreads(threads)
        return GrabCut()


class GrabCut:
    """Nothing is computed before a click."""

    def encode(self, image: NDArray[np.uint8]) -> GrabCutImage:
        """See `Method`."""
        return GrabCutImage(np.ascontiguousarray(image[:, :, ::-1]))


@dataclass(frozen=True)
class GrabCutImage:
    """An image, uint8 [height, width, 3], BGR."""

    image: NDArray[np.uint8]

    def session(self) -> GrabCutObject:
        """See `Encoded`."""
        return GrabCutObject(self.image)


class GrabCutObject:
    """The discs of the clicks are certain; the rest is "probably" what the last mask said.

    Before there is a mask, a large disc around the first click is probably object and all else probably background.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self._image = image
        self._certain = np.full(image.shape[:2], -1, dtype=np.int8)  # -1, or cv2.GC_BGD / GC_FGD inside click discs
        self._probable: NDArray[np.bool_] | None = None

    def click(self, x: int, y: int, positive: bool) -> NDArray[np.bool_]:
        """See `ClickedObject`."""
        if self._probable is None:
            large = round(FIRST_RADIUS_SHARE * min(self._image.shape[:2]))
            self._probable = self._disc(x, y, max(large, CLICK_RADIUS + 1)) if positive else ~self._disc(x, y, large)
        self._certain[self._disc(x, y, CLICK_RADIUS)] = cv2.GC_FGD if positive else cv2.GC_BGD
        labels = np.where(self._probable, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_PR_BGD))
        labels = np.where(self._certain >= 0, self._certain, labels).astype(np.uint8)
        if (labels & 1).any() and not (labels & 1).all():  # without pixels of both kinds there are no two colour models
            cv2.setRNGSeed(0)  # its k-means draws numbers from the thread's generator
            empty = np.zeros((1, 65), np.float64)
            cv2.grabCut(self._image, labels, (0, 0, 0, 0), empty, empty.copy(), ITERATIONS, cv2.GC_INIT_WITH_MASK)
        self._probable = (labels & 1) == 1
        return self._probable.copy()

    def _disc(self, x: int, y: int, radius: int) -> NDArray[np.bool_]:
        rows, columns = np.ogrid[: self._image.shape[0], : self._image.shape[1]]
        disc: NDArray[np.bool_] = (rows - y) ** 2 + (columns - x) ** 2 <= radius * radius
        return disc
