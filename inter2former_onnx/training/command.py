"""`python -m inter2former_onnx.training`: train a preset, evaluate weights, or draw a run's curves and masks."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, ConfigError, Inter2FormerError
from ..extras import require

if TYPE_CHECKING:
    from ..models import ModelConfig

LISTS = ("development", "eval.json", "eval_objects.json")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(prog="python -m inter2former_onnx.training", description=__doc__)
    add = parser.add_argument
    add("--config", default="tiny", help="preset or JSON file of the model (default: tiny)")
    add("--data", type=Path, required=True, help="folder with index.json, or a COCO .json file")
    add("--images", type=Path, help="folder of a COCO file's images (default: beside it)")
    add("--out", type=Path, required=True, help="folder of the run: state, weights, log, pictures")
    add("--hours", type=float, help="length of the run in hours of wall clock (default: 1, unless --steps)")
    add("--steps", type=int, help="length of the run in steps, instead of --hours")
    add("--resume", action="store_true", help="go on from the state in --out; the schedule is that of --hours/--steps")
    add("--start", type=Path, metavar="WEIGHTS", help="begin a new run with these weights")
    add("--seed", type=int, default=0)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    add("--precision", choices=("bf16", "fp32"), default="bf16")
    add("--compile", choices=("auto", "yes", "no"), default="auto", help="torch.compile (auto: yes)")
    add("--workers", type=int, help="threads that decode pictures and simulate clicks (default: all)")
    add("--stages", help="picture sizes: size:share:pictures a step, comma-separated; shares sum to 1")
    add("--objects", type=int, help="targets a picture")
    add("--source-balance", type=float, help="0 draws pictures evenly, 1 datasets evenly, more favours small datasets")
    add("--learning-rate", type=float)
    add("--rounds", help="learnt:first:last, click rounds with gradients and the longest session at start and end")
    add("--dense-share", type=float, help="share of the learnt rounds that run in dense mode, for masks alike in both")
    add("--loss", action="append", default=[], metavar="NAME=WEIGHT", help="change one loss weight (repeatable)")
    add("--ema", type=float, help="decay of the averaged weights")
    add("--save-minutes", type=float, default=5.0)
    add("--evaluate-minutes", type=float, default=15.0)
    add("--evaluation-clicks", type=int, default=10)
    add("--evaluate", type=Path, metavar="WEIGHTS", help="no training: evaluate these weights on --list")
    add("--list", action="append", choices=LISTS, help="lists to evaluate on (default: development)")
    add("--clicks", type=int, default=20, help="clicks a target with --evaluate (default: 20)")
    add("--size", type=int, help="model input in pixels with --evaluate (default: the configuration's)")
    add("--enforce", action="store_true", help="with --evaluate: set clicked pixels in the masks")
    add("--plot", action="store_true", help="no training: draw the run's log as OUT/curves.png")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status."""
    args = build_parser().parse_args(arguments)
    try:
        require("train", "torch", "cv2", "PIL", "tqdm", "safetensors")
        if args.workers is None:
            from ..runtime.processors import usable_processors

            args.workers = usable_processors()
        if args.plot:
            require("train", "matplotlib")
            from .run_log import LOG_FILE, plot_log

            plot_log(args.out / LOG_FILE, args.out / "curves.png")
        elif args.evaluate:
            _evaluate(args)
        else:
            _train(args)
    except Inter2FormerError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    return 0


def _device(name: str):  # type: ignore[no-untyped-def]
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    # The edge channels are discontinuous in the image: their convolutions must not lose bits on a GPU.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True  # sizes stay the same for a whole stage
    return torch.device(name)


def _recipe(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from .options import Recipe, parse_stages

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


def _config(name: str) -> ModelConfig:
    from ..models import load_config

    config = load_config(name)
    if config.geometry.mode != "square":
        # Batches need images of one size, which only the square gives; the weights serve both geometries.
        raise ConfigError(f"{name}: geometry.mode must be 'square' for training, found {config.geometry.mode!r}")
    return config


def _train(args: argparse.Namespace) -> None:
    import torch

    from ..models.checkpoints import read_checkpoint
    from .evaluation_targets import development_targets
    from .image_store import load
    from .records import hold_out, read_records
    from .run_state import STATE_FILE
    from .trainer import RunSettings, Trainer

    if args.resume and args.start:
        raise ArgumentError("--resume and --start both say where to begin; give one")
    if args.steps is not None and args.hours is not None:
        raise ArgumentError("--hours and --steps both say how long; give one")
    if not args.resume and (args.out / STATE_FILE).exists():
        raise ArgumentError(f"--out {args.out} holds a run; continue it with --resume, or choose another folder")
    config, recipe, device = _config(args.config), _recipe(args), _device(args.device)
    train, held_out = hold_out(read_records(args.data, "train", args.images), recipe.held_out, seed=0)
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
    trainer = Trainer(config, recipe, store, development_targets(held_out, seed=0), settings)
    if args.resume:
        trainer.resume()
    elif args.start:
        trainer.start_from(read_checkpoint(args.start), str(args.start))
    trainer.run()


def _evaluate(args: argparse.Namespace) -> None:
    import torch

    from ..models import Inter2Former
    from ..models.checkpoints import load_state_dict, read_checkpoint
    from .evaluation import run_sessions, summarise, table
    from .evaluation_targets import EvaluationTarget, development_targets, read_evaluation
    from .pictures import contact_sheet, write_picture
    from .records import hold_out, read_records
    from .rounds import ClickRounds

    config, recipe, device = _config(args.config), _recipe(args), _device(args.device)
    model = Inter2Former(config)
    load_state_dict(model, read_checkpoint(args.evaluate), str(args.evaluate))
    model = model.to(device).eval()
    precision = torch.bfloat16 if args.precision == "bf16" else torch.float32
    size = args.size or config.geometry.size
    args.out.mkdir(parents=True, exist_ok=True)
    results = {}
    with ThreadPoolExecutor(args.workers) as pool:
        rounds = ClickRounds(model, recipe.losses, device, precision, False, pool)
        for name in args.list or LISTS[:1]:
            targets: list[EvaluationTarget]
            if name == "development":
                held_out = hold_out(read_records(args.data, "train", args.images), recipe.held_out, seed=0)[1]
                targets = development_targets(held_out, seed=0)
            else:
                targets = read_evaluation(args.data, name)
            sessions, usage = run_sessions(rounds, targets, args.clicks, size, 8, args.enforce, keep_masks=True)
            results[name] = summarise(sessions, usage)
            shown = range(0, len(targets), max(1, len(targets) // 10))
            after = [k for k in (1, 2, 3, 5, 10, 20) if k <= args.clicks]
            sheet = contact_sheet([targets[i] for i in shown], [sessions[i] for i in shown], after)
            write_picture(args.out / f"masks_{Path(name).stem}.png", sheet)
    (args.out / "evaluation.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    for name, result in results.items():
        shares = [[round(share, 3) for share in block] for block in result["expert_shares"]]
        print(f"{name}: codes used {result['codes_used']}, largest code {result['largest_code']}, experts {shares}")
