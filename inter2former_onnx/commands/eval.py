"""Measure masks with simulated clicks (NoC, NoF, mIoU, boundary IoU, seconds per click) and write a report.

A run that was stopped goes on when the same command is given again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, BundleError
from .arguments import positive_int

if TYPE_CHECKING:
    from ..evaluation.methods import MethodSettings

HELP = "masks against a data set, with simulated clicks -> report"

DATASETS = (
    "grabcut",
    "berkeley",
    "davis",
    "sbd",
    "hqseg44k",
    "coift",
    "hrsod",
    "thinobject5k",
    "dis-vd",
    "coco",
    "folder",
    "regions",
)
METHODS = ("bundle", "grabcut", "sam")
SAM_PIXELS = ("normalised", "unit", "raw")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the run and its report.md")
    add(
        "--report",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="measure nothing: one report on the runs in these folders",
    )
    data = parser.add_argument_group("data set")
    data.add_argument("--dataset", choices=DATASETS, help="its published layout; see docs/evaluation.md")
    data.add_argument("--data", type=Path, metavar="DIR", help="its folder (coco: or the .json file)")
    data.add_argument(
        "--list",
        dest="lists",
        action="append",
        default=[],
        metavar="FILE",
        help="with --dataset regions: a list of targets in the folder, such as eval.json; repeat for more runs",
    )
    method = parser.add_argument_group("method")
    method.add_argument(
        "--method",
        dest="methods",
        action="append",
        choices=METHODS,
        help="what to measure (default: bundle); repeat for more runs",
    )
    method.add_argument("--bundle", type=Path, metavar="DIR", help="the model's bundle (default: the one that ships)")
    method.add_argument(
        "--no-enforce-clicks",
        dest="enforce_clicks",
        action="store_false",
        help="take the model's masks as they are, even where they contradict a click",
    )
    method.add_argument(
        "--keep-islands",
        dest="drop_islands",
        action="store_false",
        help="leave unclicked pieces in the masks of which the model is not sure",
    )
    method.add_argument("--sam-encoder", type=Path, metavar="FILE", help="ONNX image encoder of a SAM-style model")
    method.add_argument("--sam-decoder", type=Path, metavar="FILE", help="its mask decoder, of the official export")
    method.add_argument(
        "--sam-pixels",
        choices=SAM_PIXELS,
        default="normalised",
        help="what the encoder takes: (RGB - mean) / std, RGB / 255, or RGB (default: normalised)",
    )
    method.add_argument(
        "--sam-size",
        type=positive_int,
        default=1024,
        metavar="N",
        help="side of the encoder's input where its shape does not say (default: 1024)",
    )
    work = parser.add_argument_group("work")
    work.add_argument("--clicks", type=positive_int, default=20, metavar="N", help="clicks an object (default: 20)")
    work.add_argument(
        "--processes", type=positive_int, default=1, metavar="N", help="pictures side by side (default: 1)"
    )
    work.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="threads of each process (default: the cores shared out among the processes)",
    )
    work.add_argument(
        "--worst", type=int, default=6, metavar="N", help="objects to draw click by click (default: 6; 0 for none)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return its exit status."""
    from ..extras import require

    if args.report:
        if args.dataset or args.data or args.methods:
            raise ArgumentError("--report puts finished runs together; it takes neither --dataset, --data nor --method")
    elif not args.dataset or not args.data:
        raise ArgumentError("--dataset and --data say what to measure on (or --report RUN ... what to put together)")
    if not 0 <= args.worst <= 99:
        raise ArgumentError(f"--worst: expected 0 to 99, found {args.worst}")
    require("image")
    from ..evaluation.finished_run import read_run
    from ..evaluation.report import write_report

    folders = args.report or _measure(args)
    runs = [read_run(folder) for folder in folders]
    page = write_report(runs, args.out)
    for finished in runs:
        for note in finished.notes:
            print(f"note: {note}", file=sys.stderr)
        print(finished.line())
    print(f"wrote {page}")
    return 0


def _measure(args: argparse.Namespace) -> list[Path]:
    """Carry out all runs, and return their folders."""
    from ..evaluation.plan import carry_out, plan_runs
    from ..runtime.processors import usable_processors, warn_of_too_many

    threads = args.threads or max(1, usable_processors() // args.processes)
    warn_of_too_many(threads * args.processes)
    methods = {name: _method(name, args) for name in dict.fromkeys(args.methods or ["bundle"])}
    lists = list(dict.fromkeys(args.lists))
    try:
        planned = plan_runs(args.dataset, args.data, lists, methods, args.out, args.clicks, threads)
    except BundleError as error:
        if args.bundle is None:
            raise BundleError(f"{error} (on the command line: --bundle DIR)") from None
        raise
    for one in planned:
        carry_out(one, args.processes, args.worst)
    return [one.folder for one in planned]


def _method(name: str, args: argparse.Namespace) -> MethodSettings:
    if name == "grabcut":
        from ..evaluation.methods.grabcut import GrabCutSettings

        return GrabCutSettings()
    if name == "sam":
        from ..evaluation.methods.sam import SamSettings

        if not args.sam_encoder or not args.sam_decoder:
            raise ArgumentError("--method sam needs --sam-encoder FILE and --sam-decoder FILE")
        return SamSettings(args.sam_encoder, args.sam_decoder, args.sam_pixels, args.sam_size)
    from ..evaluation.methods.bundle import BundleSettings

    return BundleSettings(args.bundle, args.enforce_clicks, args.drop_islands)
