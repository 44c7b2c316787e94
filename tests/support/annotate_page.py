"""Helpers for tests of the annotation page: pictures, a workspace around a bundle, a client, the command running."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inter2former_onnx.annotate.app import build_app
from inter2former_onnx.annotate.guard import Guard
from inter2former_onnx.annotate.photos import Gallery
from inter2former_onnx.annotate.workspace import Workspace
from inter2former_onnx.runtime import Segmenter

PORT = 8675
TOKEN = "the-token-of-this-test"
BASE = f"http://127.0.0.1:{PORT}"

# Of the fake bundle, whose first click takes everything: what is bright stays, what is dark goes with a click on it.
WIDTH, HEIGHT = 90, 70


def write_pictures(folder: Path, names: tuple[str, ...] = ("one.png", "two.jpg", "three.png")) -> Path:
    """Pictures of random pixels, one size, one for every name."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return folder


@contextmanager
def page(
    segmenter: Segmenter, pictures: Path, out: Path | None = None, classes: tuple[str, ...] = (), **options: Any
) -> Iterator[Page]:
    """A client of the page's API, with everything behind it running; saved when the block ends."""
    from starlette.testclient import TestClient

    beside = pictures if pictures.is_dir() else pictures.parent
    out = out or beside / "annotations"
    workspace = Workspace(segmenter, Gallery.open(pictures, without=out), out, classes)
    try:
        guard = Guard(build_app(workspace), TOKEN, PORT)
        with TestClient(guard, base_url=BASE, headers={"authorization": f"Bearer {TOKEN}"}, **options) as client:  # type: ignore[arg-type]
            yield Page(client, workspace)
    finally:
        workspace.close()


class Page:
    """What a window of the page does, as calls."""

    def __init__(self, client: Any, workspace: Workspace, tab: str = "tab") -> None:
        self.client = client
        self.workspace = workspace
        self.tab = tab
        self.document: dict[str, Any] = {}
        self._masks: dict[int, np.ndarray] = {}

    def mask(self, id: int) -> np.ndarray:
        """bool [height, width]: the object's mask as the page has it; answers leave out what did not change."""
        return self._masks[id]

    def _keep_masks(self) -> None:
        for entry in self.document["objects"]:
            if "mask" in entry:
                self._masks[entry["id"]] = decoded(entry["mask"])

    def open(self, index: int = 0) -> dict[str, Any]:
        self.index = index
        self.document = self.call(f"/api/images/{index}/open")
        self._keep_masks()
        return self.document

    def edit(self, type: str, status: int = 200, **fields: Any) -> dict[str, Any]:
        body = {"tab": self.tab, "revision": self.document["revision"], "type": type, **fields}
        content = self.call(f"/api/images/{self.index}/edit", status, **body)
        if status == 200:
            self.document = {**self.document, **content}
            self._keep_masks()
        return content

    def click(
        self, x: float, y: float, positive: bool = True, object: int | None = None, **more: Any
    ) -> dict[str, Any]:
        fields = {"object": object, "category": 1, "x": x, "y": y, "positive": positive, **more}
        return self.edit("click", **fields)

    def call(self, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        response = self.client.post(path, json=body)
        assert response.status_code == status, response.text
        content: dict[str, Any] = response.json()
        return content

    def saved(self, name: str = "coco.json") -> dict[str, Any]:
        """The COCO file as it is after everything has been saved."""
        self.workspace.saver.flush()
        content: dict[str, Any] = json.loads((self.workspace.out / name).read_text())
        return content


def decoded(mask: dict[str, Any]) -> np.ndarray:
    """bool [height, width] of a mask as the API or a COCO file has it, by pycocotools."""
    from pycocotools import mask as coco

    result: np.ndarray = coco.decode({"size": mask["size"], "counts": mask["counts"].encode()}).astype(np.bool_)
    return result


class RunningCommand:
    """`inter2former annotate` in a process of its own."""

    def __init__(self, *arguments: str | Path) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "inter2former_onnx", "annotate", *map(str, arguments), "--no-browser"]
        self.process = subprocess.Popen(
            command,
            cwd="/",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self.address = self._address()

    def _address(self) -> str:
        assert self.process.stdout is not None
        timer = threading.Timer(60, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                self.output += line
                found = re.match(r"open (http://\S+)", line)
                if found:
                    return found[1]
        finally:
            timer.cancel()
        raise AssertionError(f"the command ended: {self.output}")

    def end(self, signal: int) -> int:
        """Send a signal, and wait for the end; returns the exit status."""
        self.process.send_signal(signal)
        rest, _ = self.process.communicate(timeout=120)
        self.output += rest
        return self.process.returncode

    def __enter__(self) -> RunningCommand:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The first true value of `condition`."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        value = condition()
        if value:
            return value
        pause.wait(0.02)
    raise AssertionError(f"waited {seconds} s in vain: {what}")
