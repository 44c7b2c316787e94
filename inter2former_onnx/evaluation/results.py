"""A run's folder: `settings.json`, and `objects.jsonl` with a line an object, from which a run goes on after a stop.

A line holds picture and object (numbers in the data set's order), objects (how many the picture has), name, ious,
boundary_ious, clicks ([x, y, 1 or 0]), click_seconds, encode_seconds, and a note where there is something to know.
Where a picture or its annotation could not be used: picture, (object, objects,) name and error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ..errors import ArgumentError
from ..outputs import OutputFile
from ..picture_folder import make_results_folder

SETTINGS_FILE = "settings.json"
OBJECTS_FILE = "objects.jsonl"
LOCK_FILE = ".lock"

Line = dict[str, Any]

_MAY_DIFFER = ("label", "data", "made_with")  # settings that decide no result


def order(line: Mapping[str, Any]) -> tuple[int, int]:
    """Give the sort key of a line: the data set's order."""
    return int(line["picture"]), int(line.get("object", -1))


def read_settings(folder: Path) -> dict[str, Any]:
    """Read the settings of the run in `folder`.

    Raises:
        ArgumentError: there are none.
    """
    path = folder / SETTINGS_FILE
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{path}: no settings of an evaluation there ({error})") from None
    if not isinstance(settings, dict) or "method" not in settings:
        raise ArgumentError(f"{path}: these are not the settings of an evaluation")
    return settings


@contextmanager
def claim(folder: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Hold `folder` for a run with `settings`, new or begun earlier with the same.

    Raises:
        ArgumentError: the folder holds a run with other settings, is in use, or cannot be written to.
    """
    path = folder / SETTINGS_FILE
    if path.exists():
        _check_same(folder, read_settings(folder), json.loads(json.dumps(settings)))
    elif (folder / OBJECTS_FILE).exists():
        raise ArgumentError(f"{folder}: holds {OBJECTS_FILE} without {SETTINGS_FILE}; choose another folder")
    try:
        make_results_folder(folder, "eval")
    except OSError as error:
        raise ArgumentError(f"cannot make {folder}: {error.strerror or error}") from None
    with OutputFile(path) as out, open(folder / LOCK_FILE, "a") as lock:
        _lock(lock, folder)
        out.write(lambda stream: stream.write(json.dumps(settings, indent=1).encode() + b"\n"))
        yield


def _lock(file: TextIO, folder: Path) -> None:
    """A lock that ends with the process, however that ends. Windows has no such call; there nobody checks."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ArgumentError(f"{folder}: another evaluation is working in it") from None


def _check_same(folder: Path, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name in sorted({*earlier, *now} - set(_MAY_DIFFER)):
        if earlier.get(name) != now.get(name):
            raise ArgumentError(
                f"{folder}: holds a run with other settings; {name} was {_short(earlier.get(name))}, "
                f"now it is {_short(now.get(name))}. Choose another folder, or the same settings to go on"
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:200] + "..."


def read_lines(folder: Path) -> list[Line]:
    """Read the lines of a run in the data set's order; a half-written last one is left out.

    Raises:
        ArgumentError: no such file, or damage elsewhere than at the end.
    """
    path = folder / OBJECTS_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArgumentError(f"{path}: {error.strerror or error}") from None
    whole = content[: content.rfind(b"\n") + 1]
    lines = []
    for number, text in enumerate(whole.splitlines(), start=1):
        try:
            line = json.loads(text)
            order(line)
        except (ValueError, KeyError, TypeError):
            raise ArgumentError(f"{path}: line {number} is damaged; delete it, and it is computed anew") from None
        lines.append(line)
    return sorted(lines, key=order)


def resume(folder: Path) -> tuple[list[Line], TextIO]:
    """Open a run's file for more lines. Broken pictures do not count as done: they may be whole now.

    Returns:
        The lines that are done, and the file.

    Raises:
        ArgumentError: as `read_lines` does.
    """
    path = folder / OBJECTS_FILE
    lines = [line for line in read_lines(folder) if "error" not in line] if path.exists() else []
    text = "".join(_text(line) for line in lines)
    with OutputFile(path) as out:
        out.write(lambda stream: stream.write(text.encode()))
    return lines, open(path, "a", encoding="utf-8")


def append(stream: TextIO, lines: Sequence[Line]) -> None:
    """Write lines and hand them to the system, so that they outlive this process."""
    for line in lines:
        stream.write(_text(line))
    stream.flush()
    os.fsync(stream.fileno())


def _text(line: Line) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"
