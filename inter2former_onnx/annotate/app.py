"""The page's HTTP interface: a small JSON API, pictures, and the static files of page/.

    GET  /                            the page (page/index.html); /page/... its files
    GET  /api/state                   pictures with their state, classes, whose model answers
    POST /api/images/N/open           a picture's document; it is encoded, and then the next one
    GET  /api/images/N/picture        the picture, as a file that browsers show
    GET  /api/images/N/thumbnail      a small one
    POST /api/images/N/edit           {tab, revision, type, ...}: see editing.Editor.edit -> what changed
    POST /api/images/N/preview        the mask that a click would give
    POST /api/classes                 {type: add | rename | remove, ...}
    POST /api/export                  {kind: coco | png | labelme}
    GET  /api/events                  server-sent events: see hub.Hub

A picture's `version` is in /api/state and in the answer to opening it (identity.py). The page names it in addresses of
photographs and thumbnails, `?v=VERSION`, which makes them answers that may be kept, and as "version" when it opens or
changes a picture; where the version is no longer that of picture N, the request is refused. Likewise with "run" for
classes and exports.

A failure is {"error": "one line"} with status 422; 409 when another window changed the picture first, with what it is
now as "document". Who may ask is guard.py's affair.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..errors import ArgumentError, Inter2FormerError
from ..wording import counted
from .document import Annotation, Document, Objects
from .editing import Editor, StaleRevision
from .exports import COLOURS, KINDS
from .identity import Identities
from .photos import Photo
from .rle import RLE
from .workspace import Workspace

PAGE = Path(__file__).parent / "page"
_HEARTBEAT = 15.0
_THUMBNAILS = 2000
_BRIEFLY = {"cache-control": "private, max-age=600"}
_NEVER = {"cache-control": "no-store"}
_IF_NEW = {"cache-control": "no-cache"}  # kept, but asked for whether there is another one


def build_app(workspace: Workspace) -> Starlette:
    """Build the ASGI application; without guard.Guard around it, it answers everybody."""
    editor = Editor(workspace)
    handlers = _Handlers(workspace, editor)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        workspace.hub.attach()
        yield
        workspace.hub.close()
        editor.close()

    one = "/api/images/{index:int}"
    return Starlette(
        routes=[
            Route("/", handlers.page),
            Mount("/page", _PageFiles(directory=PAGE)),
            Route("/api/state", handlers.state),
            Route(f"{one}/open", handlers.open, methods=["POST"]),
            Route(f"{one}/picture", handlers.picture),
            Route(f"{one}/thumbnail", handlers.thumbnail),
            Route(f"{one}/edit", handlers.edit, methods=["POST"]),
            Route(f"{one}/preview", handlers.preview, methods=["POST"]),
            Route("/api/classes", handlers.classes, methods=["POST"]),
            Route("/api/export", handlers.export, methods=["POST"]),
            Route("/api/events", handlers.events),
        ],
        exception_handlers={Inter2FormerError: _failed, ClientDisconnect: _gone, Exception: _bug},
        lifespan=lifespan,
    )


class _Handlers:
    """Answers to the requests, a method for every route."""

    def __init__(self, workspace: Workspace, editor: Editor) -> None:
        self._workspace = workspace
        self._editor = editor
        self._identities = Identities()
        self._opened: dict[int, str] = {}  # versions of the pictures whose documents are there
        self._thumbnails: OrderedDict[tuple[int, str], tuple[bytes, str]] = OrderedDict()

    async def page(self, request: Request) -> Response:
        return FileResponse(PAGE / "index.html", headers=_NEVER)

    async def state(self, request: Request) -> Response:
        workspace = self._workspace
        manifest = workspace.segmenter.manifest
        photos = workspace.gallery.photos
        versions = await run_in_threadpool(lambda: [self._identities.version(photo) for photo in photos])
        content = {
            "run": self._identities.run,
            "folder": str(workspace.gallery.root),
            "out": str(workspace.out),
            "pictures": [
                {"name": photo.name, "version": versions[index], **workspace.picture_state(index)}
                for index, photo in enumerate(photos)
            ],
            "missing": workspace.missing,
            "notices": workspace.notices,
            "classes": workspace.class_list(),
            "colours": COLOURS,
            "random_weights": "random_weights" in manifest.source,
            "engine": f"{manifest.geometry.size} px model, {counted(workspace.segmenter.threads, 'thread')}, "
            f"{workspace.segmenter.ops} operators",
            "problem": workspace.problem,
        }
        return _json(content)

    async def open(self, request: Request) -> Response:
        index = self._index(request)
        if await request.body():
            self._identities.check_run((await _fields(request)).get("version"))
        photo = self._workspace.gallery.photos[index]
        version = self._identities.version(photo)
        document = await run_in_threadpool(self._workspace.document, index)  # the first time, it reads the file
        if self._opened.get(index, version) != version:
            document = await run_in_threadpool(self._workspace.look_again, index)
        self._opened[index] = version
        self._workspace.look_at(index)
        return _json({**self._document(index, document), "version": version})

    async def picture(self, request: Request) -> Response:
        photo = self._workspace.gallery.photos[self._index(request)]
        caching = self._caching(photo, request)
        content, kind = await run_in_threadpool(photo.for_browser)
        return Response(content, media_type=kind, headers=caching)

    async def thumbnail(self, request: Request) -> Response:
        index = self._index(request)
        photo = self._workspace.gallery.photos[index]
        caching = self._caching(photo, request)
        key = (index, self._identities.version(photo))
        found = self._thumbnails.get(key)
        if found is None:
            found = await run_in_threadpool(photo.thumbnail)
            self._thumbnails[key] = found
            while len(self._thumbnails) > _THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return Response(found[0], media_type=found[1], headers=caching)

    async def edit(self, request: Request) -> Response:
        started = time.perf_counter()
        index = self._index(request)
        fields = await _fields(request)
        tab, revision = fields.get("tab"), fields.get("revision")
        if not isinstance(tab, str) or len(tab) > 64 or isinstance(revision, bool) or not isinstance(revision, int):
            raise ArgumentError("expected a text `tab` and a whole number `revision`")
        self._identities.check(self._workspace.gallery.photos[index], fields.get("version"))
        try:
            edited = await self._editor.edit(index, tab, revision, fields)
        except StaleRevision as stale:
            document = self._workspace.document(index)
            return _json({"error": str(stale), "document": self._document(index, document)}, 409)
        content = _changes(edited.document, edited.before)
        content["mask_ms"] = edited.milliseconds
        content["server_ms"] = 1000 * (time.perf_counter() - started)
        return _json(content)

    async def preview(self, request: Request) -> Response:
        started = time.perf_counter()
        index = self._index(request)
        fields = await _fields(request)
        self._identities.check(self._workspace.gallery.photos[index], fields.get("version"))
        mask = await self._editor.preview(index, fields)
        milliseconds = 1000 * (time.perf_counter() - started)
        return _json({"mask": None if mask is None else _mask(mask), "server_ms": milliseconds})

    async def classes(self, request: Request) -> Response:
        fields = await _fields(request)
        self._identities.check_run(fields.get("run"))
        workspace, kind, id = self._workspace, fields.get("type"), fields.get("id")
        if kind == "add":
            workspace.add_category(fields.get("name"))
        elif kind in ("rename", "remove") and isinstance(id, int):
            if kind == "rename":
                workspace.rename_category(id, fields.get("name"))
            else:
                workspace.remove_category(id)
        else:
            raise ArgumentError("type: expected add, rename or remove (with a whole number `id`)")
        return _json({"classes": workspace.class_list()})

    async def export(self, request: Request) -> Response:
        fields = await _fields(request)
        self._identities.check_run(fields.get("run"))
        kind = fields.get("kind")
        if kind not in KINDS:
            raise ArgumentError(f"kind: expected one of {', '.join(KINDS)}, found {kind!r:.40}")
        count = await run_in_threadpool(self._workspace.export, kind)
        return _json({"files": count, "out": str(self._workspace.out)})

    async def events(self, request: Request) -> Response:
        return StreamingResponse(self._stream(), media_type="text/event-stream", headers=_NEVER)

    async def _stream(self) -> AsyncIterator[str]:
        yield ": hello\n\n"
        async for event in self._workspace.hub.subscribe(_HEARTBEAT):
            yield ": still here\n\n" if event is None else f"data: {json.dumps(event)}\n\n"

    def _index(self, request: Request) -> int:
        index: int = request.path_params["index"]
        self._workspace.check(index)
        return index

    def _caching(self, photo: Photo, request: Request) -> dict[str, str]:
        """Tell how long an answer may be kept: for a while where its address says which picture it is.

        Raises:
            ArgumentError: the address says that it is another one.
        """
        named = request.query_params.get("v")
        self._identities.check(photo, named)
        return _NEVER if named is None else _BRIEFLY

    def _document(self, index: int, document: Document) -> dict[str, Any]:
        encoding = vars(self._workspace.encodings.progress(index))
        size = {"width": document.width, "height": document.height}
        return {**size, **_changes(document, ()), "encoding": encoding, "notice": self._workspace.notice(index)}


class _PageFiles(StaticFiles):
    """The page's own files, which another version of this package has at the same addresses."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers.update(_IF_NEW)
        return response


