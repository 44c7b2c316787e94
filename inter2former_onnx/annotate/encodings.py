"""Pictures encoded in the background, the one looked at first, and kept while there is room."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from ..errors import Inter2FormerError
from ..runtime import EncodedImage, Segmenter
from .identity import Stamp, stamp
from .photos import Gallery

# A 1024 x 1024 model keeps some 80 MB a picture.
CACHE_BYTES = 1 << 30
_NICENESS = 5

State = Literal["waiting", "encoding", "ready", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far a picture is.

    Attributes:
        state: what is being done about it.
        seconds: since its encoding began.
        expected: seconds that it takes in all; 0 where that is not known yet.
        message: why it failed.
    """

    state: State
    seconds: float = 0.0
    expected: float = 0.0
    message: str = ""


class Encodings:
    """The encoded images of a gallery, made by one thread, the most urgent first."""

    def __init__(
        self,
        segmenter: Segmenter,
        gallery: Gallery,
        changed: Callable[[int], None],
        dropped: Callable[[EncodedImage], None],
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """Start the thread; nothing is encoded before `want`.

        Args:
            segmenter: encodes.
            gallery: the pictures.
            changed: called with a picture's index when its progress has changed, from another thread.
            dropped: called with an encoded image that had to make room, from another thread.
            cache_bytes: how much is kept; the picture wanted most is kept in any case.
        """
        self._segmenter = segmenter
        self._gallery = gallery
        self._changed = changed
        self._dropped = dropped
        self._cache_bytes = cache_bytes
        self._condition = threading.Condition()
        self._wanted: list[int] = []
        self._futures: dict[int, Future[EncodedImage]] = {}
        self._kept: OrderedDict[int, EncodedImage] = OrderedDict()
        self._stamps: dict[int, Stamp] = {}  # of the files that `_kept` was made of
        self._failed: dict[int, Inter2FormerError] = {}
        self._current: tuple[int, float] | None = None  # the picture being encoded, and since when
        self._expected = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="encodings", daemon=True)
        self._thread.start()

    def want(self, indices: Sequence[int]) -> None:
        """Encode these pictures in place of what was wanted before. What failed before is tried again, and what was
        made of another file, which has been replaced since, is made anew.

        Pictures that somebody waits for (`get`) come after them.

        Args:
            indices: of the pictures, the most urgent first.
        """
        stamps = {index: stamp(self._gallery.photos[index]) for index in indices}
        stale = []
        with self._condition:
            self._wanted = list(dict.fromkeys((*indices, *self._futures)))
            for index in self._wanted:
                self._failed.pop(index, None)
                if index in self._kept and index in stamps and stamps[index] != self._stamps[index]:
                    stale.append(self._kept.pop(index))
            for index in reversed(self._wanted):
                if index in self._kept:
                    self._kept.move_to_end(index)
            self._condition.notify()
        for old in stale:
            self._dropped(old)

    def get(self, index: int) -> Future[EncodedImage]:
        """Promise an encoded image; the picture becomes the most urgent one.

        Returns:
            What has or will have the image, or the Inter2FormerError that kept it from being encoded.
        """
        with self._condition:
            future: Future[EncodedImage] = Future()
            if index in self._kept:
                self._kept.move_to_end(index)
                future.set_result(self._kept[index])
                return future
            if index in self._failed:
                future.set_exception(self._failed[index])
                return future
            if index not in self._wanted:
                self._wanted.insert(0, index)
                self._condition.notify()
            return self._futures.setdefault(index, future)

    def ready(self, index: int) -> EncodedImage | None:
        """Get an encoded image if it is there now."""
        with self._condition:
            return self._kept.get(index)

    def progress(self, index: int) -> Progress:
        """Tell how far a picture is."""
        with self._condition:
            if index in self._kept:
                return Progress("ready")
            if self._current is not None and self._current[0] == index:
                return Progress("encoding", time.monotonic() - self._current[1], self._expected)
            if index in self._failed:
                return Progress("failed", message=str(self._failed[index]))
            return Progress("waiting", expected=self._expected)

    def close(self) -> None:
        """Begin nothing more; what is being encoded is not waited for."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
            for future in self._futures.values():
                future.cancel()

    def _run(self) -> None:
        _step_back()
        while True:
            with self._condition:
                while not self._stopping and self._next() is None:
                    self._condition.wait()
                index = self._next()
                if self._stopping or index is None:
                    return
                self._current = (index, time.monotonic())
            self._changed(index)
            self._encode(index)
            self._changed(index)

    def _next(self) -> int | None:
        for index in self._wanted:
            if index not in self._kept and index not in self._failed:
                return index
        return None

    def _encode(self, index: int) -> None:
        started = time.monotonic()
        image: EncodedImage | None = None
        name = self._gallery.photos[index].name
        failure = Inter2FormerError(f"{name}: not encoded")
        before = stamp(self._gallery.photos[index])
        try:
            image = self._segmenter.encode(self._gallery.photos[index].pixels())
        except Inter2FormerError as error:
            failure = error
        except MemoryError:
            failure = Inter2FormerError(f"{name}: not enough memory to encode it")
        except Exception as error:
            failure = Inter2FormerError(f"{name}: {type(error).__name__}: {error}")
        evicted: list[EncodedImage] = []
        with self._condition:
            self._current = None
            if image is not None and stamp(self._gallery.photos[index]) != before:
                return  # replaced meanwhile: still wanted, so its turn comes again
            future = self._futures.pop(index, None)
            if image is None:
                self._failed[index] = failure
            else:
                self._expected = time.monotonic() - started
                self._kept[index] = image
                self._stamps[index] = before
                evicted = self._make_room()
        for old in evicted:
            self._dropped(old)
        if future is not None and future.set_running_or_notify_cancel():
            if image is not None:
                future.set_result(image)
            else:
                future.set_exception(failure)

    def _make_room(self) -> list[EncodedImage]:
        """Take out what was used longest ago, but never the picture wanted most."""
        evicted: list[EncodedImage] = []
        while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > self._cache_bytes:
            oldest = next(index for index in self._kept if index not in self._wanted[:1])
            evicted.append(self._kept.pop(oldest))
            if oldest in self._wanted:
                self._wanted.remove(oldest)  # there is no room for it, and making it again would not change that
        return evicted


def _bytes(image: EncodedImage) -> int:
    return sum(array.nbytes for array in image.arrays.values())


def _step_back() -> None:
    """Lower this thread's share of the processor, and that of the threads it starts: clicks go first.

    onnxruntime starts the encoder's threads when the encoder is loaded, which this thread does.
    """
    if sys.platform == "linux":  # where threads have a niceness of their own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
