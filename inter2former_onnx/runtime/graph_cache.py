"""The optimised form of a graph, kept on disk between processes.

What onnxruntime makes of a graph when it loads it (fused nodes, weights laid out for this processor) is written once
and mapped into memory from then on. An entry is a folder, filled under another name and renamed when it is whole:
processes that race each other never see half of one. Its name stands for all that it depends on: onnxruntime,
processor, op library, session options, graph. An altered entry is replaced, and nothing here ever fails a caller.

INTER2FORMER_CACHE=off turns this off, INTER2FORMER_CACHE=FOLDER puts it elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnxruntime as ort

from ..custom_ops import library
from .bundle import Manifest
from .files import FolderDraft, sha256_of, write_file

VARIABLE = "INTER2FORMER_CACHE"
MODEL = "graph.onnx"
WEIGHTS = "graph.onnx.data"
_RECORD = "entry.json"
_FORMAT = 1
_UNUSED_SECONDS = 30 * 24 * 3600  # an entry that nothing asked for in this time is removed
_ABANDONED_SECONDS = 3600  # and so is an unfinished one
_ROOM = 3  # an entry takes up to twice the graph's bytes (weights as they are and as laid out); this much must be free


class GraphCache:
    """The place of one graph's optimised form. Making one touches no disk."""

    def __init__(self, folder: Path, graph: str, key: Mapping[str, Any]) -> None:
        """Name the place.

        Args:
            folder: holds the entries of a bundle.
            graph: the graph's name.
            key: all that the entry depends on, as JSON types.
        """
        self._folder = folder
        self._graph = graph
        self._key = json.dumps({**key, "format": _FORMAT}, sort_keys=True)
        self._entry = folder / f"{graph}-{hashlib.sha256(self._key.encode()).hexdigest()[:24]}"

    def find(self) -> Path | None:
        """Find the optimised model; None if there is none, or one that is not what was written.

        The files' sha256 are compared, unless the system vouches for them (see _stamp) as it did after the last time.
        """
        try:
            record = json.loads((self._entry / _RECORD).read_text(encoding="utf-8"))
            files = record["files"]
            if record["key"] != self._key or MODEL not in files:
                return None
            stamp = _stamp(self._entry, files)
            if stamp is None or stamp != record["stamp"]:
                if any(sha256_of(self._entry / name) != sha256 for name, sha256 in files.items()):
                    return None
                with suppress(OSError):  # it may be somebody else's
                    self._write_record(self._entry, {**record, "stamp": stamp})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        with suppress(OSError):
            os.utime(self._entry / _RECORD)  # for _tidy: somebody asked for it
        return self._entry / MODEL

    def begin(self, size: int) -> FolderDraft | None:
        """Make an empty folder for the optimised form of a graph of `size` bytes; None where there is no place."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._tidy()
            if shutil.disk_usage(self._folder).free < _ROOM * size:
                return None
            return FolderDraft(self._entry)
        except OSError:
            return None

    def commit(self, draft: FolderDraft) -> None:
        """Make the folder that `begin` gave, and that holds the model now, the entry."""
        with draft, suppress(OSError):
            files = {path.name: sha256_of(path) for path in sorted(draft.path.iterdir())}
            self._write_record(draft.path, {"key": self._key, "files": files, "stamp": _stamp(draft.path, files)})
            if self.find() is None:  # else another process was faster
                draft.commit()

    def discard(self) -> None:
        """Remove the entry."""
        shutil.rmtree(self._entry, ignore_errors=True)

    def _write_record(self, folder: Path, record: Mapping[str, Any]) -> None:
        text = json.dumps(record, indent=1) + "\n"
        write_file(folder / _RECORD, lambda stream: stream.write(text.encode()))

    def _tidy(self) -> None:
        """Remove what nobody will use again: entries of other versions, and what a killed process left behind."""
        now = time.time()
        for path in self._folder.glob(f"{self._graph}-*"):
            if path != self._entry and now - _modified(path / _RECORD) > _UNUSED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        for path in self._folder.glob(f".{self._graph}-*"):
            if now - _modified(path) > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def cache_of(
    bundle: Path, manifest: Manifest, graph: str, ops: library.OpsMode, options: Mapping[str, Any]
) -> GraphCache | None:
    """Choose the cache of one graph of a bundle; None where INTER2FORMER_CACHE=off or there is no place for one.

    Args:
        bundle: the bundle's folder.
        manifest: its manifest.
        graph: the graph's name in it.
        ops: what carries out the custom ops.
        options: the session's options, as JSON types.
    """
    folder = _folder(bundle, manifest)
    if folder is None:
        return None
    key = {
        "onnxruntime": [ort.__version__, ort.get_build_info()],
        "machine": _machine(),
        "ops": [ops, *_library(ops)],
        "options": dict(options),
        "files": {name: manifest.files[name].sha256 for name in manifest.files_of(graph)},
    }
    return GraphCache(folder, graph, key)


def _folder(bundle: Path, manifest: Manifest) -> Path | None:
    """In the bundle; among the user's caches when the bundle is read-only or part of the installed package."""
    setting = os.environ.get(VARIABLE, "")
    if setting.lower() in ("off", "0"):
        return None
    if setting:
        return Path(setting) / manifest.id[:24]
    package = Path(__file__).resolve().parents[1]
    if os.access(bundle, os.W_OK) and package not in bundle.resolve().parents:
        return bundle / ".cache"
    try:
        home = Path.home()
    except RuntimeError:  # nobody's process
        return None
    base = {"win32": "AppData/Local", "darwin": "Library/Caches"}.get(sys.platform, ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or home / base) / "inter2former-onnx" / manifest.id[:24]


def _machine() -> str:
    """What the processor is and can do: the optimiser chooses layouts by it."""
    if hasattr(os, "uname"):
        system = os.uname()
        parts = [system.sysname, system.machine]
        if system.sysname != "Linux":
            parts.append(system.release)
    else:
        parts = [sys.platform, os.environ.get("PROCESSOR_IDENTIFIER", "")]
    wanted = ("model name", "flags", "Features", "CPU implementer", "CPU architecture", "CPU part")
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in wanted and line not in parts:
                parts.append(line)
    except OSError:
        pass
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _library(ops: library.OpsMode) -> list[str | None]:
    """Identity of the native op library, and the instruction set of its kernels."""
    path = library.find() if ops == "native" else None
    return [] if path is None else [sha256_of(path), library.instruction_set()]


def _stamp(folder: Path, files: Mapping[str, Any]) -> list[Any] | None:
    """What changes when a file is touched: sizes, inodes and times of change, of this run of the operating system.

    A file cannot be written without its time of change (ctime) moving, which no program can set back; the disk's
    contents after a crash are another matter, hence the boot's id. None where the system tells no such id.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    states = [(folder / name).stat() for name in sorted(files)]
    return [boot, *([state.st_dev, state.st_ino, state.st_size, state.st_ctime_ns] for state in states)]


def _modified(path: Path) -> float:
    """When, or for ever ago if it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
