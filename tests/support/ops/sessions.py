"""Running one op on its own in onnxruntime: its function body (portable) or its kernel in the native library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from inter2former_onnx.custom_ops import DOMAIN, VERSION, library
from inter2former_onnx.custom_ops.definitions import add_functions, function_protos

OPSET = 18
IR_VERSION = 9


@cache
def _definition(name: str) -> onnx.FunctionProto:
    return next(proto for proto in function_protos() if proto.name == name)


@cache
def _with_functions(name: str) -> onnx.ModelProto:
    """Return a model whose node calls an op, with the functions and imports that it needs and nothing else."""
    definition = _definition(name)
    node = onnx.helper.make_node(name, list(definition.input), list(definition.output), domain=DOMAIN)
    imports = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, VERSION)]
    graph = onnx.helper.make_graph([node], name, [], [])
    model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    add_functions(model)
    return model


def op_model(
    name: str, inputs: Sequence[np.ndarray], attributes: Mapping[str, Any], constants: Sequence[int] = ()
) -> onnx.ModelProto:
    """Make a model of one node, with the functions it needs.

    Args:
        name: the op's name in the domain.
        inputs: examples of its inputs, in order: only their types and ranks count, every dimension is dynamic.
        attributes: its attributes.
        constants: positions of the inputs that are weights of the model, whose values count.
    """
    definition = _definition(name)
    names, outputs = list(definition.input), list(definition.output)
    if len(inputs) != len(names):
        raise ValueError(f"{name}: {len(inputs)} inputs given, expected {len(names)}: {', '.join(names)}")
    values = [
        onnx.helper.make_tensor_value_info(
            label, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), [f"{label}_{axis}" for axis in range(array.ndim)]
        )
        for position, (label, array) in enumerate(zip(names, inputs, strict=True))
        if position not in constants
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(name, names, outputs, domain=DOMAIN, **attributes)],
        name,
        values,
        [onnx.helper.make_empty_tensor_value_info(label) for label in outputs],
        [onnx.numpy_helper.from_array(inputs[position], names[position]) for position in constants],
    )
    model = onnx.ModelProto()
    model.CopyFrom(_with_functions(name))
    model.graph.CopyFrom(graph)
    return model


def session(
    model: onnx.ModelProto, ops: str = "portable", optimised: bool = True, threads: int = 2
) -> ort.InferenceSession:
    """Open a session of `model`.

    Args:
        model: as `op_model` makes it.
        ops: "portable" runs the functions in the model, "native" registers the native library.
        optimised: with all of onnxruntime's graph optimisations, or with none.
        threads: of the session.

    Raises:
        LookupError: "native" and there is no native library.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Warnings about unused weights and the like say nothing here.
    options.log_severity_level = 3
    # Many sessions live at once; their threads would take turns in waiting busily for work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    if ops == "native":
        path = library.find()
        if path is None:
            raise LookupError("this installation has no native custom-op library")
        options.register_custom_ops_library(str(path))
    elif ops != "portable":
        raise ValueError(f"ops={ops!r}, expected 'portable' or 'native'")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@cache
def _cached_session(
    name: str,
    inputs: tuple[tuple[str, int], ...],
    attributes: tuple[tuple[str, int | float], ...],
    ops: str,
    optimised: bool,
) -> ort.InferenceSession:
    examples = [np.zeros((1,) * rank, dtype) for dtype, rank in inputs]
    return session(op_model(name, examples, dict(attributes)), ops, optimised)


def run_op(
    name: str,
    inputs: Sequence[np.ndarray],
    attributes: Mapping[str, int | float],
    ops: str = "portable",
    optimised: bool = True,
) -> list[np.ndarray]:
    """Run one op; sessions are kept for the next call with the same types, ranks and attributes.

    Args:
        name: the op's name in the domain.
        inputs: its inputs, in order.
        attributes: its attributes.
        ops: "portable" or "native".
        optimised: with all of onnxruntime's graph optimisations, or with none.

    Returns:
        Its outputs, in order.
    """
    signature = tuple((array.dtype.str, array.ndim) for array in inputs)
    runner = _cached_session(name, signature, tuple(sorted(attributes.items())), ops, optimised)
    names = [value.name for value in runner.get_inputs()]
    return list(runner.run(None, dict(zip(names, inputs, strict=True))))
