"""An op's ports.def against its definition, the definition's words, its inputs in the tests, and the docs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import get_args

import numpy as np
import pytest

from inter2former_onnx.custom_ops.definitions import function_protos
from inter2former_onnx.custom_ops.ports import Port, Ports, parse_ports
from inter2former_onnx.custom_ops.registry import ops
from support.ops.registry import OPS
from support.ops.sessions import run_op
from support.reference import REPOSITORY

LISTED = {op.name: op for op in ops()}
TYPES = {"FLOAT": "float32", "UINT8": "uint8", "INT8": "int8", "INT64": "int64", "int": "int64", "float": "float32"}

# Sizes that the definitions, whose words travel in models, say in full, and the ports give a name.
IN_FULL: dict[str, dict[str, str]] = {
    "Conv3x3": {"ceil(H/stride)": "rows", "ceil(W/stride)": "columns"},
    "CropTokens": {"b-t": "rows", "r-l": "columns"},
    "LocalUpsample2x": {"h'": "rows", "w'": "columns", "2*h'": "2*rows", "2*w'": "2*columns", "s*h": "H", "s*w": "W"},
    "WindowAttention": {"W*A": "P"},
}
# Inputs whose shapes the definitions give in other words.
IN_WORDS: dict[str, set[str]] = {
    "HybridMoE": {"shared_ln_weight", "shared_ln_bias", "select_ln_weight", "select_ln_bias"},
    "PromptedAttention": {port.name for port in LISTED["HybridAttention"].ports.inputs},
    "ResidualConvBlock": {
        f"{part}{i}_{kind}" for part in ("norm", "conv") for i in "12" for kind in ("weight", "bias")
    },
    "SampleImage": {"columns", "columns_inside", "across"},
}

each_op = pytest.mark.parametrize("name", OPS)


def names_in(dim: str) -> list[str]:
    return [part for part in re.split("[*/]", dim) if not part.isdigit()]


def in_sizes(dim: str, ports: Ports) -> str:
    """The dimension without names from LET."""
    return re.sub(r"\w+", lambda name: ports.lets.get(name[0], name[0]), dim)


@each_op
def test_names_in_dimensions_are_declared_and_used(name: str) -> None:
    ports = LISTED[name].ports
    dims = [*ports.lets.values(), *(dim for port in (*ports.inputs, *ports.outputs) for dim in port.dims)]
    used = {name for dim in dims for name in names_in(dim)}
    integers = {name for name, dtype in ports.attributes.items() if dtype == "int64"}
    assert {*ports.sizes, *ports.lets} <= used <= {*ports.sizes, *ports.lets, *integers}


@each_op
def test_names_and_types_are_those_of_the_definition(name: str) -> None:
    ports = LISTED[name].ports
    proto = next(proto for proto in function_protos() if proto.name == name)
    assert [port.name for port in ports.inputs] == list(proto.input)
    assert list(ports.attributes) == list(proto.attribute)
    assert len(ports.outputs) == len(proto.output)
    for port, called in zip(ports.outputs, proto.output, strict=True):
        # Others than these onnxscript has made up.
        if not called.startswith("return_val") and not re.search(r"_\d+$", called):
            assert port.name == called
    types = {port.name: port.dtype for port in ports.inputs} | ports.attributes
    signature = inspect.signature(LISTED[name].function.function)
    assert types == {key: TYPES[value.annotation.__name__] for key, value in signature.parameters.items()}
    returned = signature.return_annotation
    if returned is not inspect.Signature.empty:
        assert [port.dtype for port in ports.outputs] == [
            TYPES[part.__name__] for part in get_args(returned) or (returned,)
        ]


def words_of(name: str) -> tuple[str, str]:
    """What the definition says of its inputs and of its outputs."""
    document = " ".join((LISTED[name].function.function.__doc__ or "").split())
    inputs, outputs = document.rsplit(" -> ", 1)
    return inputs, outputs


def shapes_in(text: str) -> Iterator[tuple[list[str], str, str]]:
    """Names, type and dimensions of everything like `q, k int64 [N, D]`; no names for an output without."""
    for names, dtype, dims in re.findall(r"((?:\w+(?:, | and ))*\w+)?(?:^| )(uint8|int8|int64)? ?\[([^\]]*)\]", text):
        yield re.split(", | and ", names) if names else [], dtype, dims


def dims_in_words(dims: str, name: str) -> tuple[str, ...]:
    """The words' dimensions in the form of a ports.def: `3 D`, `3D` and `h w` as products, without spaces."""
    found = []
    for words in dims.split(", ") if dims else []:
        dim = re.sub(r"\s*([*/()-])\s*", r"\1", words)
        dim = re.sub(r"^(\d+) ?(?=[A-Za-z])", r"\1*", dim).replace(" ", "*")
        dim = re.sub(r"\bheads\b", "num_heads", dim)
        found.append(IN_FULL.get(name, {}).get(dim, dim))
    return tuple(found)


