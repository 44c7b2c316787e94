"""The hook by which PyInstaller takes along what the package reads at run time; PyInstaller itself is not needed."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inter2former_onnx
from inter2former_onnx.custom_ops import library
from support.reference import REPOSITORY

PACKAGE = Path(inter2former_onnx.__file__).parent
HOOK = PACKAGE / "__pyinstaller" / "hook-inter2former_onnx.py"


def hook() -> dict[str, Any]:
    """Run the hook, as PyInstaller does."""
    return runpy.run_path(str(HOOK))


def test_what_is_read_at_run_time_is_collected() -> None:
    found = hook()
    collected = {Path(target) / Path(source).name for source, target in found["datas"]}
    wanted = [
        *("bundle/manifest.json", "bundle/encoder.onnx", "bundle/encoder.onnx.data", "bundle/decoder.onnx"),
        *("models/presets/vit_b.json", "custom_ops/ops.txt", "annotate/page/index.html", "assets/coffee.jpg"),
    ]
    assert {Path("inter2former_onnx") / name for name in wanted} <= collected
    assert not [path for path in collected if path.suffix in (".py", ".pyc", ".cpp", ".safetensors", ".so")]
    assert not [path for path in collected if ".cache" in path.parts]
    native = library.find()
    assert found["binaries"] == ([] if native is None else [(str(native), "inter2former_onnx/custom_ops")])


def test_modules_and_what_the_hook_collects_segment_a_picture(tmp_path: Path) -> None:
    """A program of nothing but the package's modules and the collected files, as a frozen one is."""
    for module in PACKAGE.rglob("*.py"):
        target = tmp_path / "app" / module.relative_to(PACKAGE.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, target)
    found = hook()
    for source, folder in [*found["datas"], *found["binaries"]]:
        (tmp_path / "app" / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / "app" / folder)
    np.save(tmp_path / "a.npy", np.full((40, 50, 3), 90, np.uint8))
    command = [sys.executable, "-m", "inter2former_onnx", "segment", "a.npy", "--click", "20,20", "--out", "m.npy"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "app"), "INTER2FORMER_CACHE": "off"}
    if library.find() is not None:
        environment["INTER2FORMER_OPS"] = "native"
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert np.load(tmp_path / "m.npy").shape == (40, 50)


def test_the_entry_point_names_the_hooks_folder() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (module, _, function) = project["entry-points"]["pyinstaller40"]["hook-dirs"].partition(":")
    (folder,) = getattr(__import__(module, fromlist=[function]), function)()
    assert Path(folder) == HOOK.parent
