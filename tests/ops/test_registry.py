"""The list of ops is what is in the folders, and every op has its forms, its cases and its tests."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from inter2former_onnx import custom_ops
from inter2former_onnx.custom_ops import registry
from support.ops.agreement import oracle, torch_form
from support.ops.registry import FAMILIES, OPS
from support.ops.sessions import run_op
from support.reference import TESTS

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


def test_every_op_of_the_list_is_in_its_family() -> None:
    families: dict[str, set[str]] = defaultdict(set)
    for op in registry.ops():
        families[op.family].add(op.name)
    assert families == {name: set(family) for name, family in FAMILIES.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_files(family: str) -> None:
    for place in ("support/ops/families/{}.py", "support/ops/oracles/{}.py", "ops/test_{}.py", "native/test_{}.py"):
        assert (TESTS / place.format(family)).is_file(), place


@pytest.mark.parametrize("name", OPS)
def test_every_op_has_its_forms(name: str) -> None:
    """On its small case, of which every weight is an input: as many outputs of the same shapes."""
    op = OPS[name]
    inputs, attributes = op.small(np.random.default_rng(0))
    assert op.torch_form is not op.oracle and set(op.weights) <= set(range(len(inputs)))
    for form in (oracle, torch_form):
        shapes = [array.shape for array in form(name, inputs, attributes)]
        assert shapes == [array.shape for array in run_op(name, inputs, attributes)], form