def said(port: Port, ports: Ports, dims: tuple[str, ...]) -> bool:
    return [in_sizes(dim, ports) for dim in port.dims] == [in_sizes(dim, ports) for dim in dims]


@each_op
def test_shapes_are_those_that_the_definition_names(name: str) -> None:
    ports = LISTED[name].ports
    inputs = {port.name: port for port in ports.inputs}
    words, result = words_of(name)
    seen: set[str] = set()
    for names, dtype, dims in shapes_in(words):
        for port in (inputs[each] for each in names if each in inputs and each not in seen):
            assert said(port, ports, dims_in_words(dims, name)), f"{port} but [{dims}]"
            assert not dtype or dtype == port.dtype, port
            seen.add(port.name)
    assert seen | IN_WORDS.get(name, set()) == set(inputs)
    found = [dims for _, _, dims in shapes_in(result)][: len(ports.outputs)]
    assert len(found) == len(ports.outputs)
    for port, dims in zip(ports.outputs, found, strict=True):
        assert said(port, ports, dims_in_words(dims, name)), f"{port} but [{dims}]"


def value(dim: str, sizes: Mapping[str, int]) -> int | None:
    """What a dimension comes to; None while a size is not known."""
    first, *rest = re.split("([*/])", dim)
    if any(part not in sizes for part in names_in(dim)):
        return None
    found = sizes.get(first) or int(first)
    for operation, part in zip(rest[::2], rest[1::2], strict=True):
        number = sizes[part] if part in sizes else int(part)
        if operation == "/":
            assert found % number == 0, dim
        found = found * number if operation == "*" else found // number
    return found


def compare(port: Port, array: np.ndarray, ports: Ports, sizes: dict[str, int]) -> None:
    """Compare an array with its port; sizes that are new become known."""
    assert array.dtype == port.dtype, port
    assert array.ndim == len(port.dims), port
    for dim, found in zip((in_sizes(dim, ports) for dim in port.dims), array.shape, strict=True):
        known = value(dim, sizes)
        told = re.fullmatch(r"(?:(\d+)\*)?([A-Za-z]\w*)", dim)
        if known is None and told is not None:
            sizes[told[2]] = found // int(told[1] or 1)
            known = value(dim, sizes)
        assert known in (None, found), f"{port}: {array.shape}, {sizes}"


@each_op
def test_cases_of_the_tests_fit(name: str) -> None:
    """Types, ranks and every size, of what goes in and of what comes out."""
    ports = LISTED[name].ports
    inputs, attributes = OPS[name].small(np.random.default_rng(3))
    assert list(attributes) == list(ports.attributes)
    sizes = {key: int(number) for key, number in attributes.items() if ports.attributes[key] == "int64"}
    for port, array in zip(ports.inputs, inputs, strict=True):
        compare(port, array, ports, sizes)
    for port, array in zip(ports.outputs, run_op(name, inputs, attributes), strict=True):
        compare(port, array, ports, sizes)


def in_the_docs(ports: Ports) -> str:
    def group(members: list[Port]) -> str:
        first = members[0]
        names = ", ".join(f"`{port.name}`" for port in members)
        dims = ", ".join(in_sizes(dim, ports).replace("*", " ").replace("/", " / ") for dim in first.dims)
        return f"{names}{'' if first.dtype == 'float32' else ' ' + first.dtype} [{dims}]"

    def all_of(members: tuple[Port, ...]) -> str:
        return ", ".join(group(list(alike)) for _, alike in groupby(members, lambda port: (port.dtype, port.dims)))

    attributes = ", ".join(f"`{name}`" for name in ports.attributes)
    return f"{all_of(ports.inputs)} | {all_of(ports.outputs)} | {attributes or 'none'}"


def test_docs_list_the_ports() -> None:
    """The table of docs/bundle.md, in the order of the table of what the ops compute."""
    text = (REPOSITORY / "docs" / "bundle.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `(\w+)` \| .*\|$", text.split("| op | in |")[1].split("\n\n")[0], re.MULTILINE)
    table = text.split("| op | inputs | outputs | attributes |\n|---|---|---|---|\n")[1].split("\n\n")[0]
    assert set(described) == set(LISTED)
    assert table.splitlines() == [f"| `{name}` | {in_the_docs(LISTED[name].ports)} |" for name in described]


def test_a_line_that_is_no_entry_is_refused() -> None:
    assert parse_ports("// words\n\nINPUT(x, float32, 3*D)  // more words\n").inputs == (
        Port("x", "float32", ("3*D",)),
    )
    for line in ("INPUT(x, float32, N", "INPORT(x, float32)", "INPUT(x, float32, N + 1)"):
        with pytest.raises(ValueError, match=re.escape(repr(line))):
            parse_ports(f"SIZE(N)\n{line}\n")
