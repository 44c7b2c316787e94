"""The classes that people use: a bundle, opened; a picture, encoded by it; and clicks on that picture.

Each gives out the next and knows the one it came from, so they are one module. What they do is done below, where
nothing knows of them: encoding.py, decoding.py, session_state.py.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, BundleError, EmbeddingError
from . import labels as label_rules
from .box import Box
from .bundle import read_manifest, shipped_bundle
from .click import Click, make_click
from .decoding import Decoded, Decoder
from .encoding import Encoder, checked_image
from .geometry import Geometry
from .processors import MAX_THREADS, usable_processors, warn_of_too_many
from .session_state import SessionState


class Segmenter:
    """Interactive segmentation with one bundle. Safe to share between threads; sessions on it share its threads.

    It is pickled as its bundle's place, the bundle's id and the number of threads, so another process opens the bundle
    anew, once for each number of threads; BundleError when it is not there, or another one by then. Copies are the same
    object.

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
            threads: by default the processors this process may use (processors.py); more are warned of.

        Raises:
            BundleError: the bundle is missing, damaged, of a newer format, or onnxruntime refuses it.
            OpsLibraryError: INTER2FORMER_OPS=native, and the native library cannot be used.
            ArgumentError: `threads`, or INTER2FORMER_THREADS, is not a number from 1 to 1024.
        """
        self.threads = _checked_threads(threads)
        self.bundle = shipped_bundle() if bundle is None else Path(bundle)
        self.manifest = read_manifest(self.bundle)
        self.size = self.manifest.geometry.size
        self._encoder = Encoder(self.bundle, self.manifest, self.threads)
        self._decoder = Decoder(self.bundle, self.manifest, self.threads)
        # What makes another such one, elsewhere too: the model that ships may lie at another place there.
        place = None if self.bundle == shipped_bundle() else os.path.abspath(self.bundle)
        self._recipe = place, self.threads, self.manifest.id
        _opened[self._recipe] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, self._recipe

    def __copy__(self) -> Segmenter:
        return self

    def __deepcopy__(self, memo: object) -> Segmenter:
        return self

    @property
    def ops(self) -> str:
        """What carries out the custom ops: "native" or "portable"."""
        return self._decoder.ops

    def encode(self, image: NDArray[np.uint8]) -> EncodedImage:
        """Compute what does not depend on clicks; by far the longest step, done once per image.

        Args:
            image: uint8 [height, width, 3] in R, G, B order, any size; need not be contiguous.

        Raises:
            ImageError: anything else.
        """
        pixels = checked_image(image)
        height, width = pixels.shape[:2]
        return EncodedImage(self, height, width, self._encoder.encode(pixels))

    def encode_many(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[EncodedImage]:
        """Encode a series of images, in their order.

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
        """Read the encoded image that `EncodedImage.save` wrote to `path`; see EncodedImage.load."""
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
            return self._decoder.decode_densely(image.arrays, image.geometry.grid, labels)
        return self.decode_region(image, labels, label_rules.region_of_interest(labels))

    def decode_region(
        self, image: EncodedImage, labels: NDArray[np.uint8], region: Box, touched: Box | None = None
    ) -> Decoded:
        """Predict as `decode` does, for callers that know the region of interest of `labels`. Nothing is checked.

        Args:
            image, labels: as for `decode`.
            region: the region of interest of `labels`.
            touched: the box outside of which every label is unknown, if there is one: the decoder then uses what the
                encoder has computed about such a map.
        """
        return self._decoder.decode(image.arrays, image.geometry.grid, labels, region, touched)

    def __repr__(self) -> str:
        return f"Segmenter({str(self.bundle)!r}, threads={self.threads}, size={self.size}, ops={self.ops!r})"


# Those that live, for what is unpickled: its images share one.
_opened: weakref.WeakValueDictionary[tuple[str | None, int, str], Segmenter] = weakref.WeakValueDictionary()


def _reopened(bundle: str | None, threads: int, bundle_id: str) -> Segmenter:
    """Find or make the Segmenter that was pickled."""
    segmenter = _opened.get((bundle, threads, bundle_id))
    if segmenter is None:
        segmenter = Segmenter(bundle, threads=threads)
        if segmenter.manifest.id != bundle_id:
            ids = f"expected id {bundle_id[:12]}..., found {segmenter.manifest.id[:12]}..."
            raise BundleError(f"bundle {str(segmenter.bundle)!r} is another than when it was pickled: {ids}")
    return segmenter


def _checked_threads(threads: int | None) -> int:
    if threads is None:
        return usable_processors()
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise ArgumentError(f"threads: expected a whole number from 1 to {MAX_THREADS}, found {threads!r}")
    warn_of_too_many(threads)
    return threads