def _changes(document: Document, before: Objects) -> dict[str, Any]:
    """Describe a document for a page that knows it as it was before: masks only where they are others."""
    known = {annotation.id: annotation.mask for annotation in before}
    objects = [_object(annotation, known.get(annotation.id) != annotation.mask) for annotation in document.objects]
    return {
        "revision": document.revision,
        "objects": objects,
        "done": document.done,
        "can_undo": document.can_undo,
        "can_redo": document.can_redo,
    }


def _object(annotation: Annotation, with_mask: bool) -> dict[str, Any]:
    prompt = annotation.prompt
    content: dict[str, Any] = {
        "id": annotation.id,
        "category": annotation.category,
        "clicks": [[click.x, click.y, int(click.positive)] for click in prompt.clicks],
        "box": prompt.box,
        "area": annotation.mask.area,
    }
    if with_mask:
        content["mask"] = _mask(annotation.mask)
    return content


def _mask(mask: RLE) -> dict[str, Any]:
    return {**mask.json(), "box": mask.box}


async def _fields(request: Request) -> dict[str, Any]:
    """Read the JSON object in a request's body; its length is limited by the guard.

    Raises:
        ArgumentError: it says that it is something else, or is.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ArgumentError("content-type: expected application/json")
    try:
        content = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise ArgumentError("body: not JSON") from None
    if not isinstance(content, dict):
        raise ArgumentError(f"body: expected an object, found {type(content).__name__}")
    return content


def _json(content: Any, status: int = 200) -> Response:
    # A name may hold bytes that are not UTF-8: how these are escaped is also how JSON escapes them.
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    body = text.encode("utf-8", "backslashreplace")
    return Response(body, status, {**_NEVER, "content-type": "application/json"})


async def _failed(request: Request, error: Exception) -> Response:
    return _json({"error": " ".join(str(error).split())}, 422)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


async def _bug(request: Request, error: Exception) -> Response:
    return _json({"error": f"{type(error).__name__}: {error} (this is a bug)"}, 500)
