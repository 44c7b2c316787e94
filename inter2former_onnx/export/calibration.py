"""Fitting the 8-bit encoder to photographs: what is lost is measured on them, and made less.

* Smoothing: channels that are large in the tokens and small in the weights cost tokens their precision. Between a
  LayerNorm and the linear layer behind it, a factor for each channel can move from one to the other without changing
  the result; how much of it moves is tried for each layer on tokens that it really meets.
* Sensitive layers: while the embedding is further from the float32 one than `LEAST_COSINE`, the layers with the largest
  measured error go back to float32.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from ..custom_ops import library
from ..images import read_image
from ..progress import progress
from ..runtime.graph import session_options
from ..runtime.processors import usable_processors
from .quantisation import EMBEDDING, linear_nodes, quantise
from .quantised_layers import STEPS, quantise_rows, quantise_weight

LEAST_COSINE = 0.999  # of the embedding with the float32 one, the mean over the photographs
TOKENS_PER_IMAGE = 128  # looked at for each layer
EXPONENTS = (0.0, 0.25, 0.5, 0.75)  # how much of the tokens' unevenness the weights take over
_SMOOTHED = {"NormProjection": 3, "NormMlp": 3}  # position of the weight behind the norm


@dataclass
class Calibration:
    """What was found on the photographs.

    Attributes:
        images: how many were looked at.
        cosine: of the embeddings with the float32 ones, the mean.
        float32_layers: names of the nodes that were left in float32.
        smoothed_layers: how many were smoothed.
    """

    images: int
    cosine: float
    float32_layers: list[str]
    smoothed_layers: int

    def to_dict(self) -> dict[str, Any]:
        """Write it as the manifest has it."""
        return {
            "calibration_images": self.images,
            "embedding_cosine": round(self.cosine, 6),
            "float32_layers": self.float32_layers,
            "smoothed_layers": self.smoothed_layers,
        }


def quantise_calibrated(model: onnx.ModelProto, images: Sequence[Path]) -> Calibration:
    """Make the encoder 8-bit, in place, as photographs ask for.

    Args:
        model: the encoder as it was traced, weights inlined.
        images: see `calibration_images.py`.

    Returns:
        What was found and done.
    """
    embeddings, tokens = _observe(model, images)
    smoothed = 0
    errors: dict[str, float] = {}
    for node in progress(linear_nodes(model), "calibrate: layers"):
        weights = {name: _array(model, name) for name in node.input if _is_weight(model, name)}
        smoothed += _smooth(model, node, weights, tokens[node.name])
        errors[node.name] = _layer_error(node, weights, tokens[node.name])
    by_error = sorted(errors, key=lambda name: errors[name], reverse=True)
    kept = 0
    while True:
        candidate = copy.deepcopy(model)
        quantise(candidate, keep=by_error[:kept])
        cosine = _mean_cosine(candidate, images, embeddings)
        # More than half in float32 would be no 8-bit model any more.
        if cosine >= LEAST_COSINE or 2 * kept >= len(by_error):
            break
        kept = max(1, 2 * kept)
    model.CopyFrom(candidate)
    return Calibration(len(images), cosine, sorted(by_error[:kept]), smoothed)


def _observe(model: onnx.ModelProto, images: Sequence[Path]) -> tuple[list[NDArray[np.float32]], dict[str, Tensor]]:
    """Run the float32 encoder on every image.

    Returns:
        Every image's embedding, and for every linear layer by its node's name a sample of the tokens that it meets.
    """
    nodes = linear_nodes(model)
    watched = copy.deepcopy(model)
    known = {value.name for value in watched.graph.output}
    inputs = sorted({node.input[0] for node in nodes} - known)
    watched.graph.output.extend(helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in inputs)
    rng = np.random.default_rng(0)
    embeddings: list[NDArray[np.float32]] = []
    samples: dict[str, list[NDArray[np.float32]]] = {name: [] for name in inputs}
    with _Session(watched) as session:
        for path in progress(images, "calibrate: float32", total=len(images)):
            embed, *layers = session.run([EMBEDDING, *inputs], {"image": read_image(path)})
            embeddings.append(embed)
            for name, rows in zip(inputs, layers, strict=True):
                chosen = rng.choice(len(rows), min(TOKENS_PER_IMAGE, len(rows)), replace=False)
                samples[name].append(rows[chosen])
    joined = {name: torch.from_numpy(np.concatenate(parts)) for name, parts in samples.items()}
    return embeddings, {node.name: joined[node.input[0]] for node in nodes}


def _smooth(model: onnx.ModelProto, node: onnx.NodeProto, weights: dict[str, Tensor], tokens: Tensor) -> bool:
    """Move factors from a node's norm into its first weight if that lessens its error; updates `weights` too."""
    position = _SMOOTHED.get(node.op_type)
    if position is None:
        return False
    norm_weight, norm_bias, weight = (node.input[index] for index in (1, 2, position))
    original = [weights[name] for name in (norm_weight, norm_bias, weight)]
    normal = F.layer_norm(tokens, tokens.shape[-1:], original[0], original[1], _epsilon(node))
    in_tokens, in_weights = normal.abs().amax(0).clamp(min=1e-5), original[2].abs().amax(0).clamp(min=1e-5)
    best_error, best = float("inf"), original
    for exponent in EXPONENTS:
        factors = in_tokens**exponent / in_weights ** (1 - exponent) if exponent else torch.ones_like(in_tokens)
        factors = factors / factors.log().mean().exp()
        tried = [original[0] / factors, original[1] / factors, original[2] * factors]
        error = _linear_error(normal / factors, tried[2], weights[node.input[position + 1]])
        if error < best_error:
            best_error, best = error, tried
    if best[0].equal(original[0]):
        return False
    # Other nodes may share the norm, as the scales of an output do: names of its own, and `quantise` drops the rest.
    for index, array in zip((1, 2, position), best, strict=True):
        name = f"{node.input[index]}.{node.name}"
        model.graph.initializer.append(numpy_helper.from_array(array.numpy(), name))
        weights[name] = array
        node.input[index] = name
    return True


