"""Fixtures: the reference data in tests/data and bundles made from its checkpoint. A run ends with what it tried."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tried

# Bundles stay as they were made, and the user's own folders untouched; tests of the cache turn it on.
os.environ["INTER2FORMER_CACHE"] = "off"
# A shell starts background jobs with interrupts ignored, and commands that the tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(__file__).parent / "data"
MINI_SIZE = 192


def mini_config_dict(routing: str = "boundary") -> dict[str, Any]:
    """The published arguments of the reference model, with the geometry that README of the reference data states."""
    values: dict[str, Any] = json.loads((DATA / "mini_config.json").read_text())
    return {**values, "routing": routing, "geometry": {"mode": "square", "size": MINI_SIZE, "size_divisor": 64}}


def reference(name: str) -> Mapping[str, np.ndarray]:
    """The arrays of one reference file, by its stem."""
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def reference_image() -> np.ndarray:
    """The reference photograph: uint8 [150, 200, 3], RGB."""
    return np.ascontiguousarray(reference("session_exact")["image_bgr"][:, :, ::-1])


def _export(folder: Path, routing: str) -> Path:
    from inter2former_onnx.export import export_bundle

    return export_bundle(folder / routing, config=mini_config_dict(routing), checkpoint=DATA / "mini.pth")


@pytest.fixture(scope="session")
def mini_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the reference checkpoint, routing `boundary`. Read only: copy it before changing anything."""
    return _export(tmp_path_factory.mktemp("bundles"), "boundary")


@pytest.fixture(scope="session")
def mini_bundle_roi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the reference checkpoint, routing `roi`."""
    return _export(tmp_path_factory.mktemp("bundles"), "roi")


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
