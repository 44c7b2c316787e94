"""Inputs for every op, and holding its forms to each other: oracle, PyTorch form and the op in onnxruntime."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inter2former_onnx.export import quantised_layers
from inter2former_onnx.models import (
    boundary_attention,
    boundary_tokens,
    bsq_attention,
    dynamic_hybrid_attention,
    dynamic_local_upsampling,
    dynamic_prompt_embedding,
    edge_detector,
    hybrid_mixture_of_experts,
    preprocess,
    projections,
    window_attention,
)
from support import encoder_oracles, op_oracles
from support.ops_harness import run_op

Inputs = list[np.ndarray]
Attributes = dict[str, int | float]
Case = tuple[Inputs, Attributes]

EPSILON = 1e-5
OPS = (
    "BoundaryGather",
    "BoundaryScatter",
    "BoundaryAttention",
    "FirstAttention",
    "BSQAttention",
    "NormProjection",
    "ResidualProjection",
    "NormMlp",
    "WindowAttention",
    "SampleImage",
    "CannyEdges",
    "Conv3x3",
    "ResidualConvBlock",
    "EdgeTaps",
    "QuantNormProjection",
    "QuantResidualProjection",
    "QuantNormMlp",
    "HybridAttention",
    "PromptedAttention",
    "HybridMoE",
    "PromptProjection",
    "PromptEmbed",
    "Localise",
    "LocalBox",
    "CropTokens",
    "LocalUpsample2x",
)
_TORCH_MODULES = (
    boundary_attention,
    boundary_tokens,
    bsq_attention,
    dynamic_hybrid_attention,
    dynamic_local_upsampling,
    dynamic_prompt_embedding,
    edge_detector,
    hybrid_mixture_of_experts,
    preprocess,
    projections,
    quantised_layers,
    window_attention,
)

# Where the code has another name than bundles have.
_TORCH_NAMES = {"FirstAttention": "unclicked_attention"}


def snake_case(name: str) -> str:
    """BSQAttention -> bsq_attention, LocalUpsample2x -> local_upsample_2x, HybridMoE -> hybrid_moe."""
    words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z]+(?:3x3)?|2x|MoE", name.replace("MoE", "Moe"))
    return "_".join(words).lower()


def _outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


def oracle(name: str, inputs: Inputs, attributes: Mapping[str, int | float]) -> list[np.ndarray]:
    """The outputs by the oracle, in float64."""
    exact = [array.astype(np.float64) if array.dtype == np.float32 else array for array in inputs]
    module = encoder_oracles if hasattr(encoder_oracles, snake_case(name)) else op_oracles
    return _outputs(getattr(module, snake_case(name))(*exact, **attributes))


def torch_function(name: str) -> Callable[..., Any]:
    """The PyTorch form."""
    function = _TORCH_NAMES.get(name, snake_case(name))
    candidates = (getattr(module, function, None) for module in _TORCH_MODULES)
    # A module that only imports the function holds the same object; a submodule may have the function's name.
    return next(candidate for candidate in candidates if inspect.isfunction(candidate))


def torch_form(name: str, inputs: Inputs, attributes: Mapping[str, int | float]) -> list[np.ndarray]:
    """The outputs by the PyTorch form."""
    with torch.no_grad():
        result = torch_function(name)(*(torch.from_numpy(array) for array in inputs), **attributes)
    return [tensor.numpy() for tensor in _outputs(result)]


def assert_close(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float, what: str) -> None:
    """Same shapes and, to `tolerance` times the largest expected value or 1, the same values; integers exactly."""
    assert len(actual) == len(expected), what
    for number, (got, want) in enumerate(zip(actual, expected, strict=True)):
        assert got.shape == want.shape, f"{what}, output {number}: shape {got.shape}, expected {want.shape}"
        if np.issubdtype(want.dtype, np.integer):
            np.testing.assert_array_equal(got, want, err_msg=f"{what}, output {number}")
            continue
        assert got.dtype == np.float32, f"{what}, output {number}: {got.dtype}, expected float32"
        allowed = tolerance * max(1.0, float(np.abs(want).max(initial=0)))
        np.testing.assert_allclose(got, want, rtol=0, atol=allowed, err_msg=f"{what}, output {number}")


def assert_forms_agree(name: str, case: Case, tolerance: float = 2e-5) -> None:
    """PyTorch form, onnxscript function in onnxruntime, and oracle give the same."""
    inputs, attributes = case
    expected = oracle(name, inputs, attributes)
    from_torch = torch_form(name, inputs, attributes)
    portable = run_op(name, inputs, attributes)
    assert_close(from_torch, expected, tolerance, f"{name}: PyTorch form against oracle")
    assert_close(portable, expected, tolerance, f"{name}: onnxscript function against oracle")
    assert_close(portable, from_torch, 2 * tolerance, f"{name}: onnxscript function against PyTorch form")


def floats(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> NDArray[np.float32]:
    """Normally distributed."""
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def integers(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Small whole numbers: sums of products of them are exact in float32, so that all forms see the same signs."""
    return rng.integers(-3, 4, shape).astype(np.float32)


