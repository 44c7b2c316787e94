"""Every op of the library has its forms, its cases and its tests: what a new op is asked for."""

from __future__ import annotations

import re

import numpy as np
import pytest

from support.ops.agreement import oracle, torch_form
from support.ops.registry import FAMILIES, OPS
from support.ops.sessions import run_op
from support.reference import REPOSITORY, TESTS


def snake_case(name: str) -> str:
    """BSQAttention -> bsq_attention, LocalUpsample2x -> local_upsample_2x, HybridMoE -> hybrid_moe."""
    words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z]+(?:3x3)?|2x|MoE", name.replace("MoE", "Moe"))
    return "_".join(words).lower()


def test_every_op_of_the_library_is_in_one_family() -> None:
    listed = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    ops = re.search(r"set\(ops\n(.*?)\)", listed, re.DOTALL)
    assert ops is not None
    assert sorted(ops[1].split()) == sorted(snake_case(name) for family in FAMILIES.values() for name in family)


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
