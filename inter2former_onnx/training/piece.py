"""One piece of a training run: goes on where the last stopped, for a fixed time, and leaves what the next one needs.

`python -m inter2former_onnx.training.piece --recipe R.json --shards S1.zip S2.zip --data DIR --run RUN --minutes 9
--start WEIGHTS --out FILES`. Loading and compiling count: the schedule is fitted to the time that is left of all
pieces (`--later-minutes` of training follow this one). Nothing is evaluated.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ..errors import ArgumentError, ConfigError, Inter2FormerError
from ..models import load_config
from ..models.checkpoints import read_checkpoint
from ..runtime.processors import usable_processors
from .compile_cache import CACHE_FILE, load_compiled, save_compiled
from .datasets import read_records
from .devices import choose_device
from .image_store import load
from .options import Recipe, recipe_from_dict
from .records import hold_out
from .run_state import STATE_FILE
from .shards import read_shards
from .trainer import RunSettings, Trainer
from .travel import receive, send


def build_parser() -> argparse.ArgumentParser:
    """Build the command line's parser."""
    parser = argparse.ArgumentParser(prog="python -m inter2former_onnx.training.piece", description=__doc__)
    add = parser.add_argument
    add("--config", default="tiny", help="preset or JSON file of the model (default: tiny)")
    add("--recipe", type=Path, required=True, help="JSON file: the fields of a recipe that are not the defaults")
    add("--data", type=Path, required=True, help="folder with index.json")
    add("--shards", type=Path, nargs="*", default=[], help="added to --data first")
    add("--run", type=Path, required=True, help="folder of the run; goes on with the state in it")
    add("--parts", type=Path, help="where the run has no state: a state's parts to go on with")
    add("--start", type=Path, metavar="WEIGHTS", help="where there is no state at all: weights to begin with")
    add("--out", type=Path, help="folder for the state's parts and the log, afterwards")
    add("--minutes", type=float, required=True, help="length of this piece, from the program's start")
    add("--reserve", type=float, default=0.25, help="minutes of them kept for saving (default: 0.25)")
    add("--later-minutes", type=float, default=0.0, help="of training in pieces after this one (default: 0)")
    add("--seed", type=int, default=0)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    add("--precision", choices=("bf16", "fp32"), default="bf16")
    add("--compile", choices=("yes", "no"), default="yes")
    add("--workers", type=int, default=usable_processors(), help="threads that decode pictures and simulate clicks")
    return parser


def train_piece(args: argparse.Namespace, begun: float) -> Trainer:
    """Train one piece.

    Args:
        args: of `build_parser`.
        begun: the moment of `time.monotonic` from which `--minutes` counts.

    Returns:
        The trainer, with its state saved.

    Raises:
        ArgumentError, ConfigError, CheckpointError: data, recipe, configuration or weights are not usable.
    """
    config = load_config(args.config)
    if config.geometry.mode != "square":
        raise ConfigError(f"{args.config}: geometry.mode must be 'square' for training, found {config.geometry.mode!r}")
    recipe, device, name = read_recipe(args.recipe), choose_device(args.device), Path(args.config).stem
    if args.shards:
        read_shards(args.shards, args.data)
    if args.parts and not (args.run / STATE_FILE).exists():
        receive(args.parts, args.run, name)
    train, _ = hold_out(read_records(args.data, "train"), recipe.held_out, seed=0)
    store = load(train, recipe.store_side, device, args.workers)
    settings = RunSettings(
        out=args.run,
        name=name,
        hours=None,
        steps=None,
        seed=args.seed,
        device=device,
        precision=torch.bfloat16 if args.precision == "bf16" else torch.float32,
        compiled=args.compile == "yes",
        workers=args.workers,
        until=begun + 60.0 * (args.minutes - args.reserve),
        later_hours=args.later_minutes / 60.0,
    )
    if args.compile == "yes":
        load_compiled(args.run / CACHE_FILE)
    trainer = Trainer(config, recipe, store, [], settings)
    if (args.run / STATE_FILE).exists():
        trainer.resume()
    elif args.start:
        trainer.start_from(read_checkpoint(args.start), str(args.start))
    trainer.run()
    if args.compile == "yes":
        save_compiled(args.run / CACHE_FILE)
    return trainer


def read_recipe(path: Path) -> Recipe:
    """Read a recipe's JSON file.

    Raises:
        ArgumentError: it cannot be read, or is no recipe.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(values, dict):
        raise ArgumentError(f"{path}: expected an object, found {type(values).__name__}")
    return recipe_from_dict(values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    begun = time.monotonic()
    args = build_parser().parse_args(arguments)
    try:
        trainer = train_piece(args, begun)
        if args.out is not None:
            send(args.run, args.out)
    except Inter2FormerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"step {trainer.step}, {trainer.hours:.4f} h trained, {trainer.progress:.0%} of the schedule")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