def linear(rng: np.random.Generator, out_dim: int, in_dim: int) -> Inputs:
    """Weight and bias of a linear layer that keeps magnitudes."""
    return [floats(rng, out_dim, in_dim, scale=in_dim**-0.5), floats(rng, out_dim, scale=0.3)]


def norm(rng: np.random.Generator, dim: int) -> Inputs:
    """Weight and bias of a normalisation."""
    return [1 + floats(rng, dim, scale=0.2), floats(rng, dim, scale=0.2)]


def routes(rng: np.random.Generator, tokens: int, boundary: int) -> Inputs:
    """Ascending indices of `boundary` of the tokens, and of the rest."""
    order = rng.permutation(tokens).astype(np.int64)
    return [np.sort(order[:boundary]), np.sort(order[boundary:])]


def frequencies(head: int) -> NDArray[np.float32]:
    """Of a head of that width, position ratio included."""
    half = head // 2
    return (0.5 * 10000.0 ** (-np.arange(0, half, 2) / half)).astype(np.float32)


def grid_of(h: int, w: int) -> NDArray[np.int64]:
    return np.array([h, w], np.int64)


def gather_case(rng: np.random.Generator, tokens: int, boundary: int, dim: int = 5) -> Case:
    return [floats(rng, tokens, dim), *routes(rng, tokens, boundary)], {}


def scatter_case(rng: np.random.Generator, tokens: int, boundary: int, dim: int = 5) -> Case:
    return [floats(rng, boundary, dim), floats(rng, tokens - boundary, dim), *routes(rng, tokens, boundary)], {}


def boundary_attention_case(
    rng: np.random.Generator, h: int, w: int, boundary: int, heads: int, head: int = 8, scale: float = 1.0
) -> Case:
    dim, tokens = heads * head, h * w
    inputs: Inputs = [
        floats(rng, boundary, dim, scale=scale),
        floats(rng, tokens, dim, scale=scale),
        floats(rng, tokens, dim),
    ]
    inputs += [routes(rng, tokens, boundary)[0], grid_of(h, w), frequencies(head)]
    return inputs, {"num_heads": heads}


def code(rng: np.random.Generator, bits: int, dim: int) -> Inputs:
    """Code projection of whole numbers, so that no form rounds a bit differently, and codebook."""
    return [integers(rng, bits, dim), integers(rng, bits), floats(rng, 2 * bits, dim)]


def bsq_attention_case(
    rng: np.random.Generator, tokens: int, others: int, heads: int, bits: int, head: int = 8, scale: float = 1.0
) -> Case:
    dim = heads * head
    inputs = [floats(rng, others, dim, scale=scale), integers(rng, tokens, dim), floats(rng, tokens, dim)]
    return [*inputs, *code(rng, bits, dim)], {"num_heads": heads}


