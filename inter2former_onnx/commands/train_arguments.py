"""The arguments of `inter2former train`: what there is, what contradicts what, and the recipe that they make."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from .arguments import positive_int

if TYPE_CHECKING:
    from ..training.options import Recipe

DEVELOPMENT = "development"
CURVES_FILE = "curves.png"
RESERVE = 0.25  # minutes of a piece kept for saving

_ACTIONS = ("evaluate", "plot", "pack", "join")
_LENGTHS = ("hours", "steps", "minutes")
# What says how a run begins, how long it is and what it leaves: nothing that another action could use.
_OF_A_RUN = (*_LENGTHS, "later_minutes", "reserve", "resume", "start", "add_shards", "from_parts", "to_parts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
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
    instead.add_argument(
        "--join", type=Path, metavar="DIR", help="put the parts that --to-parts wrote together in --out"
    )

    add = parser.add_argument_group("length and beginning").add_argument
    add("--hours", type=float, metavar="H", help="of wall clock (default: 1, unless --steps or --minutes)")
    add("--steps", type=positive_int, metavar="N", help="length of the run in steps, instead of --hours")
    add("--resume", action="store_true", help="go on from the state in --out; the schedule is that of this command")
    add("--start", type=Path, metavar="WEIGHTS", help="begin a new run with these weights")
    add("--key", metavar="NAME", help="which state dict, where WEIGHTS (or those of --evaluate) hold several")

    _add_piece_arguments(parser)
    _add_recipe_arguments(parser)
    _add_work_arguments(parser)

    add = parser.add_argument_group("with --evaluate").add_argument
    add(
        "--list",
        action="append",
        metavar="FILE",
        help=f"list of targets in --data, such as eval.json; repeatable (default: {DEVELOPMENT}, of held-out pictures)",
    )
    add("--clicks", type=positive_int, default=20, metavar="N", help="clicks a target (default: 20)")
    add("--size", type=positive_int, metavar="N", help="model input in pixels (default: the configuration's)")
    add("--enforce", action="store_true", help="set clicked pixels in the masks")

    add = parser.add_argument_group("with --pack").add_argument
    add("--split", default="train", help="which pictures of index.json (default: train)")
    add("--side", type=positive_int, default=512, metavar="N", help="pixels of their longer side (default: 512)")
    add("--quality", type=positive_int, default=85, metavar="Q", help="of their WebP files, to 100 (default: 85)")
    add("--shards", type=positive_int, metavar="N", help="also write N files OUT/shard_1.zip, ..., alike in sources")


def _add_piece_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("a run in pieces, on one machine or several").add_argument
    add(
        "--minutes",
        type=float,
        metavar="M",
        help="length of this piece, loading and compiling included, instead of --hours; nothing is evaluated",
    )
    add("--later-minutes", type=float, metavar="M", help="of training in pieces after this one (default: 0)")
    add("--reserve", type=float, metavar="M", help=f"of --minutes, kept for saving (default: {RESERVE})")
    add(
        "--add-shards",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="shards that --pack wrote, added to the folder --data first",
    )
    add("--from-parts", type=Path, metavar="DIR", help="what --resume goes on from where --out has no state")
    add("--to-parts", type=Path, metavar="DIR", help="write the state in parts, and the log, to this folder at the end")


def _add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("recipe").add_argument
    add("--recipe", type=Path, metavar="FILE", help="JSON file of its fields; the options below change single ones")
    add("--stages", metavar="LIST", help="picture sizes: size:share:pictures a step, comma-separated; shares sum to 1")
    add("--objects", type=positive_int, metavar="N", help="targets a picture")
    add(
        "--source-balance",
        type=float,
        metavar="B",
        help="0 draws pictures evenly, 1 datasets evenly, more favours small datasets",
    )
    add(
        "--source-weight",
        action="append",
        default=[],
        metavar="NAME=FACTOR",
        help="draw a dataset more or less often, 0 never (repeatable)",
    )
    add(
        "--background-share",
        type=float,
        metavar="S",
        help="share of the targets in pictures of one object that are what is around it",
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


def _add_work_arguments(parser: argparse.ArgumentParser) -> None:
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


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other, or that mean nothing without another one.

    Raises:
        ArgumentError: the first of them, in one line.
    """
    given = {name for name, value in vars(args).items() if value is not None and value is not False and value != []}
    action = next((name for name in _ACTIONS if name in given), None)
    foreign = [name for name in _OF_A_RUN if name in given]
    if action and foreign:
        raise ArgumentError(f"{_option(action)} does not train; it takes no {_option(foreign[0])}")
    for name, needed in (("list", "evaluate"), ("shards", "pack")):
        if name in given and action != needed:
            raise ArgumentError(f"{_option(name)} is for {_option(needed)}")
    lengths = [_option(name) for name in _LENGTHS if name in given]
    if len(lengths) > 1:
        raise ArgumentError(f"{lengths[0]} and {lengths[1]} both say how long; give one")
    if args.resume and args.start:
        raise ArgumentError("--resume and --start both say where to begin; give one")
    if args.key is not None and not (args.start or args.evaluate):
        raise ArgumentError("--key chooses in the weights of --start or --evaluate; give one of them")
    if args.from_parts and not args.resume:
        raise ArgumentError("--from-parts says what --resume goes on from; give --resume too")
    _check_minutes(args)
    places = {"--from-parts": args.from_parts, "--to-parts": args.to_parts, "--join": args.join}
    if args.pack:
        places["--data"] = args.data
    for option, place in places.items():
        if place is not None and place.resolve() == args.out.resolve():
            raise ArgumentError(f"{option} and --out are the same folder, {place}; choose another")


