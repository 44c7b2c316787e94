"""One traced module to one ONNX model: torch's exporter, then the shapes, functions and versions of a bundle."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from ..custom_ops.definitions import add_functions
from ..models.custom_op import flatten
from .graphs import GraphSpec

OPSET = 18
IR_VERSION = 9  # with opset 18 this runs on onnxruntime 1.17 and newer

_ONNX_TYPES = {
    torch.uint8: onnx.TensorProto.UINT8,
    torch.int64: onnx.TensorProto.INT64,
    torch.float32: onnx.TensorProto.FLOAT,
}
OUTPUT_TYPES = {"box": onnx.TensorProto.INT64}  # every other output is float32
_WEIGHT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8)
DEFAULTED_INPUTS = ("threshold",)


def trace(spec: GraphSpec) -> onnx.ModelProto:
    """Export one graph.

    Args:
        spec: what to trace and how its tensors are called.

    Returns:
        A model with inlined weights, the definitions of the custom ops it uses, and the inputs and outputs of `spec`.
    """
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            spec.module.eval(),
            spec.arguments,
            dynamo=True,
            dynamic_shapes=spec.dynamic,
            opset_version=OPSET,
            input_names=list(spec.inputs),
            output_names=list(spec.outputs),
            external_data=False,
            verbose=False,
        )
    assert program is not None  # dynamo=True always gives one
    model: onnx.ModelProto = program.model_proto
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "inter2former-onnx", "", ""
    del model.metadata_props[:], model.graph.metadata_props[:]
    # The traced shapes of what depends on the box are placeholders (see DecoderGraph); onnxruntime infers its own.
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.input[:], model.graph.output[:]
    for (name, shape), tensor in zip(spec.inputs.items(), flatten(spec.arguments), strict=True):
        model.graph.input.append(helper.make_tensor_value_info(name, _ONNX_TYPES[tensor.dtype], shape))
        if name in DEFAULTED_INPUTS:
            model.graph.initializer.append(numpy_helper.from_array(tensor.numpy(), name))
    for name, shape in spec.outputs.items():
        kind = OUTPUT_TYPES.get(name, onnx.TensorProto.FLOAT)
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    add_functions(model)
    _give_names(model)
    return model


def parameter_count(model: onnx.ModelProto) -> int:
    """Count the values in the model's weights: its initialisers of floating-point numbers and of bytes."""
    return sum(int(np.prod(t.dims)) for t in model.graph.initializer if t.data_type in _WEIGHT_TYPES)


def op_counts(model: onnx.ModelProto) -> dict[str, dict[str, int]]:
    """Count how often each op occurs in the graph.

    Returns:
        {domain: {op: count}}, both sorted; the standard domain is called ai.onnx.
    """
    counts: dict[str, dict[str, int]] = {}
    for node in model.graph.node:
        ops = counts.setdefault(node.domain or "ai.onnx", {})
        ops[node.op_type] = ops.get(node.op_type, 0) + 1
    return {domain: dict(sorted(ops.items())) for domain, ops in sorted(counts.items())}


def _give_names(model: onnx.ModelProto) -> None:
    """Name every node after its op, so that profiles and error messages can be read."""
    seen: dict[str, int] = {}
    for node in model.graph.node:
        index = seen.get(node.op_type, 0)
        seen[node.op_type] = index + 1
        node.name = f"{node.op_type}_{index}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter while it runs.

    It talks about itself (torchvision, its own deprecations): not the user's business.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
