"""One ONNX graph of a bundle in onnxruntime: loaded on first use, once, by whichever thread comes first."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from ..custom_ops import library
from ..errors import BundleError
from .manifest import Manifest, check_files

# Which type is the manifest's affair, not the type checker's.
Array = NDArray[Any]


class Graph:
    """A graph and its onnxruntime session. Any number of threads may call `run` at once."""

    def __init__(self, folder: Path, manifest: Manifest, name: str, threads: int) -> None:
        """Nothing is read yet. `name` is "encoder", "prompt" or "decoder"; `threads` is the number that a run uses."""
        self.path = folder / manifest.graphs[name].file
        self._folder = folder
        self._manifest = manifest
        self._name = name
        self._threads = threads
        self._lock = threading.Lock()
        self._session: ort.InferenceSession | None = None
        self._ops = ""
        _living.add(self)

    @property
    def ops(self) -> str:
        """What carries out the custom ops: "native" or "portable". Loads the graph."""
        self.load()
        return self._ops

    def run(self, outputs: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        """Named inputs to the named outputs.

        Inputs that are C-contiguous are read where they are, without a copy; the outputs are the caller's own.

        Raises:
            BundleError: the graph cannot be loaded, or fails on this input.
        """
        session = self.load()
        try:
            results: list[Array] = session.run(list(outputs), dict(feed), self._run_options())
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no public base
            raise BundleError(f"{self.path}: onnxruntime could not run it: {_one_line(error)}") from error
        return results

    def _run_options(self) -> ort.RunOptions:
        options = ort.RunOptions()
        if self._name == "encoder":
            # Give its working memory (0.8 GB for ViT-B at 1024) back after each image. It costs no measurable time; the
            # graphs that answer clicks keep theirs.
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return options

    def load(self) -> ort.InferenceSession:
        """The session, made by the first call. Raises BundleError or OpsLibraryError."""
        session = self._session
        if session is None:
            with self._lock:
                session = self._session
                if session is None:
                    session = self._create()
                    self._session = session
        return session

    def _create(self) -> ort.InferenceSession:
        check_files(self._folder, self._manifest, self._manifest.files_of(self._name))
        options = session_options(self._threads)
        self._ops = library.register(options)
        try:
            session = ort.InferenceSession(str(self.path), sess_options=options, providers=["CPUExecutionProvider"])
        except Exception as error:  # see run
            raise BundleError(f"{self.path}: onnxruntime {ort.__version__} refuses it: {_one_line(error)}") from error
        self._check_names(session)
        return session

    def _check_names(self, session: ort.InferenceSession) -> None:
        """The file must have the tensors that the manifest says, or runs would fail later and less clearly."""
        spec = self._manifest.graphs[self._name]
        for kind, found, expected in (
            ("inputs", {tensor.name for tensor in session.get_inputs()}, {tensor.name for tensor in spec.inputs}),
            ("outputs", {tensor.name for tensor in session.get_outputs()}, {tensor.name for tensor in spec.outputs}),
        ):
            # Optional inputs (with a default in the file) are listed by the manifest but not by get_inputs.
            if kind == "inputs":
                found |= {tensor.name for tensor in session.get_overridable_initializers()}
            if found != expected:
                raise BundleError(
                    f"{self.path}: {kind} are {sorted(found ^ expected)} off from what the manifest lists"
                )

    def _forget_session(self) -> None:
        """In a forked child: onnxruntime's threads stayed in the parent, so a run would wait for them forever."""
        if self._session is not None:
            # Its destructor, too, would wait for those threads: one reference too many keeps it from ever being run,
            # even at the interpreter's end.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
            self._session = None
        self._lock = threading.Lock()  # the parent's may have been held by another thread at the fork


def session_options(threads: int) -> ort.SessionOptions:
    """Options for low latency on `threads` threads, one operator after another."""
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Every click has shapes of its own, and onnxruntime would keep a memory plan for each of them forever.
    options.enable_mem_pattern = False
    # While a run lasts, idle threads spin (waking them for every operator costs more than it saves); when it ends they
    # stop at once, so that the pools of the three graphs never compete for the processor.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 4  # errors reach the caller as exceptions; no need to print them as well
    return options


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__


_living: weakref.WeakSet[Graph] = weakref.WeakSet()


def _after_fork() -> None:
    for graph in list(_living):
        graph._forget_session()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
