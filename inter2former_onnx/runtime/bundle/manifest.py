"""What manifest.json says of a bundle, as types, and how it is written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..geometry import PATCH_SIZE, Geometry

FORMAT = "inter2former-bundle"
FORMAT_VERSION = 1
FILE_NAME = "manifest.json"
GRAPHS = ENCODER, PROMPT, DECODER = "encoder", "prompt", "decoder"

# What a dimension of an encoded image may be called when it varies: "rows", "columns", a multiple of one, "8*rows", or
# their product.
VARYING = re.compile(r"(?:([1-9][0-9]{0,2})\*)?(rows|columns)|rows\*columns", re.ASCII)


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a graph. A dimension is a number, or a name where it varies."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class GraphSpec:
    """One ONNX graph: its file (a plain name inside the bundle), its tensors, and what `info` tells about it.

    `ops` counts the graph's operators: domain -> name -> count.
    """

    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: Mapping[str, Mapping[str, int]]
    parameters: int


@dataclass(frozen=True)
class FileSpec:
    """What a file of the bundle must be: its size in bytes and its sha256 in hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class GeometrySpec:
    """How images become the model's input; see geometry.py. `size` is T."""

    mode: str
    size: int
    size_divisor: int
    patch_size: int = PATCH_SIZE

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the square's tokens. In mode `fit` an image has a part of them, `Geometry.grid`."""
        return self.size // self.patch_size, self.size // self.patch_size

    def of_image(self, height: int, width: int) -> Geometry:
        """Apply this to an image of height x width pixels."""
        return Geometry(height, width, self.size, self.size_divisor, self.mode)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a bundle is. `model`, `quantisation`, `source` and `producer` are for people and are kept as they are."""

    format_version: int = FORMAT_VERSION
    id: str
    model: Mapping[str, Any]
    geometry: GeometrySpec
    routing: str
    uncertainty_kernel_size: int
    click_radius: int
    outside_logit: float
    precision: str
    quantisation: Mapping[str, Any] | None = None
    opset: int
    ir_version: int
    custom_ops_domain: str
    custom_ops_version: int
    graphs: Mapping[str, GraphSpec]
    files: Mapping[str, FileSpec]
    source: Mapping[str, Any]
    producer: Mapping[str, Any]

    def encoded_arrays(self, grid: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """List the arrays (all float32) that make up an encoded image, in the encoder's order.

        Args:
            grid: the image's rows and columns of tokens.

        Returns:
            name -> shape.
        """
        return {spec.name: tuple(dimension(size, grid) for size in spec.shape) for spec in self.graphs[ENCODER].outputs}

    def files_of(self, graph: str) -> list[str]:
        """List the files that loading a graph reads: its own, its external data, and any not tied to a graph."""
        owners = {name: spec.file for name, spec in self.graphs.items()}

        def belongs(file: str, owner: str) -> bool:
            return file == owner or file.startswith(owner + ".")

        return [
            file
            for file in self.files
            if belongs(file, owners[graph]) or not any(belongs(file, owner) for owner in owners.values())
        ]

    def to_json(self) -> str:
        """Write the text of manifest.json: the same manifest gives the same bytes."""
        quantisation = {} if self.quantisation is None else {"quantisation": dict(self.quantisation)}
        document = {
            "format": FORMAT,
            "format_version": self.format_version,
            "id": self.id,
            "model": dict(self.model),
            "geometry": asdict(self.geometry),
            "routing": self.routing,
            "uncertainty_kernel_size": self.uncertainty_kernel_size,
            "click_radius": self.click_radius,
            "outside_logit": self.outside_logit,
            "precision": self.precision,
            **quantisation,
            "opset": self.opset,
            "ir_version": self.ir_version,
            "custom_ops": {"domain": self.custom_ops_domain, "version": self.custom_ops_version},
            "graphs": {name: _graph(spec) for name, spec in self.graphs.items()},
            "files": {name: {"sha256": spec.sha256, "bytes": spec.bytes} for name, spec in self.files.items()},
            "source": dict(self.source),
            "producer": dict(self.producer),
        }
        return json.dumps(document, indent=1) + "\n"


def bundle_id(files: Mapping[str, FileSpec]) -> str:
    """Compute the id of a bundle: sha256 over its files' names and sha256, one "name sha256" line each, sorted."""
    lines = "".join(f"{name} {spec.sha256}\n" for name, spec in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def dimension(size: int | str, grid: tuple[int, int]) -> int:
    """Compute a dimension of an encoder output for a token grid.

    Args:
        size: a number, or a name that VARYING matches.
        grid: rows and columns of tokens.
    """
    if isinstance(size, int):
        return size
    match = VARYING.fullmatch(size)
    assert match is not None, size  # contract.py saw to it
    if match[2] is None:
        return grid[0] * grid[1]
    return int(match[1] or 1) * grid[match[2] == "columns"]


def _graph(spec: GraphSpec) -> dict[str, Any]:
    return {
        "file": spec.file,
        "inputs": [asdict(tensor) for tensor in spec.inputs],
        "outputs": [asdict(tensor) for tensor in spec.outputs],
        "ops": {domain: dict(counts) for domain, counts in spec.ops.items()},
        "parameters": spec.parameters,
    }
