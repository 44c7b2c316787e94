"""Train a preset from scratch or go on from weights: images and region maps (or a COCO file) become a checkpoint.

A run that was stopped (Ctrl+C, SIGTERM) has saved its state and goes on with --resume. See docs/training.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, CheckpointError, ConfigError
from .arguments import python_names_as_options
from .train_arguments import CURVES_FILE, DEVELOPMENT, RESERVE, add_arguments, build_recipe, check_arguments

if TYPE_CHECKING:
    import torch

    from ..models import ModelConfig
    from ..training.development import Example
    from ..training.options import Recipe

HELP = "pictures and region maps -> checkpoint"

__all__ = ["HELP", "add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return its exit status."""
    begun = time.monotonic()
    check_arguments(args)
    # Threads that wait should sleep: on a machine shared with other work a spinning thread holds up the very one it
    # waits for. Must be set before torch starts its threads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    from ..extras import require

    if args.plot:
        require("train", "matplotlib")
        return _plot(args)
    if args.join:
        require("train", "torch", "safetensors")
        return _join(args)
    if args.data is None:
        raise ArgumentError("--data says where the pictures are: a folder with index.json, or a COCO .json file")
    require("train", "torch", "cv2", "PIL", "tqdm", "safetensors")
    import torch

    from ..runtime.processors import usable_processors

    if args.workers is None:
        args.workers = usable_processors()
    torch.set_num_threads(min(torch.get_num_threads(), usable_processors()))  # torch knows no quotas of containers
    if args.pack:
        return _pack(args)
    return _evaluate(args) if args.evaluate else _train(args, begun)


def _plot(args: argparse.Namespace) -> int:
    from ..training.run_log import LOG_FILE, plot_log

    log, curves = args.out / LOG_FILE, args.out / CURVES_FILE
    if not log.is_file():
        raise ArgumentError(f"--plot: there is no {log}; --out must be the folder of a run")
    plot_log(log, curves)
    print(f"wrote {curves}")
    return 0


def _pack(args: argparse.Namespace) -> int:
    from ..training.pack import pack
    from ..training.shards import write_shards

    size = pack(args.data, args.out, args.split, args.side, args.quality, args.workers)
    print(f"{size / 2**20:.1f} MiB in {args.out}")
    if args.shards is not None:
        for shard in write_shards(args.out, args.shards):
            print(f"{shard.stat().st_size / 2**20:.1f} MiB: {shard}")
    return 0


def _join(args: argparse.Namespace) -> int:
    from ..training.run_state import STATE_FILE
    from ..training.state_parts import join_parts

    name = Path(args.config).stem
    files = [args.out / STATE_FILE, args.out / f"{name}.safetensors"]
    for file in files:
        if file.exists():
            raise ArgumentError(f"--join: there is a {file} already; choose another folder for --out")
    join_parts(args.join, args.out, name)
    print(f"wrote {files[0]} and {files[1]}")
    return 0


