"""What is measured: anything that, given an image and clicks, answers with masks.

A `MethodSettings` says which method and how, is small, and travels to worker processes, each of which opens it once.
`runtime.Segmenter` is a `Method`, its `EncodedImage` an `Encoded`, its `ClickSession` a `ClickedObject`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class ClickedObject(Protocol):
    """Clicks on one object of one image."""

    def click(self, x: int, y: int, positive: bool) -> NDArray[np.bool_]:
        """Make one more click, on pixel column x, row y.

        Returns:
            The new mask, bool [height, width] of the image.
        """


class Encoded(Protocol):
    """An image on which objects can be clicked, one after the other."""

    def session(self) -> ClickedObject:
        """Begin with an object."""


class Method(Protocol):
    """An opened method."""

    def encode(self, image: NDArray[np.uint8]) -> Encoded:
        """Compute what does not depend on clicks.

        Args:
            image: uint8 [height, width, 3], RGB.
        """


class MethodSettings(Protocol):
    """A method before it is opened."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def describe(self) -> dict[str, Any]:
        """Say all that decides its masks, as JSON types: two runs with the same description belong together.

        Raises:
            Inter2FormerError: the method cannot be opened at all.
        """

    def open(self, threads: int) -> Method:
        """Load it and run it once, so that the first image is timed like the others.

        Args:
            threads: that it may use.

        Raises:
            Inter2FormerError: it cannot be loaded.
        """