def _check_minutes(args: argparse.Namespace) -> None:
    if args.minutes is None:
        for name in ("later_minutes", "reserve"):
            if getattr(args, name) is not None:
                raise ArgumentError(f"{_option(name)} is for a piece of a run; give --minutes too")
        return
    later, reserve = args.later_minutes or 0.0, RESERVE if args.reserve is None else args.reserve
    if not (later >= 0.0 and reserve >= 0.0 and args.minutes > reserve):
        raise ArgumentError(
            "expected --later-minutes and --reserve of at least 0, and --minutes above --reserve, found "
            f"{later:g}, {reserve:g} and {args.minutes:g}"
        )


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def build_recipe(args: argparse.Namespace) -> Recipe:
    """Make the recipe: that of `--recipe`, or the default one, with what other options change.

    Raises:
        ArgumentError: an option or the file is no part of a recipe.
    """
    from ..training.options import Recipe, parse_stages, read_recipe

    recipe = read_recipe(args.recipe) if args.recipe else Recipe()
    changes: dict[str, object] = {}
    if args.stages:
        changes["stages"] = parse_stages(args.stages)
    for name in ("objects", "source_balance", "background_share", "learning_rate", "dense_share", "ema"):
        if getattr(args, name) is not None:
            changes[name] = getattr(args, name)
    if args.rounds:
        try:
            learnt, first, last = (int(part) for part in args.rounds.split(":"))
        except ValueError:
            raise ArgumentError(f"--rounds: expected learnt:first:last, found {args.rounds!r}") from None
        changes.update(gradient_rounds=learnt, first_rounds=first, last_rounds=last)
    if args.source_weight:
        weights = dict(recipe.source_weights) | dict(_named_number("--source-weight", t) for t in args.source_weight)
        changes["source_weights"] = tuple(weights.items())
    losses = dict(_named_number("--loss", text) for text in args.loss)
    unknown = [name for name in losses if name not in {field.name for field in dataclasses.fields(recipe.losses)}]
    if unknown:
        raise ArgumentError(f"--loss: no weight {unknown[0]!r}")
    return dataclasses.replace(recipe, losses=dataclasses.replace(recipe.losses, **losses), **changes)  # type: ignore[arg-type]


def _named_number(option: str, text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ArgumentError(f"{option} {text}: expected NAME=NUMBER") from None
