"""Weights at half their size: stored as float16, computed with as float32."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SMALLEST = 1024  # numbers; smaller tensors (norms, biases, codes) weigh little and decide much
_LARGEST = 65504.0  # of float16
_SUFFIX = "_float16"


def store_as_float16(model: onnx.ModelProto) -> None:
    """Replace the graph's large float32 initialisers by float16 ones and casts, where that loses nothing.

    The weights of a model that went through `round_weights` lose nothing; what the export computed from several of them
    may, and stays as it is. onnxruntime carries the casts out once, when it opens the graph: running it takes the same
    time and memory as before.

    Args:
        model: changed in place, weights inlined.
    """
    inputs = {value.name for value in model.graph.input}
    casts: list[onnx.NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or tensor.name in inputs or np.prod(tensor.dims) < SMALLEST:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + _SUFFIX))
        casts.append(helper.make_node("Cast", [name + _SUFFIX], [name], f"Weight_{len(casts)}", to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])


def round_weights(model: nn.Module) -> None:
    """Round a model's large weights to float16.

    Args:
        model: changed in place. A tensor with a value beyond 65504 stays as it is.
    """
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.dtype == torch.float32 and tensor.numel() >= SMALLEST and tensor.abs().max() <= _LARGEST:
                tensor.copy_(tensor.half().float())
