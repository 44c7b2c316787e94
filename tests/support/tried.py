"""How much the tests tried: a count for every test, printed at the end of a run for the rows of docs/reliability.md."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from .reference import REPOSITORY

PAGE = REPOSITORY / "docs" / "reliability.md"
_TEST = re.compile(r"`((?:\w+/)?test_\w+\.py::test_\w+)`")


class Row(NamedTuple):
    """A row of the page's table: what is promised, the tests that hold it (file::function), how much they tried."""

    promise: str
    tests: list[str]
    quoted: str


class _Counts:
    """Of the tests of this run, by file::function."""

    def __init__(self) -> None:
        self.running = ""
        self.counted: Counter[str] = Counter()  # by `tried`
        self.passed: Counter[str] = Counter()  # test cases, a parametrised one each
        self.notes: list[str] = []


COUNTS = _Counts()


def tried(count: int = 1) -> None:
    """The running test tried `count` more inputs, clicks, kills. A test that never calls this counts its cases."""
    COUNTS.counted[COUNTS.running] += count


def note(text: str) -> None:
    """A line for the end of the run: a measured figure that no test should fail by, such as a time."""
    COUNTS.notes.append(f"{COUNTS.running}: {text}")


def function_of(node: str) -> str:
    """A pytest node id -> file::function, the file within tests/ and the function without its parameters."""
    return node.split("[")[0].removeprefix("tests/")


def rows() -> list[Row]:
    """The rows of the page that name tests."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        tests = _TEST.findall(line)
        if line.startswith("|") and tests:
            found.append(Row(cells[0], tests, cells[-1]))
    return found


def summary() -> list[str]:
    """A line for every row of which tests have passed in this run: what was tried, by how many test functions."""
    lines = []
    for row in rows():
        passed = [test for test in row.tests if COUNTS.passed[test]]
        total = sum(COUNTS.counted[test] or COUNTS.passed[test] for test in passed)
        if passed:
            lines.append(f"{total:>7,} tried, {len(passed)} of {len(row.tests)} tests: {row.promise}")
    return lines + COUNTS.notes
