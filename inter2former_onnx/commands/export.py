"""Make a bundle: a PyTorch checkpoint (or random weights) becomes a folder of ONNX graphs."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import positive_int, python_names_as_options

HELP = "checkpoint -> bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, metavar="FILE", help="a .pth or .safetensors checkpoint")
    parser.add_argument(
        "--key", metavar="NAME", help="which state dict, where the checkpoint holds several: model, ema.module, ..."
    )
    source.add_argument(
        "--random-weights",
        type=int,
        metavar="SEED",
        help="no checkpoint: weights drawn at random, for latency work (the checkpoint is written too)",
    )
    parser.add_argument(
        "--config",
        required=True,
        metavar="NAME|FILE",
        help="a preset such as vit_b, or a .json file of the model's arguments",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to make")
    parser.add_argument(
        "--size",
        type=positive_int,
        metavar="N",
        help="side of the square the model sees, in pixels (default: the configuration's)",
    )
    parser.add_argument(
        "--storage",
        choices=("float32", "float16"),
        default="float32",
        help="float16: half the size on disk, weights rounded; computed in float32 either way (default: float32)",
    )
    parser.add_argument(
        "--geometry",
        choices=("fit", "square"),
        help="fit: an image's longer side gets all the pixels of --size, and nothing is computed beside the image; "
        "square: all of the padded square, as in the published evaluation (default: the configuration's)",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "int8"),
        default="float32",
        help="int8: the encoder's linear layers in 8-bit integers, several times as fast (default: float32)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FOLDER",
        help="photographs on which int8 measures and lessens its loss; int8 works without",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DIR if it is there")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return its exit status."""
    from ..extras import require

    with python_names_as_options({"overwrite=True": "--overwrite", "key=NAME": "--key NAME"}):
        from ..export.request import make_request

        request = make_request(
            args.out,
            config=args.config,
            checkpoint=args.checkpoint,
            key=args.key,
            random_weights=args.random_weights,
            size=args.size,
            storage=args.storage,
            geometry=args.geometry,
            precision=args.precision,
            calibration=args.calibration,
            overwrite=args.overwrite,
        )
        require("export")
        from ..export.bundle import carry_out

        bundle = carry_out(request)
    print(f"wrote {bundle}")
    return 0
