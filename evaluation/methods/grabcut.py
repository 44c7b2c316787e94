"""The classic baseline: GrabCut (Rother et al. 2004) as OpenCV has it, steered by clicks alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CLICK_RADIUS = 5
PROBABLE_SHARE = 0.2  # of the image's shorter side: how far around a positive click is probably object
ITERATIONS = 1


@dataclass(frozen=True)
class GrabCutSettings:
    """Nothing to set."""

    name: str = "OpenCV GrabCut"

    def describe(self) -> dict[str, Any]:
        """The constants of this file."""
        return {
            "method": "grabcut",
            "click_radius": CLICK_RADIUS,
            "probable_share": PROBABLE_SHARE,
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
    """The discs of the clicks are certain; around a positive click, as far as no negative one is nearer, is probably
    object, the rest probably background. That is said anew at each click. Starting from the last mask instead keeps
    GrabCut from giving a large area back: on seven targets, the mean IoU after five clicks was 0.53 against 0.83.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self._image = image
        self._reach = PROBABLE_SHARE * min(image.shape[:2])
        self._certain = np.full(image.shape[:2], _NOTHING, dtype=np.uint8)
        # Squared distances to the nearest positive and the nearest negative click.
        self._to_positive, self._to_negative = np.full((2, *image.shape[:2]), _FAR, dtype=np.int64)

    def click(self, x: int, y: int, positive: bool) -> NDArray[np.bool_]:
        """See `ClickedObject`."""
        rows, columns = np.ogrid[: self._image.shape[0], : self._image.shape[1]]
        distances = (rows - y) ** 2 + (columns - x) ** 2
        nearest = self._to_positive if positive else self._to_negative
        np.minimum(nearest, distances, out=nearest)
        self._certain[distances <= CLICK_RADIUS**2] = cv2.GC_FGD if positive else cv2.GC_BGD
        probable = (self._to_positive < self._to_negative) & (self._to_positive <= self._reach**2)
        labels = np.where(probable, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_PR_BGD))
        labels = np.where(self._certain != _NOTHING, self._certain, labels)
        if (labels & 1).any() and not (labels & 1).all():  # without pixels of both kinds there are no two colour models
            cv2.setRNGSeed(0)  # its k-means draws numbers from the thread's generator
            models = np.zeros((2, 1, 65), np.float64)
            cv2.grabCut(self._image, labels, (0, 0, 0, 0), models[0], models[1], ITERATIONS, cv2.GC_INIT_WITH_MASK)
        mask: NDArray[np.bool_] = (labels & 1) == 1
        return mask


_NOTHING = 255  # no click's disc
_FAR = 2**60
