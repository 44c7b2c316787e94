"""One ONNX graph of a bundle in onnxruntime: loaded on first use, once, by whichever thread comes first."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from ..custom_ops import library
from ..errors import BundleError
from ..telemetry import turn_off
from .bundle import Manifest, check_files, side_by_side
from .ending import stopped_at_exit

turn_off()  # now that onnxruntime is imported

# Which type is the manifest's affair, not the type checker's.
Array = NDArray[Any]


class Graph:
    """A graph and its onnxruntime session. Any number of threads may call `run` at once."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        name: str,
        threads: int,
        *,
        cached: bool = False,
        frees_memory: bool = False,
    ) -> None:
        """Take a graph of a bundle. Nothing is read yet.

        Args:
            folder, manifest: the bundle.
            name: one of bundle.GRAPHS.
            threads: the number that a run uses.
            cached: keep the optimised graph on disk (see graph_cache.py): for graphs that take long to load.
            frees_memory: give working memory back after every run: for graphs that need much, and rarely.
        """
        self.path = folder / manifest.graphs[name].file
        self._folder = folder
        self._manifest = manifest
        self._name = name
        self._threads = threads
        self._cached = cached
        self._frees_memory = frees_memory
        self._lock = threading.Lock()
        self._session: ort.InferenceSession | None = None
        self._ops: library.OpsMode | None = None
        _living.add(self)

    @property
    def ops(self) -> library.OpsMode:
        """What carries out the custom ops. Loads the graph."""
        self.load()
        assert self._ops is not None  # loading set it
        return self._ops

    def run(self, outputs: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        """Run the graph.

        Args:
            outputs: names of the outputs wanted.
            feed: inputs by name. Those that are C-contiguous are read where they are, without a copy.

        Returns:
            The outputs in the order of their names, the caller's own.

        Raises:
            BundleError: the graph cannot be loaded, or fails on this input.
        """
        session, options = self.load(), self._run_options()
        with self._running(options):
            results: list[Array] = session.run(list(outputs), dict(feed), options)
        return results

    def run_into(self, outputs: Mapping[str, Array], feed: Mapping[str, Array]) -> None:
        """Run the graph into arrays that the caller made.

        onnxruntime's own outputs would lie among its working memory, of which none could be given back while they live.

        Args:
            outputs: by name, C-contiguous arrays of the outputs' types and shapes.
            feed: as for `run`.

        Raises:
            BundleError: as `run`; also when an output has another shape than its array.
        """
        session, options = self.load(), self._run_options()
        binding = session.io_binding()
        with self._running(options):
            for name, value in feed.items():
                binding.bind_cpu_input(name, value)
            for name, array in outputs.items():
                binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
            session.run_with_iobinding(binding, options)

    @contextmanager
    def _running(self, options: ort.RunOptions) -> Iterator[None]:
        """Turn errors of a run into the package's, and stop it when the process ends."""

        def stop() -> None:
            options.terminate = True

        try:
            with stopped_at_exit(stop):
                yield
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no public base
            raise BundleError(f"{self.path}: onnxruntime could not run it: {_one_line(error)}") from error

    def _run_options(self) -> ort.RunOptions:
        options = ort.RunOptions()
        if self._frees_memory:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return options

    def load(self) -> ort.InferenceSession:
        """Make the session, if no earlier call has. Returns it.

        Raises:
            BundleError: a file is altered or missing, or onnxruntime refuses it.
            OpsLibraryError: the native library was asked for and cannot be used.
        """
        session = self._session
        if session is None:
            with self._lock:
                session = self._session
                if session is None:
                    session = self._create()
                    self._session = session
        return session

    def _create(self) -> ort.InferenceSession:
        session = self._create_cached() if self._cached else None
        if session is None:
            check_files(self._folder, self._manifest, self._manifest.files_of(self._name))
            options = self._options()
            try:
                session = self._open_own(options)
            except BundleError:
                raise
            except Exception as error:  # see run
                text = f"{self.path}: onnxruntime {ort.__version__} refuses it: {_one_line(error)}"
                raise BundleError(text) from error
        self._check_names(session)
        return session

    def _options(self) -> ort.SessionOptions:
        options = session_options(self._threads)
        self._ops = library.register(options)
        return options

    def _create_cached(self) -> ort.InferenceSession | None:
        """A session of the optimised graph, or one that leaves it behind; None where neither works.

        With the optimised graph the bundle's own files are not read: it is known to be made of ones with the manifest's
        sha256.
        """
        from .graph_cache import MODEL, WEIGHTS, cache_of

        options = self._options()
        assert self._ops is not None  # the line above set it
        cache = cache_of(self._folder, self._manifest, self._name, self._ops, SESSION_CONFIG)
        if cache is None:
            return None
        model = cache.find()
        if model is not None:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            try:
                return _open(model, options)
            except Exception:  # see run
                cache.discard()
        names = self._manifest.files_of(self._name)
        check_files(self._folder, self._manifest, names)
        draft = cache.begin(sum(self._manifest.files[name].bytes for name in names))
        if draft is None:
            return None
        saving = self._options()
        saving.optimized_model_filepath = str(draft.path / MODEL)
        saving.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)
        saving.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        saving.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
        try:
            session = self._open_own(saving)
        except Exception:  # the graph's own fault, or the disk's: without the cache it will show
            draft.discard()
            return None
        except BaseException:  # an interrupt, or the end of the process
            draft.discard()
            raise
        cache.commit(draft)
        return session

    def _open_own(self, options: ort.SessionOptions) -> ort.InferenceSession:
        """Open the bundle's own files."""
        with side_by_side(self._folder, self._manifest.files_of(self._name)) as folder:
            return _open(folder / self.path.name, options)

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


def _open(path: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    def stop() -> None:
        cancel = getattr(options, "set_load_cancellation_flag", None)  # older versions lack it: loading is waited for
        if cancel is not None:
            cancel(True)

    with stopped_at_exit(stop):
        return ort.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])


# While a run lasts, idle threads spin (waking them for every operator costs more than it saves); when it ends they stop
# at once, so that the pools of the three graphs never compete for the processor.
SESSION_CONFIG = {"session.intra_op.allow_spinning": "1", "session.force_spinning_stop": "1"}


def session_options(threads: int) -> ort.SessionOptions:
    """Make options for low latency on `threads` threads, one operator after another."""
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Every click has shapes of its own, and onnxruntime would keep a memory plan for each of them forever.
    options.enable_mem_pattern = False
    for name, value in SESSION_CONFIG.items():
        options.add_session_config_entry(name, value)
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