def _train(args: argparse.Namespace, begun: float) -> int:
    """Train a run, or a piece of one.

    Args:
        args: of the command.
        begun: the moment of `time.monotonic` from which `--minutes` counts.

    Returns:
        The exit status.
    """
    from ..training.compile_cache import CACHE_FILE, load_compiled, save_compiled
    from ..training.datasets import read_records
    from ..training.development import development_examples
    from ..training.devices import choose_device
    from ..training.image_store import load
    from ..training.records import hold_out
    from ..training.run_state import STATE_FILE
    from ..training.shards import read_shards
    from ..training.state_parts import join_parts, write_parts
    from ..training.trainer import RunSettings, Trainer

    state, cache, name, piece = args.out / STATE_FILE, args.out / CACHE_FILE, Path(args.config).stem, args.minutes
    if not args.resume and state.exists():
        raise ArgumentError(f"--out {args.out} holds a run; continue it with --resume, or choose another folder")
    if args.resume and not args.from_parts and not state.exists():
        raise CheckpointError(f"{state} does not exist: nothing to resume")
    config, recipe, device = _config(args.config), build_recipe(args), choose_device(args.device)
    weights = _weights(args.start, args.key) if args.start else None
    if args.add_shards:
        _make_folder(args.data)
        read_shards(args.add_shards, args.data)
    train, held_out = hold_out(read_records(args.data, "train", args.images), recipe.held_out, seed=0)
    _make_folder(args.out)
    if args.to_parts:
        _make_folder(args.to_parts)
    if args.resume and not state.exists():
        join_parts(args.from_parts, args.out, name)
    settings = RunSettings(
        out=args.out,
        name=name,
        hours=1.0 if args.hours is None and args.steps is None and piece is None else args.hours,
        steps=args.steps,
        seed=args.seed,
        device=device,
        precision=_precision(args.precision),
        compiled=args.compile != "no",
        workers=args.workers,
        save_minutes=args.save_minutes,
        evaluate_minutes=args.evaluate_minutes,
        evaluation_clicks=args.evaluation_clicks,
        until=None if piece is None else begun + 60.0 * (piece - (RESERVE if args.reserve is None else args.reserve)),
        later_hours=(args.later_minutes or 0.0) / 60.0,
    )
    store = load(train, recipe.store_side, device, args.workers)
    development = development_examples(held_out, seed=0) if piece is None else []
    if settings.compiled:
        load_compiled(cache)
    trainer = Trainer(config, recipe, store, development, settings)
    if args.resume:
        trainer.resume()
    elif weights is not None:
        trainer.start_from(weights, str(args.start))
    trainer.run()
    if piece is not None:
        print(f"step {trainer.step}, {trainer.hours:.4f} h trained, {trainer.progress:.0%} of the schedule")
    print(f"wrote {settings.weights_file}")
    for path in write_parts(args.out, args.to_parts) if args.to_parts else []:
        print(f"{path.stat().st_size / 2**20:.1f} MiB: {path}")
    if settings.compiled:
        save_compiled(cache)
    return 0


def _weights(path: Path, key: str | None) -> dict[str, torch.Tensor]:
    from ..models.checkpoints import read_checkpoint

    with python_names_as_options({"key=NAME": "--key NAME"}):
        return read_checkpoint(path, key=key)


def _evaluate(args: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    from ..models import Inter2Former
    from ..models.checkpoints import load_state_dict
    from ..training.devices import choose_device
    from ..training.evaluation import evaluate, results_table
    from ..training.rounds import ClickRounds

    for name in args.list or ():
        if name != DEVELOPMENT and not (args.data / name).is_file():
            raise ArgumentError(f"--list {name}: there is no such file in {args.data}")
    config, recipe, device = _config(args.config), build_recipe(args), choose_device(args.device)
    model = Inter2Former(config)
    load_state_dict(model, _weights(args.evaluate, args.key), str(args.evaluate))
    model = model.to(device).eval()
    precision = _precision(args.precision)
    size = args.size or config.geometry.size
    _make_folder(args.out)
    results = {}
    with ThreadPoolExecutor(args.workers) as pool:
        rounds = ClickRounds(model, recipe.losses, device, precision, False, pool)
        for name in args.list or [DEVELOPMENT]:
            examples = _examples(name, args.data, args.images, recipe)
            sheet = args.out / f"masks_{Path(name).stem}.png"
            results[name] = evaluate(rounds, examples, args.clicks, size, args.enforce, sheet)
    (args.out / "evaluation.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(results_table(results))
    for name, result in results.items():
        shares = [[round(share, 3) for share in block] for block in result["expert_shares"]]
        print(f"{name}: codes used {result['codes_used']}, largest code {result['largest_code']}, experts {shares}")
    return 0


def _examples(name: str, data: Path, images: Path | None, recipe: Recipe) -> list[Example]:
    from ..training.datasets import read_records
    from ..training.development import development_examples, listed_examples
    from ..training.records import hold_out

    if name != DEVELOPMENT:
        return listed_examples(data, name)
    return development_examples(hold_out(read_records(data, "train", images), recipe.held_out, seed=0)[1], seed=0)


def _config(name: str) -> ModelConfig:
    from ..models import load_config

    config = load_config(name)
    if config.geometry.mode != "square":
        # Batches need images of one size, which only the square gives; the weights serve both geometries.
        raise ConfigError(f"{name}: geometry.mode must be 'square' for training, found {config.geometry.mode!r}")
    return config


def _precision(name: str) -> torch.dtype:
    import torch

    return torch.bfloat16 if name == "bf16" else torch.float32


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"cannot make {path}: {error.strerror or error}") from None
