"""Say what is in a bundle, or (without DIR) what this installation can do. Needs no more than numpy and onnxruntime."""

from __future__ import annotations

import argparse
import platform
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..runtime.bundle import FileSpec, GraphSpec, Manifest, TensorSpec

HELP = "what is in a bundle, or in this installation"

_EXTRAS = ("image", "annotate", "export")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    parser.add_argument("bundle", type=Path, nargs="?", metavar="DIR", help="a bundle (default: the installation)")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return its exit status."""
    lines = _installation() if args.bundle is None else _bundle(args.bundle)
    for line in list(lines):  # all of them before the first is printed: what fails, fails as a whole
        # A manifest may come from anywhere, and a terminal obeys control characters.
        print("".join(character if character.isprintable() else "?" for character in line))
    return 0


def _row(name: str, text: str) -> str:
    return f"{name:<13} {text}"


def _installation() -> Iterator[str]:
    import numpy
    import onnxruntime

    from .. import __version__
    from ..extras import EXTRAS, missing
    from ..runtime.processors import find_processors

    yield _row("version", f"inter2former-onnx {__version__}")
    yield _row("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield _row("numpy", numpy.__version__)
    yield _row("onnxruntime", onnxruntime.__version__ + _distributions("onnxruntime"))
    yield _row("processors", "{} ({})".format(*find_processors()))
    yield _row("custom ops", _custom_ops())
    yield _row("model", _shipped_model())
    for extra in _EXTRAS:
        absent = missing(*EXTRAS[extra])
        yield _row(f"[{extra}]", f"not installed: {', '.join(absent)}" if absent else "installed")


def _distributions(package: str) -> str:
    """Name the distributions that a package is from, where it is not from the one of its name alone.

    onnxruntime's builds for other hardware (onnxruntime-gpu, onnxruntime-openvino, ...) are distributions of their own
    that put their files in one and the same place.
    """
    from importlib.metadata import packages_distributions, version

    names = sorted(set(packages_distributions().get(package, [])))
    if names in ([], [package]):
        return ""
    versions = " and ".join(f"{name} {version(name)}" for name in names)
    if len(names) == 1:
        return f" (from {versions})"
    return f" (conflict: {versions} lie over each other; uninstall all of them, then install one)"


def _shipped_model() -> str:
    """Describe the bundle that is taken where none is named."""
    from ..errors import BundleError
    from ..runtime.bundle import read_manifest, shipped_bundle

    try:
        manifest = read_manifest(shipped_bundle())
    except BundleError as error:
        return str(error)
    parameters = sum(graph.parameters for graph in manifest.graphs.values())
    size = f"{manifest.geometry.size} pixels, {parameters / 1e6:.1f} million parameters"
    return f"{_source(manifest)}; {size}, {_megabytes(manifest.files)}"


def _custom_ops() -> str:
    """Say in which form the custom ops run here, and why."""
    import onnxruntime

    from ..custom_ops import library

    if library.register(onnxruntime.SessionOptions()) == "native":
        return f"native ({library.instruction_set()})"
    if library.wanted_mode() == "portable":
        return "portable (INTER2FORMER_OPS=portable)"
    if library.find() is None:
        return "portable (no native library was built)"
    return f"portable (onnxruntime {onnxruntime.__version__} cannot use the native library)"


def _bundle(folder: Path) -> Iterator[str]:
    from ..runtime.bundle import check_files, read_manifest

    manifest = read_manifest(folder)
    check_files(folder, manifest, manifest.files)

    geometry = manifest.geometry
    rows, columns = geometry.grid
    fit = geometry.mode == "fit"
    yield _row("bundle", f"{folder} (format {manifest.format_version}, id {manifest.id[:16]})")
    yield _row("made from", _source(manifest))
    yield _row("made by", ", ".join(f"{name} {version}" for name, version in manifest.producer.items()))
    yield _row("files", f"{len(manifest.files)}, {_megabytes(manifest.files)}, unaltered (sha256 compared)")
    yield _row("precision", f"{manifest.precision} (opset {manifest.opset}, IR version {manifest.ir_version})")
    yield _row(
        "geometry",
        f"{geometry.mode}: an image of any size is padded to a square (sides in steps of {geometry.size_divisor}) "
        f"and resized to {geometry.size} x {geometry.size}" + (", its padding left out" if fit else ""),
    )
    most = "at most " if fit else ""
    yield _row("tokens", f"{most}{rows} x {columns}, each {geometry.patch_size} x {geometry.patch_size} pixels")
    window = f" (window {manifest.uncertainty_kernel_size} x {manifest.uncertainty_kernel_size})"
    yield _row("routing", manifest.routing + (window if manifest.routing == "boundary" else ""))
    yield _row("clicks", f"discs of radius {manifest.click_radius} in the resized image")
    yield _row("op domain", f"{manifest.custom_ops_domain} {manifest.custom_ops_version}, as functions in the graphs")
    yield _row("ops run", _custom_ops())
    for graph in manifest.graphs.values():
        yield ""
        yield from _graph(manifest, graph)


def _source(manifest: Manifest) -> str:
    if "random_weights" in manifest.source:
        return f"random weights, seed {manifest.source['random_weights']}: good for timing, its masks mean nothing"
    return ", ".join(f"{name} {value}" for name, value in manifest.source.items())


def _megabytes(files: Mapping[str, FileSpec]) -> str:
    return f"{sum(spec.bytes for spec in files.values()) / 1e6:.1f} MB"


def _graph(manifest: Manifest, graph: GraphSpec) -> Iterator[str]:
    size = {name: spec for name, spec in manifest.files.items() if name in (graph.file, f"{graph.file}.data")}
    yield _row(graph.file, f"{graph.parameters / 1e6:.2f} million parameters, {_megabytes(size)}")
    for word, tensors in (("in", graph.inputs), ("out", graph.outputs)):
        for tensor in tensors:
            yield f"  {word:<4} {_tensor(tensor)}"
    for domain, counts in graph.ops.items():
        listed = ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
        yield from textwrap.wrap(f"{domain}: {listed}", 118, initial_indent="  ops  ", subsequent_indent=" " * 9)


def _tensor(tensor: TensorSpec) -> str:
    shape = " x ".join(str(size) for size in tensor.shape) or "one number"
    return f"{tensor.name:<16} {tensor.dtype:<8} {shape}"
