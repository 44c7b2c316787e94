"""Fixtures: the reference data in tests/data and bundles made from its checkpoint. A run ends with what it tried."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inter2former_onnx  # noqa: F401 - before any test imports onnxruntime, whose telemetry it turns off
from support import tried
from support.reference import DATA, TESTS, mini_config_dict, reference

# Bundles stay as they were made, and the user's own folders untouched; tests of the cache turn it on.
os.environ["INTER2FORMER_CACHE"] = "off"
# PyTorch's threads wait busily for each other, which takes most of the time with arrays as small as in these tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell starts background jobs with interrupts ignored, and commands that the tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The optional packages that the tests of a folder need: without one of them the folder is skipped, and says why.
NEEDS = {
    "annotate": ("starlette", "uvicorn", "httpx", "pycocotools"),
    "benchmarks": ("torch", "matplotlib", "tqdm"),
    "checkpoints": ("torch", "safetensors", "hypothesis"),
    "evaluation": ("cv2", "onnx", "pycocotools", "scipy", "tqdm", "matplotlib"),
    "export": ("torch", "onnx", "onnxscript", "safetensors"),
    "models": ("torch", "hypothesis"),
    "native": ("torch", "onnx", "onnxscript"),
    "ops": ("torch", "onnx", "onnxscript"),
    "reliability": ("torch", "onnx", "onnxscript", "hypothesis"),
    "training": ("torch", "cv2", "tqdm", "safetensors", "matplotlib", "pycocotools"),
}


class Folder(pytest.Dir):
    """A folder of tests, skipped where an optional package that they need is not installed."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        for name in NEEDS[self.path.name]:
            pytest.importorskip(name)
        return super().collect()


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if path.parent == TESTS and path.name in NEEDS:
        folder: pytest.Collector = Folder.from_parent(parent, path=path)
        return folder
    return None


@pytest.fixture(scope="session")
def reference_image() -> np.ndarray:
    """The reference photograph: uint8 [150, 200, 3], RGB."""
    return np.ascontiguousarray(reference("session_exact")["image_bgr"][:, :, ::-1])


def _export(folder: Path, routing: str, **options: Any) -> Path:
    from inter2former_onnx.export import export_bundle

    return export_bundle(folder / routing, config=mini_config_dict(routing), checkpoint=DATA / "mini.pth", **options)


@pytest.fixture(scope="session")
def mini_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the reference checkpoint, routing `boundary`. Read only: copy it before changing anything."""
    return _export(tmp_path_factory.mktemp("bundles"), "boundary")


@pytest.fixture(scope="session")
def mini_bundle_roi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the reference checkpoint, routing `roi`."""
    return _export(tmp_path_factory.mktemp("bundles"), "roi")


@pytest.fixture(scope="session")
def mini_bundle_fit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the reference checkpoint, geometry `fit`, as the command makes it from a square's configuration."""
    return _export(tmp_path_factory.mktemp("bundles"), "boundary", geometry="fit")


def pytest_runtest_setup(item: pytest.Item) -> None:
    tried.COUNTS.running = tried.function_of(item.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        tried.COUNTS.passed[tried.function_of(report.nodeid)] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What docs/reliability.md quotes."""
    if lines := tried.summary():
        terminalreporter.section("tried for docs/reliability.md")
        for line in lines:
            terminalreporter.write_line(line)