def norm_projection_case(rng: np.random.Generator, tokens: int, dim: int = 12, out_dim: int = 9) -> Case:
    return [floats(rng, tokens, dim), *norm(rng, dim), *linear(rng, out_dim, dim)], {"epsilon": EPSILON}


def hybrid_attention_case(
    rng: np.random.Generator, h: int, w: int, boundary: int, heads: int, bits: int, head: int = 8, dim: int = 12
) -> Case:
    inner, tokens = heads * head, h * w
    qkv = np.concatenate([floats(rng, tokens, inner), integers(rng, tokens, inner), floats(rng, tokens, inner)], axis=1)
    inputs = [floats(rng, tokens, dim), qkv, *routes(rng, tokens, boundary), grid_of(h, w), frequencies(head)]
    return [*inputs, *code(rng, bits, inner), *linear(rng, dim, inner)], {"num_heads": heads}


def hybrid_moe_case(
    rng: np.random.Generator,
    tokens: int,
    boundary: int,
    experts: int,
    dim: int = 12,
    hidden: int = 8,
    scale: float = 1.0,
) -> Case:
    def expert() -> Inputs:
        return [*linear(rng, hidden, dim), *linear(rng, hidden, dim), *linear(rng, dim, hidden)]

    w1, b1, w2, b2, w3, b3 = expert()
    stacked = [np.stack(parts) for parts in zip(*(expert() for _ in range(experts)), strict=True)]
    inputs = [floats(rng, tokens, dim, scale=scale), routes(rng, tokens, boundary)[0], *norm(rng, dim)]
    inputs += [w1, b1, w2, b2, *norm(rng, hidden), w3, b3, *linear(rng, 1, dim)]
    inputs += [*stacked[:4], *norm(rng, hidden), *stacked[4:]]
    # Experts chosen by clear margins, mostly.
    inputs += [floats(rng, experts, dim), floats(rng, experts), floats(rng, experts, scale=0.1)]
    return inputs, {"epsilon": EPSILON}


def first_attention_case(
    rng: np.random.Generator, h: int, w: int, heads: int, head: int = 8, scale: float = 1.0
) -> Case:
    qkv = floats(rng, h * w, 3 * heads * head)
    qkv[:, : 2 * heads * head] *= np.float32(scale)
    return [qkv, grid_of(h, w), frequencies(head)], {"num_heads": heads}


def prompted_attention_case(
    rng: np.random.Generator,
    h: int,
    w: int,
    boundary: int,
    changed: int,
    heads: int,
    bits: int,
    head: int = 8,
    dim: int = 12,
    before: float = 1.0,
) -> Case:
    """A hybrid attention of which all rows of qkv but `changed` are known; `before` scales what those were."""
    inputs, attributes = hybrid_attention_case(rng, h, w, boundary, heads, bits, head, dim)
    rows = np.sort(rng.permutation(h * w)[:changed]).astype(np.int64)
    first = inputs[1].copy()
    first[rows] = floats(rng, changed, first.shape[1], scale=before)
    return [*inputs, first, *first_of(first, h, w, heads), rows], attributes


