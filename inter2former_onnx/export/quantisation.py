"""The encoder's graph in 8-bit integers: its linear layers' nodes become those of the Quant ops.

Weights are rounded here, to 127 steps to either side of zero for each output channel; tokens are rounded when the graph
runs, each to 256 steps over its own range, so a graph needs no calibration. The edge detector stays in float32: its
convolutions need fewer multiplications in float32 (Winograd's) than they would in integers.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from ..custom_ops import DOMAIN
from ..custom_ops.definitions import add_functions
from .quantised_layers import quantise_weight

EMBEDDING = "embed"  # the output that the ViT computes
# For each op with linear layers: positions of their weights among its inputs.
LINEAR_WEIGHTS = {"NormProjection": (3,), "ResidualProjection": (2,), "NormMlp": (3, 5)}


def linear_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Find the nodes that can become 8-bit: those of the ViT, on the way to the embedding.

    What the graph computes of the embedding belongs to the decoder, which stays in float32.

    Args:
        model: the encoder.

    Returns:
        The nodes in the graph's order.
    """
    wanted = {EMBEDDING}
    found: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if wanted.isdisjoint(node.output):
            continue
        wanted.update(node.input)
        if node.domain == DOMAIN and node.op_type in LINEAR_WEIGHTS:
            found.append(node)
    return found[::-1]


def quantise(model: onnx.ModelProto, keep: Collection[str] = ()) -> int:
    """Replace the linear layers of `model` by 8-bit ones, in place.

    Args:
        model: the encoder as it was traced, weights inlined.
        keep: names of nodes that stay in float32.

    Returns:
        How many nodes were replaced.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    replaced = 0
    for node in linear_nodes(model):
        if node.name in keep:
            continue
        inputs: list[str] = []
        for position, name in enumerate(node.input):
            inputs.append(name)
            if position in LINEAR_WEIGHTS[node.op_type]:
                inputs[-1:] = _add_int8(model, weights, name)
        del node.input[:]
        node.input.extend(inputs)
        node.op_type = f"Quant{node.op_type}"
        node.name = f"Quant{node.name}"
        replaced += 1
    _drop_unused_weights(model)
    add_functions(model)
    return replaced


def _add_int8(model: onnx.ModelProto, weights: dict[str, onnx.TensorProto], name: str) -> list[str]:
    """Make the int8 form of a weight and its scale, if they are not there yet; returns their names."""
    names = [f"{name}.int8", f"{name}.scale"]
    if names[0] not in weights:
        whole, scale = quantise_weight(torch.from_numpy(numpy_helper.to_array(weights[name]).copy()))
        for key, array in zip(names, (whole.numpy(), scale.numpy()), strict=True):
            weights[key] = numpy_helper.from_array(np.ascontiguousarray(array), key)
            model.graph.initializer.append(weights[key])
    return names


def _drop_unused_weights(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
