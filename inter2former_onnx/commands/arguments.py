"""Types of command-line arguments that several subcommands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import ArgumentError, Inter2FormerError


def positive_int(text: str) -> int:
    """Read an integer of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def click(text: str) -> tuple[float, float, bool]:
    """Read `X,Y` or `X,Y,+` (on the object), or `X,Y,-` (beside it): (x, y, positive), a point in pixels."""
    parts = [part.strip() for part in text.split(",")]
    sign = parts.pop() if len(parts) == 3 else "+"
    try:
        x, y = (_coordinate(part) for part in parts)
    except ValueError:
        sign = ""
    if sign not in ("+", "-"):
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y or X,Y,+ or X,Y,- with numbers X and Y")
    return x, y, sign == "+"


def _coordinate(text: str) -> float:
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+)", text):
        return float(text)
    raise ValueError


def joined_clicks(arguments: Sequence[str]) -> list[str]:
    """Write `--click -5,3` as `--click=-5,3`: argparse takes what begins with a minus for an option.

    Args:
        arguments: of the whole command.
    """
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--click" and re.match(r"-[\d.]", argument):
            joined[-1] = f"--click={argument}"
        else:
            joined.append(argument)
    return joined


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


@contextmanager
def python_names_as_options(names: Mapping[str, str]) -> Iterator[None]:
    """Let errors that tell a Python caller what to pass tell the command's user which option to give.

    Args:
        names: what the message has -> what it shall have, such as "overwrite=True" -> "--overwrite".
    """
    try:
        yield
    except Inter2FormerError as error:
        text = str(error)
        for python, option in names.items():
            text = text.replace(python, option)
        raise type(error)(text) from error