def first_of(qkv: NDArray[np.float32], h: int, w: int, heads: int) -> Inputs:
    """FirstAttention of qkv, by a faster way than the oracle's loops."""
    grid, freqs = grid_of(h, w), frequencies(qkv.shape[1] // 3 // heads)
    with torch.no_grad():
        exact = [torch.from_numpy(array) for array in (qkv.astype(np.float64), grid, freqs.astype(np.float64))]
        parts = boundary_attention.unclicked_attention(*exact, num_heads=heads)
    return [part.numpy().astype(np.float32) for part in parts]


def prompt_projection_case(
    rng: np.random.Generator, h: int, w: int, dim: int = 6, out_dim: int = 9, changed: float = 0.5
) -> Case:
    """The region is anywhere on the grid; that share of its tokens is not as it was. What must not be read is NaN."""
    top, left = int(rng.integers(h)), int(rng.integers(w))
    height, width = int(rng.integers(1, h - top + 1)), int(rng.integers(1, w - left + 1))
    offset = np.array([top, left], np.int64)
    tokens = [floats(rng, h, w, dim), floats(rng, height, width, dim), offset, floats(rng, dim)]
    weights = [*norm(rng, dim), *linear(rng, out_dim, dim)]
    x = op_oracles.add_prompt(*(array.astype(np.float64) for array in tokens[:2]), offset, tokens[3])
    known = op_oracles.norm_projection(x, *weights, epsilon=EPSILON).astype(np.float32)
    inside = np.zeros((h, w), np.bool_)
    inside[top : top + height, left : left + width] = True
    rows = np.flatnonzero(rng.random(h * w) < changed).astype(np.int64)
    background, first = known.copy(), known.copy()
    background[inside.ravel()] = np.nan
    first[~inside.ravel()] = np.nan
    first[rows] = np.nan
    return [*tokens, *weights, background, first, rows], {"epsilon": EPSILON}


def label_map(rng: np.random.Generator, h: int, w: int, discs: int, radii: tuple[int, int]) -> NDArray[np.uint8]:
    """h x w tokens of one label with discs of others on it, as clicks and predictions leave them; radii: half open."""
    labels = np.full((16 * h, 16 * w), rng.integers(5), np.uint8)
    y, x = np.mgrid[: 16 * h, : 16 * w]
    for _ in range(discs):
        row, column, radius = rng.integers(16 * h), rng.integers(16 * w), rng.integers(*radii)
        labels[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = rng.integers(5)
    return labels


def prompt_weights(rng: np.random.Generator, dims: Sequence[int] = (8, 4, 6, 10)) -> Inputs:
    weights = [floats(rng, 5, 5)]
    for before, after in zip((5, *dims[:-1]), dims, strict=True):
        weights += [floats(rng, after, before, 3, 3, scale=(4 * before) ** -0.5), floats(rng, after, scale=0.3)]
    return weights


def localise_case(rng: np.random.Generator, h: int, w: int, dims: Sequence[int] = (16, 8, 4, 2, 1)) -> Case:
    layers = [part for before, after in zip(dims[:-1], dims[1:], strict=True) for part in linear(rng, after, before)]
    return [floats(rng, h * w, dims[0]), grid_of(h, w), *layers], {}


def crop_case(rng: np.random.Generator, h: int, w: int, box: Sequence[int], dim: int = 5) -> Case:
    return [floats(rng, h * w, dim), grid_of(h, w), np.array(box, np.int64)], {}


def random_box(rng: np.random.Generator, h: int, w: int) -> list[int]:
    """Left, top, right, bottom of a box of at least one token."""
    left, top = int(rng.integers(w)), int(rng.integers(h))
    return [left, top, int(rng.integers(left + 1, w + 1)), int(rng.integers(top + 1, h + 1))]


def local_upsample_2x_case(
    rng: np.random.Generator,
    level: int,
    h: int,
    w: int,
    box: Sequence[int],
    in_dim: int,
    out_dim: int,
    activation: int,
    scale: float = 1.0,
) -> Case:
    """Level k = 0 .. 3 of a grid of h x w tokens; the edge tensors hold anything, as the op only adds them up."""
    s = 2 ** (level + 1)
    left, top, right, bottom = box
    inputs: Inputs = [
        floats(rng, (bottom - top) * s // 2, (right - left) * s // 2, in_dim, scale=scale),
        np.array(box, np.int64),
    ]
    inputs += [floats(rng, s * h, s * w, out_dim), floats(rng, 2, h, s * w, out_dim), floats(rng, 2, s * h, w, out_dim)]
    inputs += [floats(rng, 2, 2, h, w, out_dim), *norm(rng, in_dim)]
    inputs += [floats(rng, out_dim, in_dim, 3, 3, scale=(9 * in_dim) ** -0.5)]
    return inputs, {"activation": activation, "epsilon": EPSILON}
