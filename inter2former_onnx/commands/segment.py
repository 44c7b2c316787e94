"""Segment one photograph with the given clicks and write the mask."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, ClickError
from ..image_formats import PICTURE_FORMATS
from .arguments import add_engine_arguments, check_suffix, click

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..runtime.click import Click

HELP = "photograph and clicks -> mask"

MASK_FORMATS = (".png", ".npy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    parser.add_argument(
        "image",
        type=Path,
        metavar="IMAGE",
        help="PNG, JPEG, ... or .npy (uint8 height x width x 3, RGB; needs no Pillow)",
    )
    parser.add_argument(
        "--click",
        dest="clicks",
        type=click,
        action="append",
        required=True,
        metavar="X,Y[,+|-]",
        help="column and row of a pixel on the object (or beside it, with ,-), or a point in it, such as 210.5,180.2; "
        "repeat for more clicks, in their order",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the mask: .png (0 and 255) or .npy (bool; needs no Pillow)",
    )
    parser.add_argument(
        "--overlay", type=Path, metavar="FILE", help="also a picture of mask and clicks: .png, .jpg or .npy"
    )
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return its exit status."""
    _check_file_names(args.image, args.out, args.overlay)
    from ..extras import require

    if args.out.suffix.lower() != ".npy" or args.overlay is not None:
        require("image", "PIL")

    with ExitStack() as stack:
        # Everything that can be refused is refused here, before the seconds of encoding.
        from ..outputs import OutputFile

        out = stack.enter_context(OutputFile(args.out))
        overlay = stack.enter_context(OutputFile(args.overlay)) if args.overlay is not None else None
        from ..images import read_image, write_image

        image = read_image(args.image)
        clicks = _checked_clicks(args.image, args.clicks, image)

        from .clicking import click_through, open_segmenter

        result = click_through(open_segmenter(args.bundle, args.threads), image, clicks)
        mask = result.steps[-1].mask
        out.write(lambda stream: write_image(stream, mask, args.out.suffix))
        if overlay is not None:
            from ..overlay import draw_overlay

            picture = draw_overlay(image, mask, clicks)
            overlay.write(lambda stream: write_image(stream, picture, args.overlay.suffix))

    share = 100 * int(mask.sum()) / mask.size
    print(f"{args.out}: {int(mask.sum())} of {mask.size} pixels ({share:.1f} %)")
    print(result.times())
    return 0


def _check_file_names(image: Path, out: Path, overlay: Path | None) -> None:
    """Refuse formats that cannot hold the output, and outputs that would overwrite one another or the input."""
    check_suffix("--out", out, MASK_FORMATS)
    if overlay is not None:
        check_suffix("--overlay", overlay, PICTURE_FORMATS)
    named = {"the image": image, "--out": out} | ({"--overlay": overlay} if overlay is not None else {})
    seen: dict[Path, str] = {}
    for name, path in named.items():
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise ArgumentError(f"{name} {path}: the same file as {other}")


def _checked_clicks(path: Path, clicks: Sequence[tuple[float, float, bool]], image: NDArray[np.uint8]) -> list[Click]:
    """Make the clicks, each known to lie in the image."""
    from ..runtime.click import make_click

    height, width = image.shape[:2]
    checked = []
    for number, (x, y, positive) in enumerate(clicks, start=1):
        try:
            checked.append(make_click(x, y, positive, width, height))
        except ClickError as error:
            where = f"click {number} of {len(clicks)} on {path}, which is {width} x {height} pixels"
            raise ClickError(f"{error} ({where})") from None
    return checked
