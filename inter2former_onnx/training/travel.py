"""A run's state in a few files of limited size, to be carried from one machine to the next.

`python -m inter2former_onnx.training.travel --run RUN --out FILES` writes them, `... --run RUN --parts FILES` puts them
together again: then the run goes on with its optimiser's moments rounded to bfloat16 and its averaged weights to
float16, and its weights as they were.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import ArgumentError, Inter2FormerError
from ..models.checkpoints import save_checkpoint
from .run_log import LOG_FILE
from .run_state import STATE_FILE, read_state, write_state

PART_MIB = 15


def send(run: Path, out: Path, part_mib: int = PART_MIB) -> list[Path]:
    """Write a run's state as parts, and its log.

    Args:
        run: folder of the run.
        out: folder for the files; parts of an earlier state in it are replaced.
        part_mib: largest size of a part.

    Returns:
        The files' paths.

    Raises:
        CheckpointError: the run has no state, or a damaged one.
    """
    out.mkdir(parents=True, exist_ok=True)
    whole = out / f".{STATE_FILE}"
    write_state(whole, _smaller(read_state(run / STATE_FILE, torch.device("cpu"))))
    for old in out.glob(f"{STATE_FILE}.*"):
        old.unlink()
    paths: list[Path] = []
    with whole.open("rb") as stream:
        while part := stream.read(part_mib * 2**20):
            paths.append(out / f"{STATE_FILE}.{len(paths)}")
            paths[-1].write_bytes(part)
    whole.unlink()
    if (run / LOG_FILE).is_file():
        paths.append(Path(shutil.copy(run / LOG_FILE, out / LOG_FILE)))
    return paths


def receive(parts: Path, run: Path, name: str) -> None:
    """Put a run together from what `send` wrote: its state, its log and its averaged weights.

    Args:
        parts: folder of the files.
        run: folder of the run, made if need be.
        name: of the weights file, without its suffix.

    Raises:
        ArgumentError: there are no parts.
        CheckpointError: a part is missing or damaged.
    """
    files = sorted(parts.glob(f"{STATE_FILE}.*"), key=lambda path: int(path.suffix[1:]))
    if not files:
        raise ArgumentError(f"{parts} holds no {STATE_FILE}.0")
    run.mkdir(parents=True, exist_ok=True)
    unfinished = run / f".{STATE_FILE}"
    try:
        with unfinished.open("wb") as stream:
            for file in files:
                stream.write(file.read_bytes())
        state = read_state(unfinished, torch.device("cpu"))
        unfinished.replace(run / STATE_FILE)
    finally:
        unfinished.unlink(missing_ok=True)
    save_checkpoint(run / f"{name}.safetensors", state["average"])
    if (parts / LOG_FILE).is_file():
        shutil.copy(parts / LOG_FILE, run / LOG_FILE)


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m inter2former_onnx.training.travel", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--out", type=Path, help="folder to write the state's parts to")
    way.add_argument("--parts", type=Path, help="folder to read them from")
    parser.add_argument("--name", default="tiny", help="of the weights file that --parts writes (default: tiny)")
    args = parser.parse_args(arguments)
    try:
        if args.out is not None:
            for path in send(args.run, args.out):
                print(f"{path.stat().st_size / 2**20:.1f} MiB: {path}")
        else:
            receive(args.parts, args.run, args.name)
    except Inter2FormerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