class EncodedImage:
    """All about a picture that clicks do not change. Made by `Segmenter.encode` or `EncodedImage.load`.

    Immutable, so any number of sessions and threads may share it. It is pickled with its arrays, and its Segmenter as
    that is pickled; copies are the same object.

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

    def __reduce__(self) -> tuple[Any, ...]:
        return EncodedImage, (self.segmenter, self.height, self.width, dict(self.arrays))

    def __copy__(self) -> EncodedImage:
        return self

    def __deepcopy__(self, memo: object) -> EncodedImage:
        return self

    @property
    def bundle_id(self) -> str:
        """Id of the bundle that made it."""
        return self.segmenter.manifest.id

    @cached_property
    def geometry(self) -> Geometry:
        """How this image's pixels relate to the model's."""
        return self.segmenter.manifest.geometry.of_image(self.height, self.width)

    def checked_labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Check that `labels` can be a label map of this image, and give it back.

        Raises:
            ArgumentError: it cannot.
        """
        height, width = self.geometry.extent
        expected = f"uint8 [{height}, {width}]"
        if not isinstance(labels, np.ndarray):
            raise ArgumentError(f"labels: expected a numpy array, {expected}, found {type(labels).__name__}")
        if labels.dtype != np.uint8 or labels.shape != (height, width):
            raise ArgumentError(f"labels: expected {expected}, found {labels.dtype} {list(labels.shape)}")
        highest = int(labels.max())
        if highest > label_rules.DEFINITE_FOREGROUND:
            raise ArgumentError(f"labels: expected values from 0 to {label_rules.DEFINITE_FOREGROUND}, found {highest}")
        return labels

    def labels_of_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Make the label map of a mask, for `session` to go on from it: possible foreground and background.

        Args:
            mask: bool [height, width] in pixels of the image.

        Returns:
            uint8 [height, width] in model pixels (`geometry.extent`).

        Raises:
            ArgumentError: a mask of another type or shape.
        """
        expected = f"bool [{self.height}, {self.width}]"
        if not isinstance(mask, np.ndarray):
            raise ArgumentError(f"mask: expected a numpy array, {expected}, found {type(mask).__name__}")
        if mask.dtype != np.bool_ or mask.shape != (self.height, self.width):
            raise ArgumentError(f"mask: expected {expected}, found {mask.dtype} {list(mask.shape)}")
        return label_rules.of_mask(mask, self.geometry)

    def labels_of_box(self, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Make the label map of a box around an object: unknown inside, possible background around it.

        Args:
            box: (left, top, right, bottom) in pixels of the image, half open; what lies beside the image is cut off.

        Returns:
            uint8 [height, width] in model pixels (`geometry.extent`).

        Raises:
            ArgumentError: `box` is no such box, or lies beside the image.
        """
        whole_numbers = len(box) == 4 and all(isinstance(edge, (int, np.integer)) for edge in box)
        if not whole_numbers or max(box[0], 0) >= min(box[2], self.width) or max(box[1], 0) >= min(box[3], self.height):
            inside = f"with some pixel of an image {self.width} x {self.height} inside"
            raise ArgumentError(f"box: expected whole numbers (left, top, right, bottom) {inside}, found {box!r:.60}")
        return label_rules.of_box(Box(*box), self.geometry)

    def session(
        self, enforce_clicks: bool = True, labels: NDArray[np.uint8] | None = None, drop_islands: bool = True
    ) -> ClickSession:
        """Begin a session of clicks on this image; see ClickSession."""
        return ClickSession(self, enforce_clicks, labels, drop_islands)

    def save(self, path: str | Path, source: str = "") -> None:
        """Write to an .npz file, exactly at `path` (a link is followed), whole or not at all.

        Args:
            path: the file.
            source: up to 200 characters about where the image came from, kept in the file's header.

        Raises:
            ArgumentError: `source` is no such text.
            OSError: the file cannot be written.
        """
        from . import embedding_file  # here, because zipfile is a third of this package's import time

        embedding_file.write(Path(path), self.segmenter.manifest, self.height, self.width, self.arrays, source)

    @classmethod
    def load(cls, path: str | Path, segmenter: Segmenter) -> EncodedImage:
        """Read what `save` wrote.

        Args:
            path: the file.
            segmenter: what is to decode it.

        Raises:
            EmbeddingError: no such file, not such a file, damaged, or made by another bundle than `segmenter`'s.
        """
        from . import embedding_file

        header, arrays = embedding_file.read(Path(path), segmenter.manifest)
        return cls(segmenter, header.height, header.width, arrays)

    def __repr__(self) -> str:
        return f"EncodedImage({self.width} x {self.height} pixels, bundle {self.bundle_id[:12]})"


class _Preview(NamedTuple):
    """A click that was tried: the state it started from, and the one it led to."""

    start: SessionState
    ahead: SessionState


