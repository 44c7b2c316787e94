"""manifest.json of a bundle: read, checked and typed. What it says is not trusted until it is checked here.

The files it lists are compared with the disk in two steps: names and sizes when the bundle is opened, sha256 when a
file is first read (`check_files`), once a process, because hashing hundreds of megabytes takes a noticeable while.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import BundleError
from .geometry import MODES, Geometry
from .manifest_fields import Fields, short
from .routing import MODES as ROUTING_MODES

FORMAT = "inter2former-bundle"
FORMAT_VERSION = 1
FILE_NAME = "manifest.json"
GRAPHS = ("encoder", "prompt", "decoder")
PATCH_SIZE = 16

_MAX_MANIFEST_BYTES = 4 << 20
_MAX_FILE_BYTES = 1 << 40
_MAX_SIDE = 8192  # model pixels
_MAX_DIMENSION = 1 << 16
_MAX_ELEMENTS = 1 << 30
_DTYPES = frozenset({"float32", "uint8", "int64"})
# One path component that means the same on every system: no separators, drive letters, leading dots or spaces.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a graph. A dimension is a number, or a name where it varies."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class GraphSpec:
    """One ONNX graph: its file (a plain name inside the bundle), its tensors, and what `info` tells about it."""

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
    patch_size: int

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the square's tokens. In mode `fit` an image has a part of them, `Geometry.grid`."""
        return self.size // self.patch_size, self.size // self.patch_size

    def of_image(self, height: int, width: int) -> Geometry:
        """What this means for an image of height x width pixels."""
        return Geometry(height, width, self.size, self.size_divisor, self.mode, self.patch_size)


