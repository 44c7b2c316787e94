"""Cold starts of every contestant, in processes that take turns; and what lies on disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.bundles import bundle_for

from inter2former_onnx.runtime.bundle import read_manifest

from .contestants import CONTESTANTS, REFERENCE
from .measurements import Measurement
from .plan import Plan
from .sam_models import peer_folder

SCRIPT = Path(__file__).parents[1] / "cold_start.py"
STAGES = ("cold start: opened", "cold start: ready for clicks", "cold start: first mask")
LONGEST = 300  # seconds that one start may take, compilation included


@dataclass(frozen=True)
class Start:
    """A contestant's process: cold_start.py's arguments, and its environment."""

    kind: str
    folder: Path
    size: int
    ops: str = "native"


def starts(plan: Plan) -> dict[str, Start]:
    """Say how each contestant is started, by its name."""
    bundle = bundle_for(plan.config, plan.size)
    found = {
        REFERENCE: Start("engine", bundle, plan.size),
        "first_start": Start("engine", bundle, plan.size),
        "tiny": Start("engine", bundle_for(plan.tiny_config, plan.tiny_size), plan.size),
        "portable": Start("engine", bundle, plan.size, ops="portable"),
        "eager": Start("eager", bundle, plan.size),
        "compiled": Start("compiled", bundle, plan.size),
    }
    for name, shape in plan.shapes.items():
        folder = peer_folder(name, shape)
        found[f"{name}_torch"] = Start(shape.kind, folder, shape.size)
        found[f"{name}_onnx"] = Start("sam-onnx", folder, shape.size)
    return found


def cold_starts(plan: Plan) -> tuple[list[Measurement], list[str]]:
    """Measure times and peak memory of all starts; notes tell of those that failed."""
    runs: dict[str, dict[str, list[float]]] = {metric: {} for metric in (*STAGES, "peak memory")}
    failed: dict[str, str] = {}
    contestants = starts(plan)
    shutil.rmtree(plan.compiled, ignore_errors=True)
    # What a first start leaves behind (this project's cached graph) is there from then on.
    for name in (REFERENCE, "tiny", "portable"):
        started(contestants[name], plan.threads, None)
    for turn in range(plan.cold_rounds):
        for name, start in contestants.items():
            # Compiling takes minutes: one start has to do.
            if name in failed or (name == "compiled" and turn):
                continue
            with tempfile.TemporaryDirectory() as empty:
                try:
                    *times, peak = started(start, plan.threads, empty if name == "first_start" else None)
                except subprocess.TimeoutExpired:
                    failed[name] = f"not done after {LONGEST} s"
                    continue
                except subprocess.CalledProcessError as error:
                    failed[name] = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]
                    continue
            for metric, value in zip(runs, (*times, peak), strict=True):
                runs[metric].setdefault(name, []).append(value)
    notes = [
        f"cold start: {CONTESTANTS[name].label} failed and is left out: {reason}" for name, reason in failed.items()
    ]
    if REFERENCE in failed:
        raise RuntimeError(failed[REFERENCE])
    if "compiled" not in failed:
        notes.append("The cold start under torch.compile was measured once, with nothing compiled before.")
    measurements = [
        Measurement(
            metric,
            "MB" if metric == "peak memory" else "s",
            {name: tuple(found) for name, found in values.items() if name not in failed},
        )
        for metric, values in runs.items()
    ]
    return measurements, notes


def started(start: Start, threads: int, cache: str | None) -> tuple[float, float, float, float]:
    """Start a contestant once.

    Args:
        start: what to start.
        threads: of the contestant.
        cache: folder for this project's cached graph, in place of the bundle's.

    Returns:
        Seconds from the process's start to each of STAGES, and its peak memory in MB.
    """
    environment = {**os.environ, "INTER2FORMER_OPS": start.ops}
    environment.pop("INTER2FORMER_CACHE", None)
    if cache is not None:
        environment["INTER2FORMER_CACHE"] = cache
    command = [sys.executable, str(SCRIPT), start.kind, str(start.folder), "--size", str(start.size)]
    command += ["--threads", str(threads)]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=LONGEST)
    found = json.loads(done.stdout.splitlines()[-1])
    opened, ready, mask = (moment - begun for moment in found["times"])
    return opened, ready, mask, found["peak"] / 1e6


def sizes_on_disk(plan: Plan) -> list[Measurement]:
    """Measure what has to lie on disk, in 10^6 bytes."""
    bundle = bundle_for(plan.config, plan.size)
    ours = float(bundle_bytes(bundle))
    checkpoint = (bundle / "checkpoint.pth").stat().st_size
    found = {REFERENCE: ours, "tiny": bundle_bytes(bundle_for(plan.tiny_config, plan.tiny_size)), "portable": ours}
    found |= {"eager": checkpoint, "compiled": checkpoint}
    for name, shape in plan.shapes.items():
        folder = peer_folder(name, shape)
        found[f"{name}_torch"] = sum(file.stat().st_size for file in (folder / "torch").glob("*.safetensors"))
        found[f"{name}_onnx"] = sum(file.stat().st_size for file in folder.glob("*.onnx*"))
    return [Measurement("size on disk", "MB", {name: (size / 1e6,) for name, size in found.items()})]


def bundle_bytes(bundle: Path) -> int:
    """Count the bytes of a bundle's graphs; neither the random checkpoint beside them nor the cache belongs to them."""
    graphs = {graph.file for graph in read_manifest(bundle).graphs.values()}
    files = [bundle / "manifest.json", *(file for graph in graphs for file in bundle.glob(f"{graph}*"))]
    return sum(file.stat().st_size for file in files)
