"""Encoding: from a picture to all about it that clicks do not change, by the encoder graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .bundle import ENCODER, Manifest
from .graph import Graph


class Encoder:
    """The encoder graph of a bundle, loaded with the first image.

    Attributes:
        graph: the graph.
    """

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        """Take the graph of a bundle.

        Args:
            folder, manifest: the bundle.
            threads: the number that a run uses.
        """
        self._manifest = manifest
        # It is the large one: 0.4 GB of weights for ViT-B, and 0.8 GB of working memory at 1024 pixels, which it gives
        # back after each image in no measurable time. What answers clicks keeps its memory.
        self.graph = Graph(folder, manifest, ENCODER, threads, cached=True, frees_memory=True)

    def encode(self, image: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Compute the arrays that make up an encoded image.

        Args:
            image: uint8 [height, width, 3] in R, G, B order, C-contiguous; see `checked_image`.

        Returns:
            float32 arrays by name, of the shapes that the manifest lists for a picture of this size.

        Raises:
            BundleError: the graph cannot be loaded or run.
        """
        geometry = self._manifest.geometry.of_image(*image.shape[:2])
        shapes = self._manifest.encoded_arrays(geometry.grid)
        arrays = {name: np.empty(shape, dtype=np.float32) for name, shape in shapes.items()}
        self.graph.run_into(arrays, {"image": image})
        return arrays


def checked_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Check that an array is an image, and make it contiguous.

    Args:
        image: uint8 [height, width, 3], any size.

    Returns:
        The image, C-contiguous.

    Raises:
        ImageError: anything else.
    """
    expected = "a uint8 array [height, width, 3] in R, G, B order"
    if not isinstance(image, np.ndarray):
        raise ImageError(f"image: expected {expected}, found {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"image: expected {expected}, found {image.dtype} {list(image.shape)}")
    if image.shape[0] == 0 or image.shape[1] == 0:
        raise ImageError(f"image: expected at least one pixel, found {list(image.shape)}")
    return np.ascontiguousarray(image)
