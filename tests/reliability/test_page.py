"""docs/reliability.md is true: its tests exist, every status is in it, and the counts it quotes have the right form."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from inter2former_onnx import cli, errors
from inter2former_onnx.commands import encode
from support.reference import TESTS
from support.tried import PAGE, rows


def functions(file: Path) -> set[str]:
    """The test functions of a file."""
    return {node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


def test_every_test_of_the_page_exists() -> None:
    table = rows()
    assert len(table) > 15 and len({row.promise for row in table}) == len(table)
    for row in table:
        for test in row.tests:
            file, name = test.split("::")
            assert (TESTS / file).is_file(), test
            assert name in functions(TESTS / file), test


def test_every_row_says_how_much_was_tried() -> None:
    for row in rows():
        assert re.fullmatch(r"[1-9][0-9]{0,2}(,[0-9]{3})*|not in this run", row.quoted), row.promise


def test_every_reliability_test_is_on_the_page() -> None:
    listed = {test for row in rows() for test in row.tests}
    for file in (TESTS / "reliability").glob("test_*.py"):
        if file.name != Path(__file__).name:
            tests = {f"reliability/{file.name}::{name}" for name in functions(file) if name.startswith("test_")}
            assert tests <= listed, file.name


def test_every_status_is_documented() -> None:
    """Each class with its own status, and those of the command itself; no other."""
    table = dict(re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.Inter2FormerError)
    }
    for error in classes:
        assert table[str(error.exit_code)].startswith(f"`{error.__name__}`: "), error
    own = {0, 12, encode.EXIT_SOME_FAILED}
    own |= {cli.EXIT_BUG, cli.EXIT_MEMORY, cli.EXIT_INTERRUPTED, cli.EXIT_BROKEN_PIPE}
    assert {int(status) for status in table} == own | {error.exit_code for error in classes}
