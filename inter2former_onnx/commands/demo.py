"""Click through the photograph in the package and write one picture: the mask after every click, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..image_formats import PICTURE_FORMATS
from ..wording import counted
from .arguments import add_engine_arguments, check_suffix

HELP = "clicks on the photograph in the package -> one picture"

# x, y, positive: the cup's inside; its rim at the left, at the right and below.
CLICKS = ((290, 110, True), (178, 120, True), (398, 100, True), (300, 198, True))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo.png"),
        metavar="FILE",
        help="the picture, .png or .jpg (default: demo.png)",
    )
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return its exit status."""
    from ..extras import require
    from ..outputs import OutputFile

    check_suffix("--out", args.out, PICTURE_FORMATS)
    require("image", "PIL")
    with OutputFile(args.out) as out:
        from ..assets import DEMO_PHOTOGRAPH
        from ..images import read_image, write_image
        from ..overlay import draw_overlay, side_by_side
        from ..runtime.click import Click
        from .clicking import click_through, open_segmenter

        segmenter = open_segmenter(args.bundle, args.threads)
        image = read_image(DEMO_PHOTOGRAPH)
        clicks = [Click(*click) for click in CLICKS]
        result = click_through(segmenter, image, clicks)
        random_weights = "random_weights" in segmenter.manifest.source
        panels, captions = [], []
        for number, step in enumerate(result.steps, start=1):
            panels.append(draw_overlay(image, step.mask, clicks[:number]))
            side = "on the object" if step.click.positive else "not the object"
            note = " (random weights)" if random_weights else ""
            captions.append(f"click {number}, {side}: {1000 * step.seconds:.0f} ms{note}")
        picture = side_by_side(panels, captions)
        out.write(lambda stream: write_image(stream, picture, args.out.suffix))
    print(f"{result.times()} ({counted(segmenter.threads, 'thread')}, {segmenter.ops} ops)")
    if random_weights:
        print("this bundle holds random weights: the timings are real, the masks mean nothing")
    print(f"wrote {args.out}")
    return 0
