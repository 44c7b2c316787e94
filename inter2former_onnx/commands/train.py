"""Train a preset from scratch or go on from weights: images and region maps (or a COCO file) become a checkpoint.

A run that was stopped (Ctrl+C, SIGTERM) has saved its state and goes on with --resume. See docs/training.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, ConfigError
from .arguments import positive_int

if TYPE_CHECKING:
    import torch

    from ..models import ModelConfig
    from ..training.development import Example
    from ..training.options import Recipe

HELP = "pictures and region maps -> checkpoint"

DEVELOPMENT = "development"
LISTS = (DEVELOPMENT, "eval.json", "eval_objects.json")
CURVES_FILE = "curves.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--config", default="tiny", metavar="NAME|FILE", help="preset or JSON file of the model (default: tiny)")
    add("--data", type=Path, metavar="DIR", help="folder with index.json, or a COCO .json file")
    add("--images", type=Path, metavar="DIR", help="folder of a COCO file's images (default: beside it)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the run: state, weights, log, pictures")
    add("--seed", type=int, default=0, metavar="N", help="of weights, data and clicks (default: 0)")

    instead = parser.add_argument_group("instead of training").add_mutually_exclusive_group()
    instead.add_argument("--evaluate", type=Path, metavar="WEIGHTS", help="evaluate these weights on --list")
    instead.add_argument("--plot", action="store_true", help=f"draw the run's log as OUT/{CURVES_FILE}")
    instead.add_argument("--pack", action="store_true", help="copy the pictures of --data into --out, reduced")

    add = parser.add_argument_group("length and beginning").add_argument
    add("--hours", type=float, metavar="H", help="of wall clock (default: 1, unless --steps)")
    add("--steps", type=positive_int, metavar="N", help="length of the run in steps, instead of --hours")
    add("--resume", action="store_true", help="go on from the state in --out; the schedule is that of --hours/--steps")
    add("--start", type=Path, metavar="WEIGHTS", help="begin a new run with these weights")

    add = parser.add_argument_group("recipe").add_argument
    add("--stages", metavar="LIST", help="picture sizes: size:share:pictures a step, comma-separated; shares sum to 1")
    add("--objects", type=positive_int, metavar="N", help="targets a picture")
    add(
        "--source-balance",
        type=float,
        metavar="B",
        help="0 draws pictures evenly, 1 datasets evenly, more favours small datasets",
    )
    add("--learning-rate", type=float, metavar="R", help="of AdamW at its peak")
    add(
        "--rounds",
        metavar="LIST",
        help="learnt:first:last, click rounds with gradients and the longest session at start and end",
    )
    add(
        "--dense-share",
        type=float,
        metavar="S",
        help="share of the learnt rounds that run in dense mode, for masks alike in both",
    )
    add("--loss", action="append", default=[], metavar="NAME=WEIGHT", help="change one loss weight (repeatable)")
    add("--ema", type=float, metavar="D", help="decay of the averaged weights")

    add = parser.add_argument_group("work").add_argument
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    add("--precision", choices=("bf16", "fp32"), default="bf16", help="of matrix products (default: bf16)")
    add("--compile", choices=("auto", "yes", "no"), default="auto", help="torch.compile (auto: yes)")
    add(
        "--workers",
        type=positive_int,
        metavar="N",
        help="threads that decode pictures and simulate clicks (default: as many as there are processors)",
    )
    add("--save-minutes", type=float, default=5.0, metavar="M", help="between checkpoints (default: 5)")
    add("--evaluate-minutes", type=float, default=15.0, metavar="M", help="between evaluations (default: 15)")
    add("--evaluation-clicks", type=positive_int, default=10, metavar="N", help="clicks a target then (default: 10)")

    add = parser.add_argument_group("with --evaluate").add_argument
    add("--list", action="append", choices=LISTS, help=f"lists to evaluate on (default: {DEVELOPMENT})")
    add("--clicks", type=positive_int, default=20, metavar="N", help="clicks a target (default: 20)")
    add("--size", type=positive_int, metavar="N", help="model input in pixels (default: the configuration's)")
    add("--enforce", action="store_true", help="set clicked pixels in the masks")

    add = parser.add_argument_group("with --pack").add_argument
    add("--split", default="train", help="which pictures of index.json (default: train)")
    add("--side", type=positive_int, default=512, metavar="N", help="pixels of their longer side (default: 512)")
    add("--quality", type=positive_int, default=85, metavar="Q", help="of their WebP files, to 100 (default: 85)")
    add("--shards", type=positive_int, metavar="N", help="also write N files OUT/shard_1.zip, ..., alike in sources")


def run(args: argparse.Namespace) -> int:
    # Threads that wait should sleep: on a machine shared with other work a spinning thread holds up the very one it
    # waits for. Must be set before torch starts its threads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    from ..extras import require

    if args.plot:
        require("train", "matplotlib")
        return _plot(args)
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
    return _evaluate(args) if args.evaluate else _train(args)


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


def _train(args: argparse.Namespace) -> int:
    import torch

    from ..models.checkpoints import read_checkpoint
    from ..training.datasets import read_records
    from ..training.development import development_examples
    from ..training.image_store import load
    from ..training.records import hold_out
    from ..training.run_state import STATE_FILE
    from ..training.trainer import RunSettings, Trainer

    if args.resume and args.start:
        raise ArgumentError("--resume and --start both say where to begin; give one")
    if args.steps is not None and args.hours is not None:
        raise ArgumentError("--hours and --steps both say how long; give one")
    if not args.resume and (args.out / STATE_FILE).exists():
        raise ArgumentError(f"--out {args.out} holds a run; continue it with --resume, or choose another folder")
    config, recipe, device = _config(args.config), _recipe(args), _device(args.device)
    train, held_out = hold_out(read_records(args.data, "train", args.images), recipe.held_out, seed=0)
    _make_folder(args.out)
    hours = None if args.steps is not None else (args.hours if args.hours is not None else 1.0)
    settings = RunSettings(
        out=args.out,
        name=Path(args.config).stem,
        hours=hours,
        steps=args.steps,
        seed=args.seed,
        device=device,
        precision=torch.bfloat16 if args.precision == "bf16" else torch.float32,
        compiled=args.compile != "no",
        workers=args.workers,
        save_minutes=args.save_minutes,
        evaluate_minutes=args.evaluate_minutes,
        evaluation_clicks=args.evaluation_clicks,
    )
    store = load(train, recipe.store_side, device, args.workers)
    trainer = Trainer(config, recipe, store, development_examples(held_out, seed=0), settings)
    if args.resume:
        trainer.resume()
    elif args.start:
        trainer.start_from(read_checkpoint(args.start), str(args.start))
    trainer.run()
    print(f"wrote {settings.weights_file}")
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    import torch

    from ..models import Inter2Former
    from ..models.checkpoints import load_state_dict, read_checkpoint
    from ..training.evaluation import evaluate, results_table
    from ..training.rounds import ClickRounds

    config, recipe, device = _config(args.config), _recipe(args), _device(args.device)
    model = Inter2Former(config)
    load_state_dict(model, read_checkpoint(args.evaluate), str(args.evaluate))
    model = model.to(device).eval()
    precision = torch.bfloat16 if args.precision == "bf16" else torch.float32
    size = args.size or config.geometry.size
    _make_folder(args.out)
    results = {}
    with ThreadPoolExecutor(args.workers) as pool:
        rounds = ClickRounds(model, recipe.losses, device, precision, False, pool)
        for name in args.list or LISTS[:1]:
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


def _recipe(args: argparse.Namespace) -> Recipe:
    from ..training.options import Recipe, parse_stages

    changes: dict[str, object] = {}
    if args.stages:
        changes["stages"] = parse_stages(args.stages)
    for name in ("objects", "source_balance", "learning_rate", "dense_share", "ema"):
        if getattr(args, name) is not None:
            changes[name] = getattr(args, name)
    if args.rounds:
        try:
            learnt, first, last = (int(part) for part in args.rounds.split(":"))
        except ValueError:
            raise ArgumentError(f"--rounds: expected learnt:first:last, found {args.rounds!r}") from None
        changes.update(gradient_rounds=learnt, first_rounds=first, last_rounds=last)
    recipe = Recipe(**changes)  # type: ignore[arg-type]
    losses = recipe.losses
    for change in args.loss:
        name, _, value = change.partition("=")
        if name not in {f.name for f in dataclasses.fields(losses)}:
            raise ArgumentError(f"--loss: no weight {name!r}")
        try:
            losses = dataclasses.replace(losses, **{name: float(value)})
        except ValueError:
            raise ArgumentError(f"--loss {change}: expected NAME=NUMBER") from None
    return dataclasses.replace(recipe, losses=losses)


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch has not this device, or there is none
        raise ArgumentError(f"--device {name}: {str(error).splitlines()[0]}") from None
    # The edge channels are discontinuous in the image: their convolutions must not lose bits on a GPU.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True  # sizes stay the same for a whole stage
    return device


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"cannot make {path}: {error.strerror or error}") from None
