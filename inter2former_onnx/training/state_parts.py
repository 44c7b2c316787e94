"""A run's state in a few files of limited size, to be carried from one machine to the next.

A run that goes on from them has its optimiser's moments rounded to bfloat16, its averaged weights to float16, and its
weights as they were.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import torch

from ..errors import ArgumentError, CheckpointError
from ..models.checkpoints import save_checkpoint
from .run_log import LOG_FILE
from .run_state import STATE_FILE, read_state, write_state

PART_MIB = 15


def write_parts(run: Path, out: Path, part_mib: int = PART_MIB) -> list[Path]:
    """Write a run's state as parts, and its log.

    Args:
        run: folder of the run.
        out: another folder, for the files; parts of an earlier state in it are replaced.
        part_mib: largest size of a part.

    Returns:
        The files' paths.

    Raises:
        CheckpointError: the run has no state, or a damaged one, or a file cannot be written.
    """
    state = _smaller(read_state(run / STATE_FILE, torch.device("cpu")))
    whole = out / f".{STATE_FILE}"
    paths: list[Path] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_state(whole, state)
        for old in out.glob(f"{STATE_FILE}.*"):
            old.unlink()
        with whole.open("rb") as stream:
            while part := stream.read(part_mib * 2**20):
                paths.append(out / f"{STATE_FILE}.{len(paths)}")
                paths[-1].write_bytes(part)
        if (run / LOG_FILE).is_file():
            paths.append(Path(shutil.copy(run / LOG_FILE, out / LOG_FILE)))
    except OSError as error:
        raise CheckpointError(f"the parts of the state cannot be written to {out}: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            whole.unlink()
    return paths


def join_parts(parts: Path, run: Path, name: str) -> None:
    """Put a run together from what `write_parts` wrote: its state, its log and its averaged weights.

    Args:
        parts: folder of the files.
        run: another folder, for the run; made if need be.
        name: of the weights file, without its suffix.

    Raises:
        ArgumentError: there are no parts.
        CheckpointError: a part is missing or damaged, or a file cannot be written.
    """
    numbered = [path for path in parts.glob(f"{STATE_FILE}.*") if path.suffix[1:].isdecimal()]
    files = sorted(numbered, key=lambda path: int(path.suffix[1:]))
    if not files:
        raise ArgumentError(f"{parts} holds no {STATE_FILE}.0")
    unfinished = run / f".{STATE_FILE}"
    try:
        run.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as stream:
            for file in files:
                stream.write(file.read_bytes())
        state = read_state(unfinished, torch.device("cpu"))
        unfinished.replace(run / STATE_FILE)
        if (parts / LOG_FILE).is_file():
            shutil.copy(parts / LOG_FILE, run / LOG_FILE)
    except OSError as error:
        raise CheckpointError(f"the state in {parts} cannot be put together in {run}: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
    save_checkpoint(run / f"{name}.safetensors", state["average"])


def _smaller(state: dict[str, Any]) -> dict[str, Any]:
    """The state with half the bytes for what is remembered of earlier steps; a run loads it as any other."""
    optimiser = state["optimiser"]
    moments = {
        index: {name: _rounded(value, torch.bfloat16) if name != "step" else value for name, value in entry.items()}
        for index, entry in optimiser["state"].items()
    }
    average = {name: _rounded(value, torch.float16) for name, value in state["average"].items()}
    return {**state, "optimiser": {**optimiser, "state": moments}, "average": average}


def _rounded(value: Any, kind: torch.dtype) -> Any:
    return value.to(kind) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
