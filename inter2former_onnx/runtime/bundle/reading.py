"""Reading manifest.json. What it says is not trusted until it is checked here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...errors import BundleError
from ..geometry import MODES, PATCH_SIZE
from ..routing import MODES as ROUTING_MODES
from .contract import check_contract
from .fields import Fields, short
from .files import check_size
from .manifest import (
    FILE_NAME,
    FORMAT,
    FORMAT_VERSION,
    GRAPHS,
    FileSpec,
    GeometrySpec,
    GraphSpec,
    Manifest,
    TensorSpec,
    bundle_id,
)

_MAX_MANIFEST_BYTES = 4 << 20
_MAX_FILE_BYTES = 1 << 40
_MAX_SIDE = 8192  # model pixels
_MAX_DIMENSION = 1 << 16
_DTYPES = frozenset({"float32", "uint8", "int64"})
# One path component that means the same on every system: no separators, drive letters, leading dots or spaces.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


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
        check_size(folder, name, spec)
    return manifest


def parse_manifest(text: bytes | str, where: str) -> Manifest:
    """Read and check a manifest's text. Looks at no file.

    Args:
        text: of manifest.json.
        where: its place, for errors.

    Raises:
        BundleError: as for `read_manifest`, files apart.
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
    fields = Fields(values, where, BundleError)
    _check_format(fields)
    return _build(fields)


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


def _build(fields: Fields) -> Manifest:
    geometry = _geometry(fields.object("geometry"))
    files = _files(fields.object("files"))
    graphs = _graphs(fields.object("graphs"), files)
    check_contract(graphs, geometry, fields.where)
    custom_ops = fields.object("custom_ops")
    identity = fields.matching("id", _SHA256, "64 hexadecimal digits")
    if identity != bundle_id(files):
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
        quantisation=_quantisation(fields),
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


def _quantisation(fields: Fields) -> Mapping[str, Any] | None:
    """What was done to the weights; bundles in float32 say nothing."""
    if "quantisation" not in fields.values:
        return None
    return MappingProxyType(fields.object("quantisation").values)


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
