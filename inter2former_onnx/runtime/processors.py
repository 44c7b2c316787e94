"""How many processors there are to use, and what says so.

INTER2FORMER_THREADS   at most so many, for whoever knows better than the machine (1 to 1024)
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import NamedTuple

from ..errors import ArgumentError

VARIABLE = "INTER2FORMER_THREADS"
MAX_THREADS = 1024

_LOG = logging.getLogger(__name__)
_warned: set[str] = set()


class Processors(NamedTuple):
    """How many, and the words for what decided: the least of several limits."""

    usable: int
    decided: str


def usable_processors() -> int:
    """Count the processors that this process may use; see `find_processors`."""
    return find_processors().usable


def find_processors(root: Path = Path("/")) -> Processors:
    """Find the least of: the processors this process may run on, its quotas of their time, INTER2FORMER_THREADS.

    Containers limit either: the set of processors (as taskset does) or, more often, their time. Threads beyond that
    time do not run slower but stop, all at once, for most of every tenth of a second.

    Args:
        root: where /proc and the mount points are looked for.

    Raises:
        ArgumentError: INTER2FORMER_THREADS is no number from 1 to 1024.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    everything = os.cpu_count() or 1
    if affinity is None or (count := len(affinity(0))) == everything:
        limits = [Processors(everything, "all of this machine")]
    else:
        limits = [Processors(count, f"affinity: the machine has {everything}")]
    for quota, file in _quotas(root):
        limits.append(Processors(max(ceil(quota), 1), f"CPU quota of {float(quota):.3g} in {file}"))
    text = os.environ.get(VARIABLE, "")
    if text:
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_THREADS:
            raise ArgumentError(f"{VARIABLE}={text[:60]}: expected a whole number from 1 to {MAX_THREADS}")
        limits.append(Processors(int(text), VARIABLE))
    return min(limits, key=lambda limit: limit.usable)


def warn_of_too_many(threads: int) -> None:
    """Log one warning if so many threads are more than there are processors for them; each only once.

    In a process of multiprocessing's, that is left to the one that started it.
    """
    found = find_processors()
    if threads <= found.usable:
        return
    from multiprocessing import parent_process  # here, because it takes time to import

    processors = "1 processor" if found.usable == 1 else f"{found.usable} processors"
    text = f"{threads} threads for {processors} ({found.decided}): expect it to be slower"
    if text not in _warned and parent_process() is None:
        _warned.add(text)
        _LOG.warning("%s", text)


def _quotas(root: Path) -> Iterator[tuple[Fraction, Path]]:
    """The quotas of processor time of this process's control groups and the ones around them, in processors.

    Each with the file that says so. Both versions of Linux's control groups are looked at, as both may be mounted.
    """
    try:
        mounts = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux, or /proc is not there
        return
    # A line of cgroup: number:controllers:/path, without controllers in version 2.
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in groups if line)}
    for line in mounts:
        # number parent device root mount-point options ... - type source options-of-the-file-system
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 6 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            path, read = paths.get(""), _quota_of_version_2
        elif kind[0] == "cgroup" and "cpu" in kind[2].split(","):
            path = next((path for controllers, path in paths.items() if "cpu" in controllers.split(",")), None)
            read = _quota_of_version_1
        else:
            continue
        if path is None:
            continue
        mount = root / _unescaped(fields[4]).lstrip("/")
        for folder in _folders(mount, _unescaped(fields[3]), path):
            found = read(folder)
            if found is not None:
                yield found


def _unescaped(text: str) -> str:
    """A path as the kernel writes it in mountinfo: blanks and the like as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _folders(mount: Path, mounted: str, path: str) -> Iterator[Path]:
    """The folders of a control group and of all around it, as far as they are mounted, the innermost first.

    Args:
        mount: the mount point.
        mounted: which group is mounted there: in a container often not the outermost.
        path: the group wanted.
    """
    inside = os.path.relpath(path, mounted).split("/")
    # A group beside what is mounted here cannot be seen; what is around both still holds.
    parts = [] if ".." in inside else [part for part in inside if part != "."]
    for length in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:length])


def _quota_of_version_2(folder: Path) -> tuple[Fraction, Path] | None:
    file = folder / "cpu.max"
    words = _words(file)  # quota (or "max") and period, in microseconds
    return _quota(words[0], words[1], file) if len(words) == 2 else None


def _quota_of_version_1(folder: Path) -> tuple[Fraction, Path] | None:
    file = folder / "cpu.cfs_quota_us"
    words = _words(file) + _words(folder / "cpu.cfs_period_us")  # the quota is -1 where there is none
    return _quota(words[0], words[1], file) if len(words) == 2 else None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return []


def _quota(quota: str, period: str, file: Path) -> tuple[Fraction, Path] | None:
    if not quota.isdecimal() or not period.isdecimal() or int(quota) == 0 or int(period) == 0:
        return None
    return Fraction(int(quota), int(period)), file
