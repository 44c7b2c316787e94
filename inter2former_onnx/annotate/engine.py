"""From what a person said about an object to its mask, with as few runs of the model as possible.

A `ClickSession` is kept for the objects worked on last. Where it stands is compared with the prompt that is asked for,
and only the difference is computed: one more click is one run, also after undo, redo and moving a click.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..runtime import ClickSession, EncodedImage
from ..runtime.click import Click
from .document import Prompt
from .rle import RLE

_SESSIONS = 16


@dataclass
class _Kept:
    """A session, and what it is for."""

    image: EncodedImage
    prompt: Prompt  # without clicks: what the session began with
    session: ClickSession
    lock: threading.Lock = field(default_factory=threading.Lock)
    foreseen: tuple[Click, ...] | None = None  # the clicks whose mask is being previewed
    previewed: threading.Event = field(default_factory=threading.Event)


class Engine:
    """Masks for prompts. Calls may come from several threads; those about one object take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def mask(self, image: EncodedImage, key: Hashable, prompt: Prompt) -> RLE:
        """Compute the mask of a prompt.

        Args:
            image: the encoded picture.
            key: which object of which picture it is about.
            prompt: what was said about the object.
        """
        kept = self._session(image, key, prompt)
        if kept.foreseen == prompt.clicks:
            kept.previewed.wait()  # just this is being computed: its rest is less than all of it
        with kept.lock:
            mask = _bring(kept.session, prompt.clicks)
        if not prompt.clicks and prompt.start is not None:
            return prompt.start
        return RLE.encode(mask)

    def preview(self, image: EncodedImage, key: Hashable, prompt: Prompt, click: Click) -> RLE:
        """Compute the mask that one more click would give. A real click of another thread does not wait for it.

        Args:
            image: the encoded picture.
            key: which object of which picture it is about.
            prompt: what was said about the object.
            click: what might be said next.
        """
        kept = self._session(image, key, prompt)
        with kept.lock:
            if kept.session.clicks != prompt.clicks:
                _bring(kept.session, prompt.clicks)
            kept.previewed.clear()
            kept.foreseen = (*prompt.clicks, click)
        try:
            return RLE.encode(kept.session.preview(click.x + 0.5, click.y + 0.5, click.positive))
        finally:
            kept.foreseen = None
            kept.previewed.set()

    def rename(self, key: Hashable, new: Hashable) -> None:
        """Go on under another key with what was begun under one."""
        with self._lock:
            if key in self._kept:
                self._kept[new] = self._kept.pop(key)

    def forget(self, image: EncodedImage) -> None:
        """Let go of a picture's sessions, and with them of the picture."""
        with self._lock:
            for key in [key for key, kept in self._kept.items() if kept.image is image]:
                del self._kept[key]

    def _session(self, image: EncodedImage, key: Hashable, prompt: Prompt) -> _Kept:
        start = Prompt(start=prompt.start, box=prompt.box)
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept.image is not image or kept.prompt != start:
                kept = _Kept(image, start, image.session(labels=_first_labels(image, start)))
                self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > _SESSIONS:
                self._kept.popitem(last=False)
        return kept


def _bring(session: ClickSession, clicks: tuple[Click, ...]) -> NDArray[np.bool_]:
    """Bring a session to exactly these clicks by the shorter way.

    Returns:
        Its mask, bool [height, width].
    """
    common = 0
    for have, want in zip(session.clicks, clicks, strict=False):
        if have != want:
            break
        common += 1
    # Taking a click back costs a run, and so does making one again.
    if len(session.clicks) - common > common:
        session.reset()
        common = 0
    mask = None
    while len(session.clicks) > common:
        mask = session.undo()
    for click in clicks[common:]:
        mask = session.click(click.x + 0.5, click.y + 0.5, click.positive)
    return session.mask if mask is None else mask


def _first_labels(image: EncodedImage, prompt: Prompt) -> NDArray[np.uint8] | None:
    """Make the label map that a session begins with: nothing known, or what an earlier mask or a box says."""
    if prompt.start is not None:
        return image.labels_of_mask(prompt.start.decode())
    return None if prompt.box is None else image.labels_of_box(prompt.box)
