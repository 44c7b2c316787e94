"""Graphs of the encoder that the engine does not use: its parts one by one, and the naive export as a yardstick."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import onnx
import torch
from torch import Tensor, nn

from inter2former_onnx.export.graphs import EDGE_NAMES, EncoderGraph, GraphSpec, encoder_spec
from inter2former_onnx.export.onnx_graph import trace
from inter2former_onnx.export.quantisation import quantise
from inter2former_onnx.models import Inter2Former
from inter2former_onnx.models.dynamic_local_upsampling import edge_terms
from inter2former_onnx.models.weights import LinearWeights

PARTS = ("preprocessing", "ViT", "edge detector and terms")


class Preprocessing(nn.Module):
    """Turns a photograph, uint8 [H, W, 3], into the model's input."""

    def __init__(self, model: Inter2Former) -> None:
        super().__init__()
        self.preprocess = model.preprocess

    def forward(self, image: Tensor) -> Tensor:
        return self.preprocess(image)


class Vit(nn.Module):
    """Turns the model's input into the embedding."""

    def __init__(self, model: Inter2Former) -> None:
        super().__init__()
        self.backbone = model.backbone
        size = model.config.geometry.size
        model.backbone.fold_constants()
        with torch.no_grad():
            self.plans = model.backbone.plans(size, size)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.backbone(inputs, self.plans)[0].permute(1, 2, 0)


class Edges(nn.Module):
    """Turns the model's input into the edge terms of every level."""

    def __init__(self, model: Inter2Former) -> None:
        super().__init__()
        self.encoder = EncoderGraph(model)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return self.encoder.edge_outputs(inputs)


class Naive(nn.Module):
    """Turns the image into the embedding and the edge terms.

    What the first block makes of them, a yardstick may leave out.
    """

    def __init__(self, model: Inter2Former) -> None:
        super().__init__()
        self.model = model
        size = model.config.geometry.size
        with torch.no_grad():
            self.plans = model.backbone.plans(size, size)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.model.encode(self.model.preprocess(image), self.plans)
        outputs = [features.embed.permute(1, 2, 0)]
        for index, (level, edge) in enumerate(zip(self.model.decode_head.levels, features.edges, strict=True)):
            outputs += edge_terms(edge, LinearWeights.of(level.conv), 2 ** (index + 1))
        return tuple(outputs)


def part_spec(model: Inter2Former, part: str) -> GraphSpec:
    """Say how a part is traced.

    Args:
        model: whose part it is.
        part: one of PARTS.
    """
    whole = encoder_spec(model)
    size = model.config.geometry.size
    inputs = torch.zeros(1, 3, size, size)
    shape: dict[str, tuple[str | int, ...]] = {"inputs": (1, 3, size, size)}
    if part == "preprocessing":
        return GraphSpec(Preprocessing(model), whole.arguments, whole.dynamic, whole.inputs, shape)
    if part == "ViT":
        return GraphSpec(Vit(model), (inputs,), ({},), shape, {"embed": whole.outputs["embed"]})
    edges = {name: whole.outputs[name] for name in EDGE_NAMES}
    return GraphSpec(Edges(model), (inputs,), ({},), shape, edges)


@contextlib.contextmanager
def without_ops() -> Iterator[None]:
    """Trace modules without ops of ours: inside, they are exported as they compute in PyTorch."""
    packages = ("inter2former_onnx.models.", "inter2former_onnx.export.")
    with contextlib.ExitStack() as stack:
        for name in [name for name in sys.modules if name.startswith(packages)]:
            if hasattr(sys.modules[name], "exporting"):
                stack.enter_context(patch.object(sys.modules[name], "exporting", lambda: False))
        yield


def graph_file(path: Path, make: Callable[[], onnx.ModelProto]) -> Path:
    """Write a graph, unless its file is there.

    Args:
        path: of the file.
        make: makes the graph.

    Returns:
        `path`.
    """
    if not path.is_file():
        print(f"exporting {path} ...", file=sys.stderr)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save_model(make(), path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)
    return path


def naive_encoder(model: Inter2Former) -> onnx.ModelProto:
    """Export the encoder without ops of ours."""
    whole = encoder_spec(model)
    outputs = {name: whole.outputs[name] for name in ("embed", *EDGE_NAMES)}
    with without_ops():
        return trace(GraphSpec(Naive(model), whole.arguments, whole.dynamic, whole.inputs, outputs))


def part_graph(model: Inter2Former, part: str, precision: str) -> onnx.ModelProto:
    """Export one of PARTS as it is in the encoder of a precision.

    Args:
        model: whose part it is.
        part: one of PARTS.
        precision: "float32" or "int8".
    """
    graph = trace(part_spec(model, part))
    if precision == "int8":
        quantise(graph)
    return graph
