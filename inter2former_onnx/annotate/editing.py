"""What a page may ask for: changes to a picture's annotations, and previews. Requests are checked here.

Changes of one picture take turns, and each names the revision that it was made on: a page that has not seen what
another one did is told so, and nothing is changed. All clicks share one thread, previews another; a preview that a
click or a newer preview has overtaken is dropped.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import AnnotationError, ArgumentError, ImageError
from ..runtime import EncodedImage
from ..runtime.box import Box
from ..runtime.click import Click, make_click
from .document import Annotation, Document, Objects, Prompt
from .rle import RLE
from .workspace import Workspace

MAX_CLICKS = 200
_SMALLEST_BOX = 3


class StaleRevision(AnnotationError):
    """A change that was made without knowledge of another one."""


@dataclass(frozen=True)
class Edited:
    """What an edit did.

    Attributes:
        document: as it is now.
        before: the objects before the edit.
        milliseconds: how long masks took.
    """

    document: Document
    before: Objects
    milliseconds: float


Fields = dict[str, Any]


class Editor:
    """Carries out edits on a workspace; used from one event loop."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._clicks = ThreadPoolExecutor(1, "clicks")
        self._previews = ThreadPoolExecutor(1, "previews")
        self._clicks_waiting = 0
        self._newest_preview = 0
        self._preview_turn = asyncio.Lock()
        self._actions: dict[str, Callable[..., Any]] = {
            "click": self._click,
            "move": self._move_click,
            "remove_click": self._remove_click,
            "reset": self._reset,
            "box": self._box,
            "class": self._class,
            "delete": self._delete,
            "undo": self._undo,
            "redo": self._redo,
            "done": self._done,
        }

    def close(self) -> None:
        """Wait for what is running; begin nothing more."""
        self._clicks.shutdown(cancel_futures=True)
        self._previews.shutdown(cancel_futures=True)

    async def edit(self, index: int, tab: str, revision: int, fields: Fields) -> Edited:
        """Carry out one change.

        Args:
            index: of the picture.
            tab: what the page calls itself.
            revision: of the document that the page has.
            fields: `type`, one of the names in the constructor, and what that method reads.

        Returns:
            The document, what it was before, and how long it took.

        Raises:
            StaleRevision: the document has another revision by now.
            ArgumentError, ClickError: unusable fields.
            ImageError: the picture cannot be encoded.
        """
        action = self._actions.get(str(fields.get("type")))
        if action is None:
            raise ArgumentError(f"type: expected one of {', '.join(self._actions)}, found {fields.get('type')!r:.40}")
        async with self._locks[index]:
            document = self._workspace.document(index)
            if revision != document.revision:
                raise StaleRevision(
                    f"{self._workspace.gallery.photos[index].name} was changed in another window; this is its new state"
                )
            before, started = document.objects, time.perf_counter()
            await action(index, document, fields)
            milliseconds = 1000 * (time.perf_counter() - started)
            if document.revision != revision:
                self._workspace.changed(index, tab)
            return Edited(document, before, milliseconds)

    async def preview(self, index: int, fields: Fields) -> RLE | None:
        """Compute the mask that a click would give.

        Args:
            index: of the picture.
            fields: `object` (None for a new one), `x`, `y` and `positive`.

        Returns:
            The mask; None when something more urgent came, or the picture is not encoded yet.

        Raises:
            ArgumentError, ClickError: unusable fields.
        """
        document = self._workspace.document(index)
        prompt, key = self._prompt(index, document, fields)
        click = _click(document, fields)
        image = self._workspace.encodings.ready(index)
        self._newest_preview += 1
        ticket = self._newest_preview
        async with self._preview_turn:
            if image is None or self._clicks_waiting or ticket != self._newest_preview:
                return None
            engine = self._workspace.engine
            return await asyncio.get_running_loop().run_in_executor(
                self._previews, engine.preview, image, key, prompt, click
            )

    async def _click(self, index: int, document: Document, fields: Fields) -> None:
        prompt, key = self._prompt(index, document, fields)
        if not prompt.clicks and prompt.start is None and fields.get("positive") is False:
            raise ArgumentError("click: the first one of an object must be on it")
        prompt = replace(prompt, clicks=(*prompt.clicks, _click(document, fields)))
        await self._answer(index, document, fields, prompt, key)

    async def _move_click(self, index: int, document: Document, fields: Fields) -> None:
        annotation = document.find(_whole(fields, "object"))
        at = _position(annotation, fields)
        clicks = list(annotation.prompt.clicks)
        clicks[at] = _click(document, {**fields, "positive": clicks[at].positive})
        await self._answer(index, document, fields, replace(annotation.prompt, clicks=tuple(clicks)))

    async def _remove_click(self, index: int, document: Document, fields: Fields) -> None:
        annotation = document.find(_whole(fields, "object"))
        at = _position(annotation, fields)
        clicks = annotation.prompt.clicks
        await self._answer(index, document, fields, replace(annotation.prompt, clicks=clicks[:at] + clicks[at + 1 :]))

    async def _reset(self, index: int, document: Document, fields: Fields) -> None:
        annotation = document.find(_whole(fields, "object"))
        empty = RLE.encode(np.zeros((document.height, document.width), dtype=np.bool_))
        document.put(replace(annotation, prompt=Prompt(), mask=empty))

    async def _box(self, index: int, document: Document, fields: Fields) -> None:
        """Make the area outside the box likely background, and click its middle."""
        edges = [_number(fields, name) for name in ("left", "top", "right", "bottom")]
        left, top = max(math.floor(edges[0]), 0), max(math.floor(edges[1]), 0)
        right, bottom = min(math.ceil(edges[2]), document.width), min(math.ceil(edges[3]), document.height)
        if right - left < _SMALLEST_BOX or bottom - top < _SMALLEST_BOX:
            raise ArgumentError(f"box: expected at least {_SMALLEST_BOX} pixels of the picture in each direction")
        middle = Click((left + right) // 2, (top + bottom) // 2, True)
        prompt = Prompt(box=Box(left, top, right, bottom), clicks=(middle,))
        await self._answer(index, document, fields, prompt, self._prompt(index, document, fields)[1])

    async def _class(self, index: int, document: Document, fields: Fields) -> None:
        annotation = document.find(_whole(fields, "object"))
        category = self._category(fields)
        if category != annotation.category:
            document.put(replace(annotation, category=category))

    async def _delete(self, index: int, document: Document, fields: Fields) -> None:
        document.remove(_whole(fields, "object"))

    async def _undo(self, index: int, document: Document, fields: Fields) -> None:
        document.undo()

    async def _redo(self, index: int, document: Document, fields: Fields) -> None:
        document.redo()

    async def _done(self, index: int, document: Document, fields: Fields) -> None:
        if not isinstance(fields.get("done"), bool):
            raise ArgumentError(f"done: expected true or false, found {fields.get('done')!r:.40}")
        document.mark(fields["done"])

    def _prompt(self, index: int, document: Document, fields: Fields) -> tuple[Prompt, Hashable]:
        """Find the prompt of the object that the fields name (none: a new one), and the engine's key for it."""
        if fields.get("object") is None:
            return Prompt(), (index, "new")
        id = _whole(fields, "object")
        return document.find(id).prompt, (index, id)

    async def _answer(
        self, index: int, document: Document, fields: Fields, prompt: Prompt, key: Hashable | None = None
    ) -> None:
        """Give the object that the fields name this prompt and its mask; make it if they name none."""
        if len(prompt.clicks) > MAX_CLICKS:
            raise ArgumentError(f"click: an object has at most {MAX_CLICKS}")
        new = fields.get("object") is None
        category = self._category(fields) if new else 0  # checked before the work
        self._clicks_waiting += 1
        try:
            image = await self._workspace.encoded(index)
            if (image.width, image.height) != (document.width, document.height):
                name = self._workspace.gallery.photos[index].name
                raise ImageError(f"{name}: the file has changed since it was opened; start again")
            mask = await self._mask(image, key or (index, fields["object"]), prompt)
        finally:
            self._clicks_waiting -= 1
        if new:
            id = self._workspace.new_object_id()
            self._workspace.engine.rename(key, (index, id))
            document.put(Annotation(id, category, prompt, mask))
        else:
            document.put(replace(document.find(fields["object"]), prompt=prompt, mask=mask))

    async def _mask(self, image: EncodedImage, key: Hashable, prompt: Prompt) -> RLE:
        return await asyncio.get_running_loop().run_in_executor(
            self._clicks, self._workspace.engine.mask, image, key, prompt
        )

    def _category(self, fields: Fields) -> int:
        category = _whole(fields, "category")
        self._workspace.check_category(category)
        return category


def _click(document: Document, fields: Fields) -> Click:
    return make_click(fields.get("x"), fields.get("y"), fields.get("positive"), document.width, document.height)


def _position(annotation: Annotation, fields: Fields) -> int:
    at = _whole(fields, "click")
    if at >= len(annotation.prompt.clicks):
        raise ArgumentError(f"click: the object has {len(annotation.prompt.clicks)}, found number {at}")
    return at


def _whole(fields: Fields, name: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise ArgumentError(f"{name}: expected a whole number, found {value!r:.40}")
    return value


def _number(fields: Fields, name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise ArgumentError(f"{name}: expected a number, found {value!r:.40}")
    return float(value)
