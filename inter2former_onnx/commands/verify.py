"""Run a bundle and the PyTorch model it came from side by side on the same clicks, and print the differences."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import positive_int, python_names_as_options

HELP = "bundle against checkpoint"

EXIT_OUT_OF_TOLERANCE = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    parser.add_argument("bundle", type=Path, metavar="DIR", help="the bundle")
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="the checkpoint it was exported from"
    )
    parser.add_argument(
        "--key", metavar="NAME", help="which state dict, where the checkpoint holds several: model, ema.module, ..."
    )
    parser.add_argument(
        "--image", type=Path, metavar="IMAGE", help="the photograph to click on (default: the one in the package)"
    )
    parser.add_argument("--clicks", type=positive_int, default=5, metavar="N", help="number of clicks (default: 5)")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return its exit status."""
    from ..extras import require

    require("export")
    from ..assets import DEMO_PHOTOGRAPH
    from ..images import read_image

    image = read_image(DEMO_PHOTOGRAPH if args.image is None else args.image)
    from ..export import verify_bundle

    with python_names_as_options({"key=NAME": "--key NAME"}):
        report = verify_bundle(args.bundle, args.checkpoint, image, clicks=args.clicks, key=args.key)
    for line in report.lines():
        print(line)
    return 0 if report.ok else EXIT_OUT_OF_TOLERANCE
