"""The ops of the domain: which there are, the ONNX functions that define them, and their ports.

`ops.txt` is the one list; CMakeLists.txt takes the kernels from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources

import onnx
from onnxscript import OnnxFunction

from . import DOMAIN
from .ports import Ports, parse_ports


@dataclass(frozen=True)
class Op:
    """An op of the domain: a folder with its ports, its definition and its native kernel.

    Attributes:
        name: of the op in models, such as "HybridMoE".
        family: name of the folder of ops that it belongs to, such as "experts".
        folder: its own folder in the family's, such as "hybrid_moe".
        function: its definition, an ONNX function.
        ports: its inputs, outputs and attributes.
    """

    name: str
    family: str
    folder: str
    function: OnnxFunction
    ports: Ports


@cache
def ops() -> tuple[Op, ...]:
    """List the ops, those that others call first."""
    lines = resources.files(__package__).joinpath("ops.txt").read_text(encoding="utf-8").splitlines()
    return tuple(_op(*line.split("/")) for line in lines if line and not line.startswith("#"))


@cache
def functions() -> tuple[OnnxFunction, ...]:
    """List the ops' definitions and the functions that they are put together from, which have no kernels.

    Callees come before callers; otherwise the order is that of `ops`.
    """
    found: dict[str, OnnxFunction] = {}
    for op in ops():
        _add_with_callees(op.function, found)
    return tuple(found.values())


def called_functions(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """Name the domain's functions that nodes call, those in the nodes' own graphs (If, Loop, Scan) included."""
    for node in nodes:
        if node.domain == DOMAIN:
            yield node.op_type
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from called_functions(graph.node)


def _op(family: str, folder: str) -> Op:
    module = import_module(f".{family}.{folder}.definition", __package__)
    own = [
        value
        for name, value in vars(module).items()
        if isinstance(value, OnnxFunction) and name.lower() == folder.replace("_", "")
    ]
    if len(own) != 1:
        raise TypeError(f"{module.__name__}: expected one ONNX function of its folder's name, found {len(own)}")
    ports = resources.files(__package__).joinpath(family, folder, "ports.def").read_text(encoding="utf-8")
    return Op(own[0].name, family, folder, own[0], parse_ports(ports))


def _add_with_callees(function: OnnxFunction, found: dict[str, OnnxFunction]) -> None:
    if function.name in found:
        return
    for name in called_functions(function.to_function_proto().node):
        _add_with_callees(function.function.__globals__[name], found)
    found[function.name] = function
