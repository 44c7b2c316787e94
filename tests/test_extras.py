"""The table of extras: held to pyproject.toml, and to the calls that ask for a part of one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest

from inter2former_onnx import extras
from inter2former_onnx.errors import MissingDependencyError
from inter2former_onnx.extras import EXTRAS, missing, require
from support.reference import REPOSITORY

# Where a distribution has another name than the module it brings.
MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL"}
FOR_DEVELOPERS = {"bench", "test"}


def distributions(groups: dict[str, list[str]], extra: str) -> Iterator[str]:
    """Names of the distributions that an extra brings, those of the extras that it is made of included."""
    for requirement in groups[extra]:
        own = re.fullmatch(r"inter2former-onnx\[(.*)\]", requirement)
        if own is None:
            yield re.split(r"[<>=!~ ;\[]", requirement)[0]
            continue
        for part in own[1].split(","):
            yield from distributions(groups, part)


def test_the_table_is_pyprojects() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    groups = tomllib.loads(text)["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(groups) - FOR_DEVELOPERS
    for extra, modules in EXTRAS.items():
        assert {MODULES.get(name, name) for name in distributions(groups, extra)} == set(modules), extra
        assert len(set(modules)) == len(modules), extra


def calls() -> Iterator[tuple[str, list[Any]]]:
    """File and constant arguments of every `require(...)` in the package that begins with an extra's name."""
    for path in sorted((REPOSITORY / "inter2former_onnx").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require":
                arguments = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
                if len(arguments) == len(node.args):
                    yield path.name, arguments


def test_callers_ask_for_what_the_extra_brings() -> None:
    found = list(calls())
    assert len(found) >= 8
    for name, (extra, *modules) in found:
        assert set(modules) <= set(EXTRAS[extra]), name


def test_an_extra_or_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in ("cv2", "tqdm") else object())
    assert missing("tqdm", "PIL", "cv2") == ["tqdm", "cv2"]
    require("image", "PIL")
    with pytest.raises(MissingDependencyError) as caught:
        require("image")
    assert str(caught.value) == (
        "this needs cv2, tqdm, not installed here: "
        "pip install '.[image]' in a clone of the source, or pip install 'FILE.whl[image]'"
    )
