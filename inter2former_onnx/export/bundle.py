"""Checkpoint (or a seed) to bundle folder."""

from __future__ import annotations

import glob
import importlib.metadata
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx

from .. import __version__
from ..custom_ops import DOMAIN, VERSION
from ..errors import BundleError
from ..models import Inter2Former, ModelConfig, load_state_dict, read_checkpoint, save_checkpoint
from ..models.dynamic_local_upsampling import OUTSIDE_LOGIT
from ..progress import progress
from ..runtime.bundle import (
    DECODER,
    ENCODER,
    FILE_NAME,
    PROMPT,
    FileSpec,
    GeometrySpec,
    GraphSpec,
    Manifest,
    TensorSpec,
    bundle_id,
)
from ..runtime.files import FolderDraft, sha256_of
from ..runtime.geometry import GeometryMode
from . import graphs
from .calibration import quantise_calibrated
from .onnx_graph import IR_VERSION, OPSET, op_counts, parameter_count, trace
from .quantisation import quantise
from .random_weights import initialise
from .request import ExportRequest, make_request
from .storage import round_weights, store_as_float16

ABANDONED_SECONDS = 24 * 3600
EXTERNAL_BYTES = 4 << 20  # a graph with more weights than this keeps them in a file beside it
SPECS: dict[str, Callable[[Inter2Former], graphs.GraphSpec]] = {
    ENCODER: graphs.encoder_spec,
    PROMPT: graphs.prompt_spec,
    DECODER: graphs.decoder_spec,
}