class ClickSession:
    """A person's clicks on one image, their undo, and the mask they lead to. Made by `EncodedImage.session`.

    A click that raises changes nothing. One session may be used from several threads; its calls then take turns.
    A copy, and what is unpickled, stands where the session stood, and goes its own way from there.

    Attributes:
        image: the EncodedImage clicked on.
        enforce_clicks: whether pixels within a click's disc (click_radius model pixels; see the manifest) always get
            in masks what the click said, whatever the model predicts. False gives the model's mask as it is.
        drop_islands: whether pieces of the mask go that are neither clicked nor half as sure as those (islands.py).
    """

    def __init__(
        self,
        image: EncodedImage,
        enforce_clicks: bool = True,
        labels: NDArray[np.uint8] | None = None,
        drop_islands: bool = True,
    ) -> None:
        """Begin without clicks.

        Args:
            image: what is clicked on.
            enforce_clicks, drop_islands: see the class.
            labels: the label map to begin with and to come back to, such as another session's `labels`: uint8
                [height, width] in model pixels (`image.geometry.extent`); by default everything is unknown.

        Raises:
            ArgumentError: labels of another type, shape or range.
        """
        self.image = image
        self.enforce_clicks = enforce_clicks
        self.drop_islands = drop_islands
        self._lock = threading.Lock()
        if labels is None:
            self._start = SessionState.unknown_map(image.geometry.extent)
        else:
            self._start = SessionState.given_map(image.checked_labels(labels).copy())
        self._state = self._start
        self._previewed: _Preview | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_previewed")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock(), _previewed=None)

    def click(self, x: float, y: float, positive: bool = True) -> NDArray[np.bool_]:
        """Say that the pixel containing the point (x, y) is part of the object (or, `positive=False`, is not).

        Of two clicks on one pixel the later holds.

        Args:
            x, y: pixels of the original image from its top left corner; fractions are allowed.
            positive: whether it is.

        Returns:
            The new mask, bool [height, width], the caller's own.

        Raises:
            ClickError: the point is not in the image or not a number; see make_click.
        """
        click = make_click(x, y, positive, self.image.width, self.image.height)
        with self._lock:
            state = self._foreseen(self._state, click) or self._clicked(self._state, click)
            mask = self._mask(state)  # before the state is replaced: this, too, could fail
            self._advance(state)
        return mask

    def preview(self, x: float, y: float, positive: bool = True) -> NDArray[np.bool_]:
        """Make the mask that `click` with the same arguments would give, without clicking.

        It holds no lock while it computes, so a click made meanwhile by another thread does not wait for it. A click on
        the pixel that was previewed last is answered from what the preview computed.

        Raises:
            ClickError: as `click`.
        """
        click = make_click(x, y, positive, self.image.width, self.image.height)
        state = self._state  # states are never modified, so this one stays whole whatever other threads do
        ahead = self._foreseen(state, click) or self._clicked(state, click)
        mask = self._mask(ahead)
        with self._lock:
            if self._state is state:
                self._previewed = _Preview(state, ahead)
        return mask

    def undo(self) -> NDArray[np.bool_]:
        """Take the last click back; without one, change nothing. Returns the mask as `mask` does."""
        with self._lock:
            state = self._state
            if len(state.clicks) > 1:
                # The last click but one is made again: its prediction was not kept.
                state = self._clicked(state.before_last_two(self._start), state.clicks[-2])
            elif state.clicks:
                state = self._start
            mask = self._mask(state)
            self._advance(state)
        return mask

    def reset(self) -> None:
        """Forget all clicks."""
        with self._lock:
            self._advance(self._start)

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks so far, oldest first."""
        return self._state.clicks

    @property
    def labels(self) -> NDArray[np.uint8]:
        """A copy of the label map: uint8 [height, width] in model pixels; see labels.py for its states."""
        return self._state.labels.copy()

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The current mask, bool [height, width]; all False before the first click. Computed anew at every access."""
        return self._mask(self._state)

    @property
    def logits(self) -> NDArray[np.float32]:
        """The model's logits in the original image, float32 [height, width]; computed anew at every access.

        Positive means object; where an island was dropped, the sign is turned. Where the model did not look, and before
        the first click: outside_logit (-100).
        """
        return self._state.logits(self.image.geometry, self.image.segmenter.manifest.outside_logit)

    def __repr__(self) -> str:
        count = len(self.clicks)
        return f"ClickSession({count} {'click' if count == 1 else 'clicks'} on {self.image!r})"

    def _advance(self, state: SessionState) -> None:
        self._state = state
        self._previewed = None

    def _foreseen(self, state: SessionState, click: Click) -> SessionState | None:
        """The state after one more click, where the last preview has computed just that."""
        previewed = self._previewed
        if previewed is None or previewed.start is not state or previewed.ahead.clicks[-1] != click:
            return None
        return previewed.ahead

    def _clicked(self, state: SessionState, click: Click) -> SessionState:
        """The state after one more click."""
        image, segmenter = self.image, self.image.segmenter
        drawn = state.draw(click, image.geometry, segmenter.manifest.click_radius)
        decoded = segmenter.decode_region(image, drawn.labels, drawn.region, drawn.touched)
        return state.clicked(drawn, decoded, self.drop_islands)

    def _mask(self, state: SessionState) -> NDArray[np.bool_]:
        manifest, geometry = self.image.segmenter.manifest, self.image.geometry
        mask = state.mask(geometry, manifest.outside_logit)
        if self.enforce_clicks:
            state.enforce_clicks(mask, geometry, manifest.click_radius // 2)
        return mask