def _layer_error(node: onnx.NodeProto, weights: dict[str, Tensor], tokens: Tensor) -> float:
    """Compute the relative error that rounding brings into what a node computes of its tokens."""
    if node.op_type == "ResidualProjection":
        return _linear_error(tokens, weights[node.input[2]], weights[node.input[3]])
    normal = F.layer_norm(tokens, tokens.shape[-1:], weights[node.input[1]], weights[node.input[2]], _epsilon(node))
    first = (weights[node.input[3]], weights[node.input[4]])
    if node.op_type == "NormProjection":
        return _linear_error(normal, *first)
    second = (weights[node.input[5]], weights[node.input[6]])
    exact = F.linear(F.gelu(F.linear(normal, *first)), *second)
    return _relative(_rounded_linear(F.gelu(_rounded_linear(normal, *first)), *second), exact)


def _linear_error(x: Tensor, weight: Tensor, bias: Tensor) -> float:
    return _relative(_rounded_linear(x, weight, bias), F.linear(x, weight, bias))


def _rounded_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Run `quant_linear` in floating point, fast on many tokens."""
    q, scale, zero = quantise_rows(x)
    whole, weight_scale = quantise_weight(weight)
    assert int(q.max()) <= STEPS
    return F.linear((q.float() - zero) * scale, whole.float() * weight_scale[:, None], bias)


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp(min=1e-30))


def _mean_cosine(model: onnx.ModelProto, images: Sequence[Path], expected: Sequence[NDArray[np.float32]]) -> float:
    cosines: list[float] = []
    with _Session(model) as session:
        for path, embed in progress(list(zip(images, expected, strict=True)), "calibrate: int8", total=len(images)):
            (found,) = session.run([EMBEDDING], {"image": read_image(path)})
            cosines.append(cosine(found, embed))
    return float(np.mean(cosines))


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Compute the cosine of two embeddings [h, w, C], the mean over their tokens."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return float(np.mean((a * b).sum(-1) / np.maximum(lengths, 1e-30)))


class _Session:
    """A session of a model that lies in memory, its weights in a temporary folder meanwhile."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="inter2former-")
        path = Path(self._folder.name) / "encoder.onnx"
        onnx.save_model(
            copy.deepcopy(model), path, save_as_external_data=True, location="encoder.data", size_threshold=1024
        )
        options = session_options(usable_processors())
        library.register(options)
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __enter__(self) -> ort.InferenceSession:
        return self._session

    def __exit__(self, *_: object) -> None:
        del self._session
        self._folder.cleanup()


def _is_weight(model: onnx.ModelProto, name: str) -> bool:
    return any(tensor.name == name for tensor in model.graph.initializer)


def _array(model: onnx.ModelProto, name: str) -> Tensor:
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    return torch.from_numpy(numpy_helper.to_array(tensor).copy())


def _epsilon(node: onnx.NodeProto) -> float:
    return next(float(attribute.f) for attribute in node.attribute if attribute.name == "epsilon")
