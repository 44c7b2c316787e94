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
    """A bundle's folder (None: the one that ships), and how its sessions make masks (see ClickSession)."""

    bundle: Path | None
    enforce_clicks: bool = True
    drop_islands: bool = True

    @property
    def name(self) -> str:
        """The bundle's folder, with a mark where sessions are not as they are by default."""
        name = "shipped bundle" if self.bundle is None else self.bundle.resolve().name
        marks = ["clicks not enforced"] * (not self.enforce_clicks) + ["islands kept"] * (not self.drop_islands)
        return f"{name} ({', '.join(marks)})" if marks else name

    def describe(self) -> dict[str, Any]:
        """Say which bundle it is, by its files' contents, and how it runs."""
        segmenter = Segmenter(self.bundle, threads=1)
        manifest = segmenter.manifest
        return {
            "method": "bundle",
            "bundle_id": manifest.id,
            "enforce_clicks": self.enforce_clicks,
            "drop_islands": self.drop_islands,
            "ops": segmenter.ops,
            "onnxruntime": onnxruntime.__version__,
            "size": manifest.geometry.size,
            "random_weights": "random_weights" in manifest.source,
        }

    def open(self, threads: int) -> OpenedBundle:
        """Open the bundle with all its graphs loaded."""
        method = OpenedBundle(Segmenter(self.bundle, threads=threads), self)
        method.encode(np.zeros((64, 64, 3), np.uint8)).session().click(32, 32)
        return method


class OpenedBundle:
    """A Segmenter whose sessions are as the settings say."""

    def __init__(self, segmenter: Segmenter, settings: BundleSettings) -> None:
        self._segmenter = segmenter
        self._settings = settings

    def encode(self, image: NDArray[np.uint8]) -> BundleImage:
        """See `Method`."""
        return BundleImage(self._segmenter.encode(image), self._settings)


@dataclass(frozen=True)
class BundleImage:
    """An encoded image that remembers the settings."""

    image: EncodedImage
    settings: BundleSettings

    def session(self) -> ClickSession:
        """See `Encoded`."""
        return self.image.session(self.settings.enforce_clicks, drop_islands=self.settings.drop_islands)
