"""Files that are no native library of this platform, and one that is loaded twice: through the real onnxruntime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from inter2former_onnx.custom_ops import library
from support.fake_bundle import write_fake_bundle
from support.ops.native import needs_library
from support.tried import tried

pytestmark = needs_library

# In a process of its own: what this is about would end it.
OPENS = """
import json, logging, os, sys
import numpy as np
from inter2former_onnx import Segmenter
from inter2former_onnx.custom_ops import library
from inter2former_onnx.errors import OpsLibraryError
records = []
class Handler(logging.Handler):
    def emit(self, record): records.append(record.getMessage())
logging.getLogger("inter2former_onnx").addHandler(Handler())
image = np.zeros((20, 30, 3), np.uint8)
for path in sys.argv[2:]:
    os.environ["INTER2FORMER_OPS_LIBRARY"] = path
    outcome = {"path": path}
    os.environ["INTER2FORMER_OPS"] = ""
    records.clear()
    segmenter = Segmenter(sys.argv[1], threads=1)
    segmenter.encode(image).session().click(3, 3)
    outcome["ops"], outcome["warnings"] = segmenter.ops, list(records)
    for name, demand in (("native", lambda: Segmenter(sys.argv[1])), ("instruction_set", library.instruction_set)):
        os.environ["INTER2FORMER_OPS"] = "native"
        try:
            demand()
            outcome[name] = ""
        except OpsLibraryError as error:
            outcome[name] = str(error)
    print(json.dumps(outcome), flush=True)
"""


def damaged(folder: Path) -> list[Path]:
    """Files in the library's place."""
    path = library.find()
    assert path is not None
    data = path.read_bytes()
    files = {
        "empty": b"",
        "text": b"not a library\n" * 50,
        "mach-o": bytes.fromhex("cffaedfe0c000001") + bytes(5000),
        "pe": b"MZ" + bytes(5000),
        "html": b"<!DOCTYPE html><title>404</title>",
    }
    if data.startswith(b"\x7fELF"):
        machine = (183 if data[18:20] != (183).to_bytes(2, "little") else 62).to_bytes(2, "little")
        files |= {"another-processor": data[:18] + machine + data[20:], "32-bit": data[:4] + b"\1" + data[5:]}
        files |= {f"cut-{percent}": data[: len(data) * percent // 100] for percent in (1, 10, 30, 50, 70)}
        files |= {"cut-header": data[:40], "cut-table": data[:100]}
        files |= {
            "absurd-table": data[:32] + b"\xff" * 8 + data[40:],
            "absurd-entries": data[:54] + b"\1\0" + data[56:],
        }
    found = []
    for name, content in files.items():
        found.append(folder / f"{name}.so")
        found[-1].write_bytes(content)
    # A library, but of something else.
    other = Path(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    return [*found, other]


def test_files_that_are_no_library_of_this_platform(tmp_path: Path) -> None:
    """Without demand: one warning, portable operators. Demanded: OpsLibraryError. Never the end of the process."""
    bundle = write_fake_bundle(tmp_path / "bundle")
    files = damaged(tmp_path)
    variables = {name: value for name, value in os.environ.items() if name != "INTER2FORMER_ISA"}
    command = [sys.executable, "-c", OPENS, str(bundle), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=tmp_path, timeout=120)
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {files[len(outcomes)].name}: {done.returncode} {done.stderr[-2000:]}"
    for path, outcome in zip(files, outcomes, strict=True):
        tried()
        assert outcome["ops"] == "portable", path.name
        assert outcome["warnings"] and all(str(path.resolve()) in text for text in outcome["warnings"]), path.name
        for name in ("native", "instruction_set"):
            assert outcome[name].startswith(f"{path.resolve()}: the native custom-op library cannot be "), outcome


def test_registered_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice with the same options: onnxruntime's error or a session, and a fresh one works; beside it a second copy."""
    path = library.find()
    assert path is not None
    bundle = write_fake_bundle(tmp_path / "bundle")
    options = ort.SessionOptions()
    assert library.register(options) == "native"
    monkeypatch.delenv("INTER2FORMER_OPS", raising=False)
    assert library.register(options) in ("native", "portable")
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    for place in (path, copy, path):
        monkeypatch.setenv("INTER2FORMER_OPS_LIBRARY", str(place))
        fresh = ort.SessionOptions()
        assert library.register(fresh) == "native"
        session = ort.InferenceSession(str(bundle / "prompt.onnx"), fresh, providers=["CPUExecutionProvider"])
        assert session.get_outputs()[0].name == "prompt"
        tried()
