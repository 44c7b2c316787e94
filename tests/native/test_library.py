"""Finding, choosing and registering the native custom-op library."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from inter2former_onnx.custom_ops import library
from inter2former_onnx.errors import OpsLibraryError
from support.ops.agreement import oracle
from support.ops.comparison import assert_close
from support.ops.families.linear import norm_projection_case
from support.ops.native import instruction_sets, needs_library
from support.ops.sessions import op_model


class RefusingOptions:
    """Session options of an onnxruntime that cannot load the library."""

    def register_custom_ops_library(self, path: str) -> None:
        raise RuntimeError(f"cannot open {path}")


class AcceptingOptions:
    """Session options that remember what was registered."""

    def __init__(self) -> None:
        self.registered: list[str] = []

    def register_custom_ops_library(self, path: str) -> None:
        self.registered.append(path)


@pytest.fixture
def some_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for the library."""
    path = tmp_path / "libinter2former_ops.so"
    path.write_bytes(b"not a library")
    monkeypatch.setenv("INTER2FORMER_OPS_LIBRARY", str(path))
    monkeypatch.delenv("INTER2FORMER_OPS", raising=False)
    monkeypatch.delenv("INTER2FORMER_ISA", raising=False)
    return path


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that was built without a compiler."""
    monkeypatch.delenv("INTER2FORMER_OPS", raising=False)
    monkeypatch.setattr(library, "find", lambda: None)


def test_a_library_that_is_there_is_used(some_file: Path) -> None:
    options = AcceptingOptions()
    assert library.register(options) == "native"
    assert options.registered == [str(some_file)]


def test_portable_never_touches_the_library(some_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTER2FORMER_OPS", "portable")
    options = AcceptingOptions()
    assert library.register(options) == "portable"
    assert options.registered == []


def test_unusable_library_falls_back_with_a_warning(some_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert library.register(RefusingOptions()) == "portable"
    assert str(some_file) in caplog.text and "cannot open" in caplog.text


def test_unusable_library_that_was_demanded(some_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTER2FORMER_OPS", "native")
    with pytest.raises(OpsLibraryError, match="cannot open") as caught:
        library.register(RefusingOptions())
    assert str(some_file) in str(caught.value)


@pytest.mark.usefixtures("no_library")
def test_without_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    options = AcceptingOptions()
    assert library.register(options) == "portable"
    assert options.registered == []
    assert library.instruction_set() is None
    monkeypatch.setenv("INTER2FORMER_OPS", "native")
    with pytest.raises(OpsLibraryError, match="INTER2FORMER_OPS=native: this installation has no native"):
        library.register(options)


@pytest.mark.parametrize("function", [library.find, library.instruction_set])
def test_path_that_names_no_file(function: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTER2FORMER_OPS_LIBRARY", str(tmp_path / "missing.so"))
    assert callable(function)
    with pytest.raises(OpsLibraryError, match=r"INTER2FORMER_OPS_LIBRARY=.*missing\.so: no such file"):
        function()


def test_unknown_mode(some_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTER2FORMER_OPS", "fast")
    with pytest.raises(OpsLibraryError, match="INTER2FORMER_OPS=fast: expected 'native' or 'portable'"):
        library.register(AcceptingOptions())


def test_instruction_set_of_a_file_that_is_no_library(some_file: Path) -> None:
    with pytest.raises(OpsLibraryError, match="cannot be loaded") as caught:
        library.instruction_set()
    assert str(some_file) in str(caught.value)


@needs_library
def test_instruction_set_is_one_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTER2FORMER_ISA", raising=False)
    usable = instruction_sets()
    assert library.instruction_set() == usable[-1]
    for name in usable:
        monkeypatch.setenv("INTER2FORMER_ISA", name)
        assert library.instruction_set() == name


@needs_library
def test_unknown_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTER2FORMER_ISA", "mmx")
    with pytest.raises(OpsLibraryError, match="INTER2FORMER_ISA=mmx: this library has kernels for"):
        library.instruction_set()
    for mode in ("native", ""):
        monkeypatch.setenv("INTER2FORMER_OPS", mode)
        with pytest.raises(OpsLibraryError, match="INTER2FORMER_ISA=mmx"):
            library.register(ort.SessionOptions())
    monkeypatch.setenv("INTER2FORMER_OPS", "portable")
    assert library.register(ort.SessionOptions()) == "portable"


@needs_library
def test_many_sessions_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered again and again, twice with the same options' copy, and with two instruction sets at once."""
    monkeypatch.setenv("INTER2FORMER_OPS", "native")
    inputs, attributes = norm_projection_case(np.random.default_rng(0), 9)
    model = op_model("NormProjection", inputs, attributes).SerializeToString()
    sessions = []
    for name in [*instruction_sets(), *instruction_sets()]:
        monkeypatch.setenv("INTER2FORMER_ISA", name)
        options = ort.SessionOptions()
        assert library.register(options) == "native"
        sessions.append(ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]))
    names = [value.name for value in sessions[0].get_inputs()]
    feed = dict(zip(names, inputs, strict=True))
    expected = oracle("NormProjection", inputs, attributes)
    while sessions:
        # Sessions end in the middle of the others' lives.
        for session in sessions:
            assert_close(session.run(None, feed), expected, 2e-5, "NormProjection")
        sessions.pop(len(sessions) // 2)


@needs_library
def test_library_without_onnxruntime_headers_exports_two_functions() -> None:
    """What the library shows to others: its entry point and the question for its instruction set."""
    path = library.find()
    assert path is not None
    if sys.platform != "linux":
        pytest.skip("lists the symbols of an ELF file")
    listing = subprocess.run(["nm", "-D", "--defined-only", str(path)], capture_output=True, text=True, check=True)
    exported = {line.split()[-1] for line in listing.stdout.splitlines()}
    assert exported == {"RegisterCustomOps", "inter2former_instruction_set"}