@dataclass(frozen=True)
class Manifest:
    """A checked manifest. `model`, `source` and `producer` are for people and are kept as they are."""

    format_version: int
    id: str
    geometry: GeometrySpec
    routing: str
    uncertainty_kernel_size: int
    click_radius: int
    outside_logit: float
    precision: str
    opset: int
    ir_version: int
    custom_ops_domain: str
    custom_ops_version: int
    graphs: Mapping[str, GraphSpec]
    files: Mapping[str, FileSpec]
    model: Mapping[str, Any]
    source: Mapping[str, Any]
    producer: Mapping[str, Any]

    def encoded_arrays(self, grid: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the arrays (all float32) that make up an encoded image, in the encoder's order.

        `grid` is the image's: rows and columns of tokens.
        """
        return {
            spec.name: tuple(_dimension(size, grid) for size in spec.shape) for spec in self.graphs["encoder"].outputs
        }

    def files_of(self, graph: str) -> list[str]:
        """Names of the files that loading a graph reads: its own, its external data, and any not tied to a graph."""
        owners = {name: spec.file for name, spec in self.graphs.items()}

        def belongs(file: str, owner: str) -> bool:
            return file == owner or file.startswith(owner + ".")

        return [
            file
            for file in self.files
            if belongs(file, owners[graph]) or not any(belongs(file, owner) for owner in owners.values())
        ]


def bundle_id(sha256_by_name: Mapping[str, str]) -> str:
    """The id of a bundle: sha256 over its files' names and sha256, one "name sha256" line each, sorted."""
    lines = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(sha256_by_name.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read and check a bundle's manifest, and that every file it lists is there with the size it gives.

    Raises:
        BundleError: no such folder, no or unreadable manifest, a newer format, a field missing or of the wrong type, a
            file name that leads out of the folder, a file missing or of another size.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise BundleError(f"bundle {str(folder)!r}: expected a folder with a {FILE_NAME}, found {found} there")
    path = folder / FILE_NAME
    if path.exists() and not path.is_file():
        raise BundleError(f"{path}: not a file")  # opening a pipe would wait for a writer, a device may never end
    try:
        with path.open("rb") as stream:
            text = stream.read(_MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        raise BundleError(f"bundle {str(folder)!r} has no {FILE_NAME}: not a bundle, or an unfinished one") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    if len(text) > _MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: longer than {_MAX_MANIFEST_BYTES} bytes, which no manifest is")
    manifest = parse_manifest(text, str(path))
    for name, spec in manifest.files.items():
        _check_size(folder, name, spec)
    return manifest


def parse_manifest(text: bytes | str, where: str) -> Manifest:
    """The checked manifest in `text`; `where` is named in errors. Looks at no other file.

    Raises:
        BundleError: as for `read_manifest`.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise BundleError(f"{where}: {short(twice)} appears twice in one object")
        return values

    def no_constant(text: str) -> Any:
        raise ValueError(f"{text} is not JSON")

    try:
        values = json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:  # ValueError: malformed JSON and malformed UTF-8 alike
        raise BundleError(f"{where}: not valid JSON: {str(error) or type(error).__name__}") from None
    if not isinstance(values, dict):
        raise BundleError(f"{where}: expected a JSON object, found {type(values).__name__}")
    fields = Fields(values, where)
    _check_format(fields)
    return _build(fields)


def check_files(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Compare files with the sha256 in the manifest.

    A file that this process read for this before is not read again while its modification time and size are the same.

    Raises:
        BundleError: a file is missing, unreadable, of another size, or altered.
    """
    for name in names:
        spec = manifest.files[name]
        status = _check_size(folder, name, spec)
        path = folder / name
        key = (str(path.resolve()), status.st_mtime_ns, status.st_size)
        digest = _digests.get(key)
        if digest is None:
            digest = _digests[key] = _sha256(path)
        if digest != spec.sha256:
            raise BundleError(
                f"{path}: altered: its sha256 is {digest[:12]}..., {FILE_NAME} says {spec.sha256[:12]}...; "
                "export or copy the bundle again"
            )


_digests: dict[tuple[str, int, int], str] = {}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def _check_size(folder: Path, name: str, spec: FileSpec) -> os.stat_result:
    path = folder / name
    try:
        status = path.lstat()
        if path.is_symlink():
            # Within the folder it is as good as the file itself (caches lay files out like that); out of it, anything.
            if path.resolve(strict=True).parent != folder.resolve():
                raise BundleError(f"{path}: a link that leads out of the bundle; copy the file there instead")
            status = path.stat()
    except (FileNotFoundError, RuntimeError):  # RuntimeError: links in a circle (before Python 3.13)
        raise BundleError(f"{path}: missing; {FILE_NAME} lists it with {spec.bytes} bytes") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    if not path.is_file():
        raise BundleError(f"{path}: not a file")
    if status.st_size != spec.bytes:
        raise BundleError(
            f"{path}: {status.st_size} bytes where {FILE_NAME} says {spec.bytes}: truncated, or of another bundle"
        )
    return status


def _check_format(fields: Fields) -> None:
    found = fields.values.get("format")
    if found != FORMAT:
        raise BundleError(f"{fields.where}: format: expected {FORMAT!r}, found {short(found)}")
    version = fields.integer("format_version", 1, 1 << 31)
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{fields.where}: made by a newer inter2former-onnx (bundle format {version}; this one reads up to "
            f"{FORMAT_VERSION}): upgrade inter2former-onnx"
        )


# What a dimension of an encoded image may be called when it varies: "rows", "columns", a multiple of one, "8*rows", or
# their product.
_VARYING = re.compile(r"(?:([1-9][0-9]{0,2})\*)?(rows|columns)|rows\*columns", re.ASCII)


def _dimension(size: int | str, grid: tuple[int, int]) -> int:
    """A dimension of an encoder output for a token grid."""
    if isinstance(size, int):
        return size
    match = _VARYING.fullmatch(size)
    assert match is not None, size  # _check_contract saw to it
    if match[2] is None:
        return grid[0] * grid[1]
    return int(match[1] or 1) * grid[match[2] == "columns"]


def _build(fields: Fields) -> Manifest:
    geometry = _geometry(fields.object("geometry"))
    files = _files(fields.object("files"))
    graphs = _graphs(fields.object("graphs"), files)
    _check_contract(graphs, geometry, fields.where)
    custom_ops = fields.object("custom_ops")
    identity = fields.matching("id", _SHA256, "64 hexadecimal digits")
    if identity != bundle_id({name: spec.sha256 for name, spec in files.items()}):
        raise BundleError(f"{fields.where}: id: does not belong to the files listed")
    return Manifest(
        format_version=fields.integer("format_version", 1, FORMAT_VERSION),
        id=identity,
        geometry=geometry,
        routing=fields.choice("routing", ROUTING_MODES),
        uncertainty_kernel_size=_odd(fields, "uncertainty_kernel_size", 3, 2 * PATCH_SIZE - 1),
        click_radius=fields.integer("click_radius", 0, geometry.size),
        outside_logit=fields.number("outside_logit", -1e6, -1.0),
        precision=fields.string("precision"),
        opset=fields.integer("opset", 1, 1 << 16),
        ir_version=fields.integer("ir_version", 1, 1 << 16),
        custom_ops_domain=custom_ops.string("domain"),
        custom_ops_version=custom_ops.integer("version", 1, 1 << 16),
        graphs=MappingProxyType(graphs),
        files=MappingProxyType(files),
        model=MappingProxyType(fields.object("model").values),
        source=MappingProxyType(fields.object("source").values),
        producer=MappingProxyType(fields.object("producer").values),
    )


def _odd(fields: Fields, name: str, low: int, high: int) -> int:
    value = fields.integer(name, low, high)
    if value % 2 == 0:
        raise BundleError(f"{fields.where}: {name}: expected an odd number, found {value}")
    return value


def _geometry(fields: Fields) -> GeometrySpec:
    spec = GeometrySpec(
        mode=fields.choice("mode", MODES),
        size=fields.integer("size", PATCH_SIZE, _MAX_SIDE),
        size_divisor=fields.integer("size_divisor", 1, _MAX_SIDE),
        patch_size=fields.integer("patch_size", PATCH_SIZE, PATCH_SIZE),
    )
    if spec.size % spec.patch_size:
        raise BundleError(f"{fields.where}: size: expected a multiple of {spec.patch_size}, found {spec.size}")
    return spec


def _files(fields: Fields) -> dict[str, FileSpec]:
    files: dict[str, FileSpec] = {}
    seen: set[str] = set()
    for name in fields.values:
        _check_name(name, fields.where)
        if name.casefold() in seen or name.casefold() == FILE_NAME:
            raise BundleError(f"{fields.where}: {name!r} is listed twice, or is the manifest itself")
        seen.add(name.casefold())  # two names that differ in case only are one file on some systems
        entry = fields.object(name)
        files[name] = FileSpec(
            bytes=entry.integer("bytes", 0, _MAX_FILE_BYTES),
            sha256=entry.matching("sha256", _SHA256, "64 hexadecimal digits"),
        )
    return files


def _check_name(name: str, where: str) -> None:
    if not _PLAIN_NAME.fullmatch(name):
        raise BundleError(f"{where}: {short(name)}: expected the plain name of a file inside the bundle")


def _graphs(fields: Fields, files: Mapping[str, FileSpec]) -> dict[str, GraphSpec]:
    graphs: dict[str, GraphSpec] = {}
    for name in GRAPHS:
        entry = fields.object(name)
        file = entry.string("file")
        _check_name(file, f"{entry.where}.file")
        if file not in files:
            raise BundleError(f"{entry.where}.file: {file!r} is not among the manifest's files")
        if file in {spec.file for spec in graphs.values()}:
            raise BundleError(f"{entry.where}.file: {file!r} is another graph's file")
        ops = entry.object("ops")
        graphs[name] = GraphSpec(
            file=file,
            inputs=_tensors(entry, "inputs"),
            outputs=_tensors(entry, "outputs"),
            ops=MappingProxyType({domain: MappingProxyType(ops.object(domain).counts()) for domain in ops.values}),
            parameters=entry.integer("parameters", 0, 1 << 48),
        )
    return graphs


def _tensors(fields: Fields, name: str) -> tuple[TensorSpec, ...]:
    tensors: list[TensorSpec] = []
    for entry in fields.objects(name):
        shape = entry.values.get("shape")
        if (
            not isinstance(shape, list)
            or len(shape) > 8
            or not all(isinstance(size, (int, str)) and not isinstance(size, bool) for size in shape)
            or any(isinstance(size, int) and not 0 <= size <= _MAX_DIMENSION for size in shape)
        ):
            raise BundleError(f"{entry.where}.shape: expected a list of sizes or names of sizes, found {shape!r:.80}")
        tensors.append(TensorSpec(entry.string("name"), entry.choice("dtype", sorted(_DTYPES)), tuple(shape)))
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise BundleError(f"{fields.where}.{name}: a name appears twice")
    return tuple(tensors)


def _check_contract(graphs: Mapping[str, GraphSpec], geometry: GeometrySpec, where: str) -> None:
    """The graphs must fit each other and the runtime: what the encoder gives is what the decoder wants."""

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
            size > 0 if isinstance(size, int) else geometry.mode == "fit" and _VARYING.fullmatch(size)
            for size in tensor.shape
        )
        kind = "a fixed shape" if geometry.mode == "square" else "a shape of numbers and multiples of rows and columns"
        require(
            len(tensor.shape) > 0 and known,
            f"encoder output {tensor.name!r} must have {kind}, found {list(tensor.shape)}",
        )
        count = math.prod(_dimension(size, geometry.grid) for size in tensor.shape)
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
