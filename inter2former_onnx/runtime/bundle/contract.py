"""What the graphs of a bundle must be to fit each other and the runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...errors import BundleError
from .manifest import GRAPHS, VARYING, GeometrySpec, GraphSpec, TensorSpec, dimension

_MAX_ELEMENTS = 1 << 30


def check_contract(graphs: Mapping[str, GraphSpec], geometry: GeometrySpec, where: str) -> None:
    """Check that the graphs fit each other and the runtime: what the encoder gives is what the decoder wants.

    Args:
        graphs: by name.
        geometry: the bundle's.
        where: the manifest's place, for errors.

    Raises:
        BundleError: they do not fit.
    """

    def require(condition: bool, text: str) -> None:
        if not condition:
            raise BundleError(f"{where}: graphs: {text}")

    def names(tensors: tuple[TensorSpec, ...]) -> set[str]:
        return {tensor.name for tensor in tensors}

    encoder, prompt, decoder = (graphs[name] for name in GRAPHS)
    _require_dtypes(encoder.inputs, {"image": "uint8"}, where)
    _require_dtypes(prompt.inputs, {"labels": "uint8"}, where)
    _require_dtypes(prompt.outputs, {"prompt": "float32"}, where)
    _require_dtypes(decoder.outputs, {"logits": "float32", "box": "int64"}, where)
    _require_dtypes(decoder.inputs, {"offset": "int64", "boundary": "int64", "other": "int64"}, where)
    _require_dtypes(encoder.outputs, {"embed": "float32"}, where)
    require(names(encoder.inputs) == {"image"}, "the encoder must have one input, 'image'")
    require(names(prompt.inputs) == {"labels"}, "the prompt graph must have one input, 'labels'")
    for tensor in encoder.outputs:
        require(tensor.dtype == "float32", f"encoder output {tensor.name!r} must be float32, found {tensor.dtype}")
        known = all(
            size > 0 if isinstance(size, int) else geometry.mode == "fit" and VARYING.fullmatch(size)
            for size in tensor.shape
        )
        kind = "a fixed shape" if geometry.mode == "square" else "a shape of numbers and multiples of rows and columns"
        require(
            len(tensor.shape) > 0 and known,
            f"encoder output {tensor.name!r} must have {kind}, found {list(tensor.shape)}",
        )
        count = math.prod(dimension(size, geometry.grid) for size in tensor.shape)
        require(count < _MAX_ELEMENTS, f"encoder output {tensor.name!r} must hold fewer than {_MAX_ELEMENTS} numbers")
    embed = next(tensor for tensor in encoder.outputs if tensor.name == "embed")
    grid = geometry.grid if geometry.mode == "square" else ("rows", "columns")
    require(
        embed.shape[:2] == grid and len(embed.shape) == 3,
        f"encoder output 'embed' must be {grid[0]} x {grid[1]} tokens, found {list(embed.shape)}",
    )
    optional = {"changed", "threshold"}
    given = names(encoder.outputs) | {"prompt", "offset", "boundary", "other"} | optional
    unknown = sorted(names(decoder.inputs) - given)
    require(not unknown, f"decoder input {unknown[:1]} is nothing that the encoder or the runtime gives")
    missing = sorted(given - optional - names(decoder.inputs))
    require(not missing, f"the decoder must take {missing[:1]}")


def _require_dtypes(tensors: tuple[TensorSpec, ...], expected: Mapping[str, str], where: str) -> None:
    dtypes = {tensor.name: tensor.dtype for tensor in tensors}
    for name, dtype in expected.items():
        if dtypes.get(name) != dtype:
            raise BundleError(
                f"{where}: graphs: expected a tensor {name!r} of {dtype}, found {dtypes.get(name, 'none of this name')}"
            )
