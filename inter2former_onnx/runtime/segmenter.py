"""The class people start with: a bundle, opened, ready to encode images and to decode label maps."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, BundleError, EmbeddingError, ImageError
from . import routing
from .box import Box, whole
from .encoded_image import EncodedImage
from .graph import Graph
from .labels import region_of_interest
from .manifest import GRAPHS, read_manifest

_MAX_THREADS = 1024
_PACKAGE = __package__.rpartition(".")[0]


class Decoded(NamedTuple):
    """A prediction: `logits` float32 [box.height, box.width] over `box` in model pixels.

    Outside `box` the logits are the bundle's outside_logit (-100).
    """

    logits: NDArray[np.float32]
    box: Box


class Segmenter:
    """Interactive segmentation with one bundle. Safe to share between threads; sessions on it share its threads.

    Attributes:
        bundle: the bundle's folder.
        manifest: its checked manifest.
        threads: threads that one run uses.
        size: side T of the square that images are brought to, in pixels. What of it the model sees of an image, and
            so the size of the image's label maps, is `EncodedImage.geometry.extent`: all of it in geometry `square`.
    """

    def __init__(self, bundle: str | os.PathLike[str] | None = None, threads: int | None = None) -> None:
        """Open a bundle. The prompt and decoder graphs are loaded now, the larger encoder with the first image.

        Args:
            bundle: the folder; by default the model that ships in the package.
            threads: by default the processors this process may use.

        Raises:
            BundleError: the bundle is missing, damaged, of a newer format, or onnxruntime refuses it.
            OpsLibraryError: INTER2FORMER_OPS=native, and the native library cannot be used.
            ArgumentError: `threads` is not a number from 1 to 1024.
        """
        self.threads = _checked_threads(threads)
        self.bundle = shipped_bundle() if bundle is None else Path(bundle)
        self.manifest = read_manifest(self.bundle)
        self.size = self.manifest.geometry.size
        self._graphs = {
            # The encoder is the large one: 0.4 GB of weights for ViT-B, and 0.8 GB of working memory at 1024 pixels,
            # which it gives back after each image in no measurable time. What answers clicks keeps its memory.
            name: Graph(self.bundle, self.manifest, name, self.threads, cached=large, frees_memory=large)
            for name, large in ((name, name == "encoder") for name in GRAPHS)
        }
        self._ops = self._graphs["decoder"].ops
        self._graphs["prompt"].load()

    @property
    def ops(self) -> str:
        """What carries out the custom ops: "native" or "portable"."""
        return self._ops

    def encode(self, image: NDArray[np.uint8]) -> EncodedImage:
        """Compute what does not depend on clicks; by far the longest step, done once per image.

        Args:
            image: uint8 [height, width, 3] in R, G, B order, any size; need not be contiguous.

        Raises:
            ImageError: anything else.
        """
        pixels = _checked_image(image)
        height, width = pixels.shape[:2]
        shapes = self.manifest.encoded_arrays(self.manifest.geometry.of_image(height, width).grid)
        arrays = {name: np.empty(shape, dtype=np.float32) for name, shape in shapes.items()}
        self._graphs["encoder"].run_into(arrays, {"image": pixels})
        return EncodedImage(self, height, width, arrays)

    def encode_many(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[EncodedImage]:
        """`encode` for a series of images, in their order.

        The next image is fetched from `images` (in a thread of its own) while one is computed, so that slow files and
        networks cost no time; no more than these two images are held. Stop early by closing the iterator.

        Args:
            images: arrays as for `encode`.

        Raises:
            ImageError: as `encode`, in that image's turn, as does what `images` raises. It ends the series.
        """
        from concurrent.futures import ThreadPoolExecutor

        source = iter(images)

        def fetch() -> list[NDArray[np.uint8]]:
            return list(islice(source, 1))

        pool = ThreadPoolExecutor(1, thread_name_prefix="inter2former-images")
        try:
            coming = pool.submit(fetch)
            while image := coming.result():
                coming = pool.submit(fetch)
                yield self.encode(image.pop())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def load(self, path: str | os.PathLike[str]) -> EncodedImage:
        """The encoded image that `EncodedImage.save` wrote to `path`; see EncodedImage.load."""
        return EncodedImage.load(Path(path), self)

    def decode(self, image: EncodedImage, labels: NDArray[np.uint8], dense: bool = False) -> Decoded:
        """Predict from a label map, without a session.

        Args:
            image: encoded by this bundle.
            labels: uint8 [height, width] of the states in labels.py, in the model pixels of `image.geometry.extent`.
            dense: full attention for every token and the whole map decoded, in place of the parts that matter: the
                yardstick for what routing and localisation save.

        Returns:
            (logits, box): see Decoded. `box` is (left, top, right, bottom) in model pixels, half open.

        Raises:
            ArgumentError: labels of another type, shape or range.
            EmbeddingError: `image` was encoded by another bundle.
        """
        if image.bundle_id != self.manifest.id:
            raise EmbeddingError(f"{image!r} was encoded by another bundle than {str(self.bundle)!r}")
        labels = image.checked_labels(labels)
        if dense:
            everything = routing.all_tokens(image.geometry.grid)
            return self._run(image, labels, whole(*labels.shape), everything, {"threshold": _EVERYWHERE})
        return self.decode_region(image, labels, region_of_interest(labels))

    def decode_region(
        self, image: EncodedImage, labels: NDArray[np.uint8], region: Box, touched: Box | None = None
    ) -> Decoded:
        """`decode` for callers that know the region of interest of `labels`. Nothing is checked.

        Where everything outside the box `touched` is unknown, naming it lets the decoder use what the encoder has
        computed about such a map.
        """
        manifest = self.manifest
        part = np.ascontiguousarray(labels[region.slices])
        route = routing.route(part, region, image.geometry.grid, manifest.routing, manifest.uncertainty_kernel_size)
        return self._run(image, part, region, route, {}, touched)

    def _run(
        self,
        image: EncodedImage,
        part: NDArray[np.uint8],
        region: Box,
        route: tuple[NDArray[np.int64], NDArray[np.int64]],
        extra: dict[str, NDArray[np.float32]],
        touched: Box | None = None,
    ) -> Decoded:
        """Both graphs; `part` is the region's part of the label map."""
        patch = self.manifest.geometry.patch_size
        (prompt,) = self._graphs["prompt"].run(["prompt"], {"labels": part})
        offset = np.array([region.top // patch, region.left // patch], dtype=np.int64)
        feed = {"prompt": prompt, "offset": offset, "boundary": route[0], "other": route[1], **extra}
        if self._takes_changed:
            grid = image.geometry.grid
            everything = routing.all_tokens(grid)[0]
            feed["changed"] = everything if touched is None else routing.changed_tokens(touched, grid, patch)
        feed.update((name, image.arrays[name]) for name in self._encoded_inputs)
        logits, tokens = self._graphs["decoder"].run(["logits", "box"], feed)
        box = Box(*(int(edge) for edge in tokens)).scaled(patch)
        return Decoded(logits.reshape(box.height, box.width), box)

    @cached_property
    def _encoded_inputs(self) -> list[str]:
        """The decoder's inputs that the encoder gave."""
        encoded = {spec.name for spec in self.manifest.graphs["encoder"].outputs}
        return [spec.name for spec in self.manifest.graphs["decoder"].inputs if spec.name in encoded]

    @cached_property
    def _takes_changed(self) -> bool:
        return any(spec.name == "changed" for spec in self.manifest.graphs["decoder"].inputs)

    def __repr__(self) -> str:
        return f"Segmenter({str(self.bundle)!r}, threads={self.threads}, size={self.size}, ops={self.ops!r})"


# Below every localisation score: the whole grid is the box.
_EVERYWHERE = np.array(-np.inf, dtype=np.float32)


def _checked_threads(threads: int | None) -> int:
    if threads is None:
        # Of all processors, those that this process may run on (containers and taskset give fewer).
        usable = getattr(os, "sched_getaffinity", None)
        return len(usable(0)) if usable else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= _MAX_THREADS:
        raise ArgumentError(f"threads: expected a whole number from 1 to {_MAX_THREADS}, found {threads!r}")
    return threads


def _checked_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    expected = "a uint8 array [height, width, 3] in R, G, B order"
    if not isinstance(image, np.ndarray):
        raise ImageError(f"image: expected {expected}, found {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"image: expected {expected}, found {image.dtype} {list(image.shape)}")
    if image.shape[0] == 0 or image.shape[1] == 0:
        raise ImageError(f"image: expected at least one pixel, found {list(image.shape)}")
    return np.ascontiguousarray(image)


def shipped_bundle() -> Path:
    """Folder of the model that ships in the package.

    Raises:
        BundleError: this build has none.
    """
    folder = Path(str(resources.files(_PACKAGE) / "bundle"))
    if not folder.is_dir():
        raise BundleError("no model ships in this build of inter2former-onnx: pass bundle=, an exported one's folder")
    return folder
