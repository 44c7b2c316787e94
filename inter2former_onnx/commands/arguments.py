"""Types of command-line arguments that several subcommands share."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from ..errors import ArgumentError


def positive_int(text: str) -> int:
    """Read an integer of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def click(text: str) -> tuple[int, int, bool]:
    """Read `X,Y` or `X,Y,+` (on the object), or `X,Y,-` (beside it): (x, y, positive)."""
    parts = [part.strip() for part in text.split(",")]
    sign = parts.pop() if len(parts) == 3 else "+"
    try:
        x, y = (int(part) for part in parts)
    except ValueError:
        sign = ""
    if sign not in ("+", "-"):
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y or X,Y,+ or X,Y,- with whole numbers X and Y")
    return x, y, sign == "+"


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--bundle` and `--threads`, for the subcommands that run the model."""
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="the model's bundle (default: the one that ships in the package)"
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="processor threads to use (default: as many as there are processors; `inter2former info` says how many)",
    )


def check_suffix(option: str, path: Path, allowed: Collection[str]) -> None:
    """Refuse a file name whose ending is no format that an option can be written in.

    Args:
        option: named in the message.
        path: the file name.
        allowed: suffixes in lower case.

    Raises:
        ArgumentError: it ends in none of them.
    """
    if path.suffix.lower() not in allowed:
        raise ArgumentError(f"{option} {path}: the file name must end in one of {', '.join(allowed)}")
