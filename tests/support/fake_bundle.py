"""A bundle of three tiny graphs with the real ones' inputs and outputs, for tests of the runtime around them.

The "model": the logit of a token is its mean label - 1.9 + (mean brightness of the image) / 1000; the box is the region
of interest, or everything with threshold -inf. Being simple, it can be computed in numpy too: see `expected_logits`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

SIZE = 96
GRID = SIZE // 16
DIVISOR = 32
ZERO = -1.9


def write_fake_bundle(folder: Path, size: int = SIZE, routing: str = "boundary", mode: str = "square") -> Path:
    """Write the bundle; `size` is T, `mode` the geometry's."""
    folder.mkdir(parents=True)
    graphs = {"encoder": _encoder(size, mode), "prompt": _prompt(), "decoder": _decoder()}
    for name, graph in graphs.items():
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"{name}.onnx")
    files = {
        f"{name}.onnx": {
            "sha256": hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest(),
            "bytes": (folder / f"{name}.onnx").stat().st_size,
        }
        for name in graphs
    }
    manifest = {
        "format": "inter2former-bundle",
        "format_version": 1,
        "id": bundle_id(files),
        "model": {},
        "geometry": {"mode": mode, "size": size, "size_divisor": DIVISOR, "patch_size": 16},
        "routing": routing,
        "uncertainty_kernel_size": 7,
        "click_radius": 5,
        "outside_logit": -100.0,
        "precision": "float32",
        "opset": 18,
        "ir_version": 9,
        "custom_ops": {"domain": "inter2former", "version": 1},
        "graphs": {
            name: {
                "file": f"{name}.onnx",
                "inputs": [_describe(value) for value in graph.input],
                "outputs": [_describe(value) for value in graph.output],
                "ops": {"ai.onnx": {"Add": 1}},
                "parameters": 0,
            }
            for name, graph in graphs.items()
        },
        "files": files,
        "source": {"random_weights": 0},
        "producer": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def bundle_id(files: dict[str, dict[str, Any]]) -> str:
    lines = "".join(f"{name} {files[name]['sha256']}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def edit_manifest(folder: Path, **changes: Any) -> None:
    """Replace top-level fields of the manifest."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def expected_logits(brightness: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float32 [height, width] of the "model" for uint8 labels of that size; brightness [h, w] of the tokens."""
    height, width = labels.shape
    mean = labels.reshape(height // 16, 16, width // 16, 16).astype(np.float32).mean(axis=(1, 3))
    return np.kron(mean + np.float32(ZERO) + brightness / 1000, np.ones((16, 16), np.float32)).astype(np.float32)


def _describe(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return {"name": value.name, "dtype": dtype, "shape": [d.dim_param or d.dim_value for d in tensor.shape.dim]}


def _constants(**values: Any) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]


def _encoder(size: int, mode: str) -> onnx.GraphProto:
    node = helper.make_node
    grid: list[Any] = [size // 16, size // 16]
    sizes = [node("Concat", ["front", "square"], ["sizes"], axis=0)]
    if mode == "fit":
        grid = ["rows", "columns"]
        # ceil(side * T / (16 S)), S being the longer side rounded up to a multiple of the divisor
        sizes = [
            node("Shape", ["image"], ["sides"], end=2),
            node("ReduceMax", ["sides"], ["longest"], keepdims=1),
            *_rounded_up("longest", "divisor", "steps"),
            node("Mul", ["steps", "steps_of"], ["scaled"]),
            node("Mul", ["sides", "size"], ["numerator"]),
            *_rounded_up("numerator", "scaled", "grid"),
            node("Concat", ["front", "grid"], ["sizes"], axis=0),
        ]
    nodes = [
        *sizes,
        node("Cast", ["image"], ["pixels"], to=T.FLOAT),
        node("ReduceMean", ["pixels", "last"], ["grey"], keepdims=0),
        node("Unsqueeze", ["grey", "two"], ["grey4"]),
        node("Resize", ["grey4", "", "", "sizes"], ["small"], mode="nearest"),
        node("Squeeze", ["small", "two"], ["flat"]),
        node("Unsqueeze", ["flat", "last"], ["embed"]),
        node("Concat", ["embed", "embed"], ["edge0"], axis=0),
    ]
    constants = _constants(
        last=np.array([2]),
        two=np.array([0, 1]),
        front=np.array([1, 1]),
        square=np.array([size // 16, size // 16]),
        one=np.array([1]),
        divisor=np.array([DIVISOR]),
        steps_of=np.array([16 * DIVISOR]),
        size=np.array([size]),
    )
    edge_rows = 2 * grid[0] if mode == "square" else "2*rows"
    return helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("image", T.UINT8, ["height", "width", 3])],
        [
            helper.make_tensor_value_info("embed", T.FLOAT, [*grid, 1]),
            helper.make_tensor_value_info("edge0", T.FLOAT, [edge_rows, grid[1], 1]),
        ],
        constants,
    )


def _rounded_up(value: str, unit: str, result: str) -> list[onnx.NodeProto]:
    """result = ceil(value / unit) in whole numbers."""
    node = helper.make_node
    return [
        node("Add", [value, unit], [f"{result}_sum"]),
        node("Sub", [f"{result}_sum", "one"], [f"{result}_less"]),
        node("Div", [f"{result}_less", unit], [result]),
    ]


def _prompt() -> onnx.GraphProto:
    node = helper.make_node
    nodes = [
        node("Cast", ["labels"], ["values"], to=T.FLOAT),
        node("Unsqueeze", ["values", "first"], ["values4"]),
        node("AveragePool", ["values4"], ["means"], kernel_shape=[16, 16], strides=[16, 16]),
        node("Squeeze", ["means", "first"], ["flat"]),
        node("Unsqueeze", ["flat", "last"], ["prompt"]),
    ]
    return helper.make_graph(
        nodes,
        "prompt",
        [helper.make_tensor_value_info("labels", T.UINT8, ["region_height", "region_width"])],
        [helper.make_tensor_value_info("prompt", T.FLOAT, ["region_rows", "region_columns", 1])],
        _constants(first=np.array([0, 1]), last=np.array([2])),
    )


def _decoder() -> onnx.GraphProto:
    node = helper.make_node
    nodes = [
        node("Shape", ["embed"], ["grid"], end=2),
        node("ReduceProd", ["grid"], ["tokens"], keepdims=1),
        # Every input takes part, so that none can go missing unnoticed; what routes and edges add is nothing.
        node("ReduceSum", ["edge0"], ["edges"], keepdims=0),
        node("Mul", ["edges", "nothing"], ["no_edges"]),
        node("Shape", ["boundary"], ["boundary_count"]),
        node("Shape", ["other"], ["other_count"]),
        node("Add", ["boundary_count", "other_count"], ["token_count"]),
        node("Sub", ["token_count", "tokens"], ["no_tokens"]),  # 0 when the routes share out all tokens
        node("Cast", ["no_tokens"], ["no_tokens_f"], to=T.FLOAT),
        # The map of token logits: prompt inside the region, label 1 around it.
        node("Shape", ["prompt"], ["prompt_shape"]),
        node("Slice", ["prompt_shape", "zero", "two"], ["region_shape"]),
        node("Add", ["offset", "region_shape"], ["region_end"]),
        node("Sub", ["grid", "region_end"], ["rest"]),
        node("Concat", ["offset", "zero", "rest", "zero"], ["pads"], axis=0),
        node("Pad", ["prompt", "pads", "one"], ["prompts"]),
        node("Div", ["embed", "thousand"], ["bright"]),
        node("Add", ["prompts", "bright"], ["sum"]),
        node("Add", ["sum", "level"], ["tokens_out"]),
        node("Squeeze", ["tokens_out", "two"], ["localisation"]),
        # The box in tokens: the region, or all of it when the threshold is -inf.
        node("IsInf", ["threshold"], ["everywhere"]),
        node("Where", ["everywhere", "origin", "offset"], ["top_left"]),
        node("Where", ["everywhere", "grid", "region_end"], ["bottom_right"]),
        node("Gather", ["top_left", "swap"], ["left_top"]),
        node("Gather", ["bottom_right", "swap"], ["right_bottom"]),
        node("Concat", ["left_top", "right_bottom"], ["box"], axis=0),
        node("Slice", ["localisation", "top_left", "bottom_right"], ["crop"]),
        node("Unsqueeze", ["crop", "swap"], ["crop4"]),
        node("Resize", ["crop4", "", "scales"], ["large4"], mode="nearest"),
        node("Squeeze", ["large4", "front"], ["large"]),
        node("Add", ["large", "no_edges"], ["large_edges"]),
        node("Add", ["large_edges", "no_tokens_f"], ["map"]),
        node("Unsqueeze", ["map", "last"], ["logits"]),
    ]
    constants = _constants(
        nothing=np.float32(0),
        last=np.array([2]),
        zero=np.array([0]),
        two=np.array([2]),
        one=np.float32(1),
        origin=np.array([0, 0]),
        swap=np.array([1, 0]),
        front=np.array([0, 1]),
        thousand=np.float32(1000),
        level=np.float32(ZERO),
        scales=np.array([1, 1, 16, 16], dtype=np.float32),
        threshold=np.float32(-2),
    )
    value = helper.make_tensor_value_info
    return helper.make_graph(
        nodes,
        "decoder",
        [
            value("embed", T.FLOAT, ["rows", "columns", 1]),
            value("prompt", T.FLOAT, ["region_rows", "region_columns", 1]),
            value("offset", T.INT64, [2]),
            value("boundary", T.INT64, ["boundary_tokens"]),
            value("other", T.INT64, ["other_tokens"]),
            value("edge0", T.FLOAT, ["edge_rows", "columns", 1]),
            value("threshold", T.FLOAT, []),
        ],
        [
            value("logits", T.FLOAT, ["box_height", "box_width", 1]),
            value("box", T.INT64, [4]),
            value("localisation", T.FLOAT, ["rows", "columns"]),
        ],
        constants,
    )
