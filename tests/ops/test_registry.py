"""The list of ops: what is in the folders, in an order in which callees come first."""

from __future__ import annotations

from pathlib import Path

from inter2former_onnx import custom_ops
from inter2former_onnx.custom_ops import registry

FOLDER = Path(custom_ops.__file__).parent


def test_every_folder_with_a_definition_is_an_op_of_the_list() -> None:
    found = {(file.parent.parent.name, file.parent.name) for file in FOLDER.glob("*/*/definition.py")}
    listed = [(op.family, op.folder) for op in registry.ops()]
    assert set(listed) == found and len(listed) == len(found) == len({op.name for op in registry.ops()})


def test_every_family_says_what_belongs_there() -> None:
    for family in {op.family for op in registry.ops()}:
        assert len((FOLDER / family / "__init__.py").read_text(encoding="utf-8")) > 40


def test_functions_are_those_of_the_ops_and_their_parts() -> None:
    names = [function.name for function in registry.functions()]
    assert len(names) == len(set(names))
    assert {op.name for op in registry.ops()} < set(names)
