"""This project's model: a bundle, run by the runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...runtime import ClickSession, EncodedImage, Segmenter


@dataclass(frozen=True)
class BundleSettings:
    """A bundle's folder (None: the one that ships), and whether clicked pixels always get what the click said."""

    bundle: Path | None
    enforce_clicks: bool

    @property
    def name(self) -> str:
        """The bundle's folder, with a mark where clicks are not enforced."""
        name = "shipped bundle" if self.bundle is None else self.bundle.resolve().name
        return name if self.enforce_clicks else f"{name} (clicks not enforced)"

    def describe(self) -> dict[str, Any]:
        """Which bundle, by its files' contents, and how it runs."""
        segmenter = Segmenter(self.bundle, threads=1)
        manifest = segmenter.manifest
        return {
            "method": "bundle",
            "bundle_id": manifest.id,
            "enforce_clicks": self.enforce_clicks,
            "ops": segmenter.ops,
            "onnxruntime": onnxruntime.__version__,
            "size": manifest.geometry.size,
            "random_weights": "random_weights" in manifest.source,
        }

    def open(self, threads: int) -> OpenedBundle:
        """The bundle with all its graphs loaded."""
        method = OpenedBundle(Segmenter(self.bundle, threads=threads), self.enforce_clicks)
        method.encode(np.zeros((64, 64, 3), np.uint8)).session().click(32, 32)
        return method


class OpenedBundle:
    """A Segmenter whose sessions enforce clicks, or not."""

    def __init__(self, segmenter: Segmenter, enforce_clicks: bool) -> None:
        self._segmenter = segmenter
        self._enforce_clicks = enforce_clicks

    def encode(self, image: NDArray[np.uint8]) -> BundleImage:
        """See `Method`."""
        return BundleImage(self._segmenter.encode(image), self._enforce_clicks)


@dataclass(frozen=True)
class BundleImage:
    """An encoded image that remembers whether to enforce clicks."""

    image: EncodedImage
    enforce_clicks: bool

    def session(self) -> ClickSession:
        """See `Encoded`."""
        return self.image.session(enforce_clicks=self.enforce_clicks)