def export_bundle(
    out: str | Path,
    *,
    config: str | Path | dict[str, Any] | ModelConfig,
    checkpoint: str | Path | None = None,
    key: str | None = None,
    random_weights: int | None = None,
    size: int | None = None,
    storage: str = "float32",
    geometry: GeometryMode | None = None,
    precision: str = "float32",
    calibration: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a bundle.

    The folder appears under its name only when it is complete.

    Args:
        out: the folder to write.
        config: a preset's name, a JSON file, its contents, or a configuration.
        checkpoint: published-format weights, `.pth` or `.safetensors`.
        key: which state dict, where the checkpoint holds several (see `read_checkpoint`).
        random_weights: a seed, in place of `checkpoint`; the weights are written too, as checkpoint.pth.
        size: side of the model's input in pixels, if not the configuration's.
        storage: "float32", or "float16" for a bundle of half the size whose weights are rounded to 11 bits.
        geometry: how images are brought to that size, if not as the configuration says. "fit" with a square's
            configuration also sets its size_divisor to 1, so that an image's longer side gets all of `size`.
        precision: "float32", or "int8" for an encoder whose linear layers compute in 8-bit integers.
        calibration: a folder of photographs like those to come, on which "int8" measures and reduces what it loses.
        overwrite: replace a bundle that is there. A folder that is not a bundle is never replaced.

    Returns:
        The folder.

    Raises:
        ArgumentError: not exactly one of `checkpoint` and `random_weights`, an impossible size, storage or precision,
            or a calibration folder without images or for float32.
        ConfigError, CheckpointError: unusable inputs.
        BundleError: `out` exists, or cannot be written.
    """
    return carry_out(
        make_request(
            out,
            config=config,
            checkpoint=checkpoint,
            key=key,
            random_weights=random_weights,
            size=size,
            storage=storage,
            geometry=geometry,
            precision=precision,
            calibration=calibration,
            overwrite=overwrite,
        )
    )


def carry_out(request: ExportRequest) -> Path:
    """Write the bundle that is asked for.

    Returns:
        The folder.

    Raises:
        CheckpointError: an unusable checkpoint.
        BundleError: it cannot be written.
    """
    out = request.out
    model = Inter2Former(request.config).eval()
    if request.checkpoint is not None:
        state = read_checkpoint(request.checkpoint, key=request.key)
        load_state_dict(model, state, str(request.checkpoint))
        source: dict[str, Any] = {"checkpoint": request.checkpoint.name, "sha256": sha256_of(request.checkpoint)}
        if request.key is not None:
            source["key"] = request.key
    else:
        assert request.random_weights is not None
        initialise(model, request.random_weights)
        source = {"random_weights": request.random_weights}
    if request.storage == "float16":
        source["stored_as"] = request.storage
        round_weights(model)
    model.requires_grad_(False)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with FolderDraft(out) as draft:
            _tidy(draft.place)
            _write_bundle(model, draft.path, source, request.storage, request.precision, request.images)
            if request.random_weights is not None:
                save_checkpoint(draft.path / "checkpoint.pth", model)
            draft.commit()
    except OSError as error:
        raise BundleError(f"cannot write a bundle at {out}: {error.strerror}") from None
    return out


def _write_bundle(
    model: Inter2Former,
    folder: Path,
    source: dict[str, Any],
    storage: str,
    precision: str,
    images: Sequence[Path] | None,
) -> None:
    config = model.config
    described: dict[str, GraphSpec] = {}
    quantisation: dict[str, Any] | None = None
    for name, spec_of in progress(SPECS.items(), "export", total=len(SPECS)):
        graph = trace(spec_of(model))
        if name == ENCODER and precision == "int8":
            quantisation = _quantise(graph, images)
        described[name] = GraphSpec(
            file=f"{name}.onnx",
            inputs=tuple(_describe(value) for value in graph.graph.input),
            outputs=tuple(_describe(value) for value in graph.graph.output),
            ops=op_counts(graph),
            parameters=parameter_count(graph),
        )
        if storage == "float16":
            store_as_float16(graph)
        _save_graph(graph, folder / f"{name}.onnx")
    for path in folder.iterdir():
        path.chmod(0o644)  # onnx writes external data for the owner's eyes only
    files = {path.name: FileSpec(path.stat().st_size, sha256_of(path)) for path in sorted(folder.iterdir())}
    manifest = Manifest(
        id=bundle_id(files),
        model=config.to_dict(),
        geometry=GeometrySpec(config.geometry.mode, config.geometry.size, config.geometry.size_divisor),
        routing=config.routing,
        uncertainty_kernel_size=config.neck.uncertainty_kernel_size,
        click_radius=config.click_radius,
        outside_logit=OUTSIDE_LOGIT,
        precision=precision,
        quantisation=quantisation,
        opset=OPSET,
        ir_version=IR_VERSION,
        custom_ops_domain=DOMAIN,
        custom_ops_version=VERSION,
        graphs=described,
        files=files,
        source=source,
        producer={
            "inter2former-onnx": __version__,
            **{name: importlib.metadata.version(name) for name in ("torch", "onnx", "onnxscript")},
        },
    )
    (folder / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")


def _quantise(encoder: onnx.ModelProto, images: Sequence[Path] | None) -> dict[str, Any]:
    """Make the encoder 8-bit, and return what the manifest says about it."""
    found = {} if images is None else quantise_calibrated(encoder, images).to_dict()
    if images is None:
        quantise(encoder)
    return {"weights": "int8, per output channel", "activations": "uint8, per token, dynamic", **found}


def _save_graph(graph: onnx.ModelProto, path: Path) -> None:
    onnx.checker.check_model(graph, full_check=False)
    large = sum(len(tensor.raw_data) for tensor in graph.graph.initializer) > EXTERNAL_BYTES
    onnx.save_model(
        graph,
        path,
        save_as_external_data=large,
        all_tensors_to_one_file=True,
        location=f"{path.name}.data",
        size_threshold=1024,
    )


def _describe(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorSpec(value.name, dtype, tuple(d.dim_param or d.dim_value for d in tensor.shape.dim))


def _tidy(out: Path) -> None:
    """Remove unfinished folders that killed exports to the same place left behind."""
    for path in out.parent.glob(f".{glob.escape(out.name)}.????????"):
        unfinished = path.is_dir() and not (path / FILE_NAME).exists()
        if unfinished and time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
