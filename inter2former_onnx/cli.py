"""The `inter2former` command: parsing, and turning every failure into one line and an exit status.

Each subcommand is a module of `commands/` with `HELP`, `add_arguments(parser)` and `run(args) -> int`. Those modules
import nothing heavy at their top, so that `--help` and a mistyped option answer at once.

Exit status: 0 done; 2 wrong arguments; the `exit_code` of the error's class (see errors.py); 12 `verify` found
differences out of tolerance; 13 `encode` could not do some images; 70 a bug; 71 not enough memory; 130 interrupted;
141 the reader of our output went away.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from . import __version__
from .commands import annotate, demo, encode, eval, export, info, segment, train, verify
from .commands.arguments import joined_clicks
from .errors import Inter2FormerError
from .wording import printable

PROGRAM = "inter2former"
DEBUG_VARIABLE = "INTER2FORMER_DEBUG"

COMMANDS: dict[str, ModuleType] = {
    "export": export,
    "verify": verify,
    "info": info,
    "segment": segment,
    "encode": encode,
    "eval": eval,
    "train": train,
    "annotate": annotate,
    "demo": demo,
}

EXIT_BUG = 70
EXIT_MEMORY = 71
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command; `args.run` is the chosen subcommand's function."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Interactive segmentation on CPUs: click on an object, get its mask (Inter2Former on onnxruntime).",
        epilog=f"{DEBUG_VARIABLE}=1 shows the traceback of a failure instead of one line.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=module.HELP, description=module.__doc__, allow_abbrev=False)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: without the program; None stands for those of sys.argv.

    Returns:
        The exit status.
    """
    # A file name that is not valid UTF-8 must not turn a finished job into an encoding error.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        args = build_parser().parse_args(joined_clicks(sys.argv[1:] if arguments is None else arguments))
        status: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # `inter2former info | head -1`: nobody reads on. Point stdout elsewhere, or Python complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except Inter2FormerError as error:
        return _fail(f"error: {error}", error.exit_code)
    except MemoryError as error:
        return _fail(f"error: not enough memory. {error}", EXIT_MEMORY)
    except Exception as error:
        return _fail(
            f"error: {type(error).__name__}: {error} (this is a bug; rerun with {DEBUG_VARIABLE}=1 for the traceback)",
            EXIT_BUG,
        )
    return status


def _fail(message: str, status: int) -> int:
    """Print `message` on one line of stderr, after the traceback where that was asked for, and return `status`."""
    if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
        import traceback

        traceback.print_exc()
    print(f"{PROGRAM}: {printable(' '.join(message.split()))}", file=sys.stderr)
    return status
