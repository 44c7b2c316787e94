"""All ops of the domain as ONNX functions, and putting them into a model.

A model that carries them runs in stock onnxruntime; with the native library registered, onnxruntime takes the kernels
of the same names instead.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence

import onnx

from . import DOMAIN, VERSION
from .registry import called_functions, functions


def _name_branches(nodes: Iterable[onnx.NodeProto]) -> None:
    """Name the branches of every If after their node, in place.

    onnxscript names them after the line of the source that the `if` stands on, and a bundle shall not change when a
    comment does.
    """
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                if node.op_type == "If":
                    attribute.g.name = f"{node.name}_{attribute.name}"
                _name_branches(attribute.g.node)


def _drop_casts_of_literals(function: onnx.FunctionProto) -> None:
    """Take the casts out that onnxscript puts behind numbers in expressions, in place.

    They are for definitions of several types. Ours write a number in the type of what it meets, and every cast takes
    onnxruntime time when it loads a model.
    """
    literals: set[str] = set()
    names: dict[str, str] = {}  # of what a cast gives: that of the number

    def drop(nodes: MutableSequence[onnx.NodeProto]) -> None:
        casts = []
        for position, node in enumerate(nodes):
            if node.op_type == "Constant":
                literals.add(node.output[0])
            elif node.op_type == "CastLike" and node.input[0] in literals:
                names[node.output[0]] = node.input[0]
                casts.append(position)
            for index, name in enumerate(node.input):
                node.input[index] = names.get(name, name)
            for attribute in node.attribute:
                drop(attribute.g.node)
        for position in reversed(casts):
            del nodes[position]

    drop(function.node)


def function_protos() -> list[onnx.FunctionProto]:
    """Write the definition of every function.

    Returns:
        One for each of `registry.functions`, in their order; the same wherever in its file a definition stands.
    """
    protos = []
    for function in functions():
        proto = function.to_function_proto()
        _drop_casts_of_literals(proto)
        _name_branches(proto.node)
        # onnxscript overlooks calls inside the branches of an If when it writes the imports.
        if any(called_functions(proto.node)) and all(entry.domain != DOMAIN for entry in proto.opset_import):
            proto.opset_import.append(onnx.helper.make_opsetid(DOMAIN, VERSION))
        protos.append(proto)
    return protos


def add_functions(model: onnx.ModelProto) -> None:
    """Put the definitions of the ops that `model` uses, and of what these use, into the model.

    Definitions of the domain that the model already holds are replaced; functions of other domains stay, first. Ours
    follow in the order of `registry.functions`, and the opset imports, the domain's among them, are sorted by domain.
    A model that uses none of the ops stays as it is.

    Args:
        model: changed in place.

    Raises:
        ValueError: the model uses an op of the domain that is not defined here; the message names it.
    """
    definitions = {proto.name: proto for proto in function_protos()}
    others = [function for function in model.functions if function.domain != DOMAIN]
    waiting = list(called_functions(model.graph.node))
    for function in others:
        waiting.extend(called_functions(function.node))
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in used:
            continue
        if name not in definitions:
            raise ValueError(f"the model uses {DOMAIN}::{name}, expected one of {', '.join(sorted(definitions))}")
        used.add(name)
        waiting.extend(called_functions(definitions[name].node))
    if not used:
        return

    del model.functions[:]
    model.functions.extend(others)
    model.functions.extend(proto for name, proto in definitions.items() if name in used)
    imports = {entry.domain: entry.version for entry in model.opset_import}
    imports[DOMAIN] = VERSION
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, imports[domain]) for domain in sorted(imports))
