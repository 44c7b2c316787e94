"""The classic baseline: GrabCut (Rother et al. 2004) as OpenCV has it, steered by clicks alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..reduction import reduce_image

CLICK_RADIUS = 5


@dataclass(frozen=True)
class GrabCutSettings:
    """The constants that its masks depend on; benchmarks/grabcut_constants.py measures what is best.

    Attributes:
        longest_side: pixels to which larger images are reduced; a click's disc and colour models of noise cover more
            of a reduced one, and it is quicker. 0: images as they are.
        probable_share: of the image's shorter side: how far around a positive click is probably object.
        iterations: of GrabCut, a click.
    """

    name: str = "OpenCV GrabCut"
    longest_side: int = 256
    probable_share: float = 0.07
    iterations: int = 3

    def describe(self) -> dict[str, Any]:
        """Say the constants, the radius of a click's disc, and OpenCV's version."""
        return {
            "method": "grabcut",
            "click_radius": CLICK_RADIUS,
            "longest_side": self.longest_side,
            "probable_share": self.probable_share,
            "iterations": self.iterations,
            "opencv": cv2.__version__,
        }

    def open(self, threads: int) -> GrabCut:
        """Open the method, and give OpenCV its threads, for the whole process."""
        cv2.setNumThreads(threads)
        return GrabCut(self)


@dataclass(frozen=True)
class GrabCut:
    """Nothing is computed before a click."""

    settings: GrabCutSettings

    def encode(self, image: NDArray[np.uint8]) -> GrabCutImage:
        """See `Method`."""
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        if self.settings.longest_side:
            bgr = reduce_image(bgr, self.settings.longest_side)
        return GrabCutImage(bgr, image.shape[0], image.shape[1], self.settings)


@dataclass(frozen=True)
class GrabCutImage:
    """An image as GrabCut sees it, uint8 [h, w, 3], BGR, and the size that its masks have."""

    image: NDArray[np.uint8]
    height: int
    width: int
    settings: GrabCutSettings

    def session(self) -> GrabCutObject:
        """See `Encoded`."""
        return GrabCutObject(self)


class GrabCutObject:
    """The discs of the clicks are certain; around a positive click, as far as no negative one is nearer, is probably
    object, the rest probably background. That is said anew at each click. Starting from the last mask instead keeps
    GrabCut from giving a large area back: on seven targets, the mean IoU after five clicks was 0.53 against 0.83.
    """

    def __init__(self, image: GrabCutImage) -> None:
        self._image = image
        size = image.image.shape[:2]
        self._reach = image.settings.probable_share * min(size)
        self._certain = np.full(size, _NOTHING, dtype=np.uint8)
        # Squared distances to the nearest positive and the nearest negative click.
        self._to_positive, self._to_negative = np.full((2, *size), _FAR, dtype=np.int64)

    def click(self, x: int, y: int, positive: bool) -> NDArray[np.bool_]:
        """See `ClickedObject`."""
        image, settings = self._image.image, self._image.settings
        row, column = y * image.shape[0] // self._image.height, x * image.shape[1] // self._image.width
        rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
        distances = (rows - row) ** 2 + (columns - column) ** 2
        nearest = self._to_positive if positive else self._to_negative
        np.minimum(nearest, distances, out=nearest)
        self._certain[distances <= CLICK_RADIUS**2] = cv2.GC_FGD if positive else cv2.GC_BGD
        probable = (self._to_positive < self._to_negative) & (self._to_positive <= self._reach**2)
        labels = np.where(probable, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_PR_BGD))
        labels = np.where(self._certain != _NOTHING, self._certain, labels)
        if (labels & 1).any() and not (labels & 1).all():  # without pixels of both kinds there are no two colour models
            cv2.setRNGSeed(0)  # its k-means draws numbers from the thread's generator
            models = np.zeros((2, 1, 65), np.float64)
            nowhere = (0, 0, 0, 0)
            cv2.grabCut(image, labels, nowhere, models[0], models[1], settings.iterations, cv2.GC_INIT_WITH_MASK)
        return self._full_size(labels & np.uint8(1))

    def _full_size(self, mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Bring a mask of 0 and 1 to the picture's size, its outline interpolated."""
        if mask.shape != (self._image.height, self._image.width):
            share = cv2.resize(mask.astype(np.float32), (self._image.width, self._image.height))
            return np.asarray(share >= 0.5, dtype=np.bool_)
        return mask == 1


_NOTHING = 255  # no click's disc
_FAR = 2**60
