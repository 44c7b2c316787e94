"""Killed at any moment (kill -9: nothing can be tidied up), `export` and `encode` leave a whole result or none."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from inter2former_onnx import Segmenter
from inter2former_onnx.runtime.bundle import check_files, read_manifest
from support.fake_bundle import write_fake_bundle
from support.tried import tried

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")


@contextmanager
def running(code: str, *arguments: str | Path, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python process that is killed at the end; what it printed until then was no error."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
    assert errors == "" and process.returncode == -signal.SIGKILL, errors


# Exports that consist of nothing but writing, over and over: the graphs are those of a bundle that is there.
EXPORTS = """
import json, sys
from pathlib import Path
from inter2former_onnx.export import bundle
out, source = sys.argv[1], Path(sys.argv[2])
kinds = {"EncoderGraph": "encoder", "PromptGraph": "prompt", "DecoderGraph": "decoder"}
bundle.trace = lambda spec: bundle.onnx.load(source / (kinds[type(spec.module).__name__] + ".onnx"))
config = json.loads((source / "manifest.json").read_text())["model"]
while True:
    bundle.export_bundle(out, config=config, random_weights=1, overwrite=True)
    print("one more", flush=True)
"""


def test_export(mini_bundle: Path, tmp_path: Path) -> None:
    out, generator, whole = tmp_path / "bundle", random.Random(0), 0
    with running(EXPORTS, out, mini_bundle, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one more\n"
        # Before it is killed it is stopped, again and again: what then lies on the disk is what a kill would leave, and
        # a start takes seconds.
        for _ in range(30):
            time.sleep(generator.uniform(0.0, 0.05))
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.01)
            whole += is_whole(out)
            tried()
            process.send_signal(signal.SIGCONT)
    whole += is_whole(out)
    assert whole > 0  # or nothing was tested


def is_whole(out: Path) -> bool:
    """Whether the bundle is there; if it is, all its files must be what the manifest says."""
    if not out.exists():
        return False
    manifest = read_manifest(out)
    check_files(out, manifest, manifest.files)
    return True


ENCODES = """
import sys
from inter2former_onnx import cli
print("ready", flush=True)
cli.main(["encode", sys.argv[1], "--out", sys.argv[2], "--bundle", sys.argv[3], "--threads", "1"])
import time
time.sleep(60)
"""


def test_encode(tmp_path: Path) -> None:
    bundle = write_fake_bundle(tmp_path / "bundle", size=1024)
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for index in range(300):
        np.save(photos / f"{index:03}.npy", np.full((50 + index, 60, 3), index % 256, dtype=np.uint8))
    segmenter, generator = Segmenter(bundle, threads=1), random.Random(0)
    seen: list[int] = []
    for _ in range(5):
        with running(ENCODES, photos, out, bundle, cwd=tmp_path) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            deadline = time.monotonic() + 30
            while len(list(out.glob("[0-9]*.npz"))) == (seen[-1] if seen else 0) and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(generator.uniform(0.0, 0.05))
        tried()
        finished = sorted(out.glob("[0-9]*.npz"))
        for path in finished:
            assert segmenter.load(path).height == 50 + int(path.name[:3])
        seen.append(len(finished))
    assert seen == sorted(set(seen)) and seen[0] > 0  # every run goes on where the last was killed
