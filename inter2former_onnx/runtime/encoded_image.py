"""An encoded image: all about a picture that clicks do not change. Computed once, shared by sessions, kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from .geometry import Geometry
from .labels import DEFINITE_FOREGROUND

if TYPE_CHECKING:
    from .click_session import ClickSession
    from .segmenter import Segmenter


class EncodedImage:
    """Made by `Segmenter.encode` or `EncodedImage.load`. Immutable, so any number of sessions and threads may share it.

    Attributes:
        segmenter: the Segmenter that decodes it.
        height, width: of the image in pixels.
        arrays: what the decoder reads, read-only float32 arrays named as the decoder's inputs.
    """

    def __init__(
        self, segmenter: Segmenter, height: int, width: int, arrays: Mapping[str, NDArray[np.float32]]
    ) -> None:
        for array in arrays.values():
            array.flags.writeable = False
        self.segmenter = segmenter
        self.height = height
        self.width = width
        self.arrays = MappingProxyType(dict(arrays))

    @property
    def bundle_id(self) -> str:
        """Id of the bundle that made it."""
        return self.segmenter.manifest.id

    @cached_property
    def geometry(self) -> Geometry:
        """How this image's pixels relate to the model's."""
        return self.segmenter.manifest.geometry.of_image(self.height, self.width)

    def checked_labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`labels` if it can be a label map of this image; otherwise ArgumentError says what it is."""
        height, width = self.geometry.extent
        expected = f"uint8 [{height}, {width}]"
        if not isinstance(labels, np.ndarray):
            raise ArgumentError(f"labels: expected a numpy array, {expected}, found {type(labels).__name__}")
        if labels.dtype != np.uint8 or labels.shape != (height, width):
            raise ArgumentError(f"labels: expected {expected}, found {labels.dtype} {list(labels.shape)}")
        highest = int(labels.max())
        if highest > DEFINITE_FOREGROUND:
            raise ArgumentError(f"labels: expected values from 0 to {DEFINITE_FOREGROUND}, found {highest}")
        return labels

    def session(
        self, enforce_clicks: bool = True, labels: NDArray[np.uint8] | None = None, drop_islands: bool = True
    ) -> ClickSession:
        """A new session of clicks on this image; see ClickSession."""
        from .click_session import ClickSession

        return ClickSession(self, enforce_clicks, labels, drop_islands)

    def save(self, path: str | Path, source: str = "") -> None:
        """Write to an .npz file (exactly at `path`; replaced in one step, so a half-written one is never seen).

        Args:
            path: the file.
            source: up to 200 characters about where the image came from, kept in the file's header.

        Raises:
            ArgumentError: `source` is no such text.
            OSError: the file cannot be written.
        """
        from . import embedding_file  # here, because zipfile is a third of this package's import time

        if not isinstance(source, str) or len(source) > embedding_file.MAX_SOURCE:
            expected = f"a text of at most {embedding_file.MAX_SOURCE} characters"
            raise ArgumentError(f"source: expected {expected}, found {source!r:.60}")
        geometry = self.segmenter.manifest.geometry
        header = embedding_file.EmbeddingHeader(
            self.bundle_id, self.height, self.width, geometry.mode, geometry.size, geometry.size_divisor, source
        )
        embedding_file.write(Path(path), header, self.arrays)

    @classmethod
    def load(cls, path: str | Path, segmenter: Segmenter) -> EncodedImage:
        """Read what `save` wrote.

        Raises:
            EmbeddingError: no such file, not such a file, damaged, or made by another bundle than `segmenter`'s.
        """
        from . import embedding_file

        manifest = segmenter.manifest
        header, arrays = embedding_file.read(Path(path), manifest)
        return cls(segmenter, header.height, header.width, arrays)

    def __repr__(self) -> str:
        return f"EncodedImage({self.width} x {self.height} pixels, bundle {self.bundle_id[:12]})"
