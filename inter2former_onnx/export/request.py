"""What a bundle is asked to be. All that can be refused before any work is refused here, without importing PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, BundleError, CheckpointError
from ..models.configuration import ModelConfig, load_config
from ..runtime.bundle import FILE_NAME
from ..runtime.geometry import MODES as GEOMETRY_MODES
from ..runtime.geometry import PATCH_SIZE, GeometryMode
from .calibration_images import calibration_images

STORAGES = ("float32", "float16")
PRECISIONS = ("float32", "int8")


@dataclass(frozen=True)
class ExportRequest:
    """The arguments of `export_bundle`, checked.

    Attributes:
        config: with the size and the geometry that were asked for.
        images: what int8 is fitted to; None: nothing.
    """

    out: Path
    config: ModelConfig
    checkpoint: Path | None
    key: str | None
    random_weights: int | None
    storage: str
    precision: str
    images: Sequence[Path] | None


def make_request(
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
) -> ExportRequest:
    """Check the arguments of `export_bundle`, and raise as it does."""
    if (checkpoint is None) == (random_weights is None):
        raise ArgumentError("give either a checkpoint or a seed for random weights, and not both")
    if key is not None and checkpoint is None:
        raise ArgumentError(f"key {key!r} chooses in a checkpoint, and random weights have none")
    if storage not in STORAGES:
        raise ArgumentError(f"storage: expected one of {', '.join(STORAGES)}, found {storage!r}")
    if precision not in PRECISIONS:
        raise ArgumentError(f"precision must be {' or '.join(PRECISIONS)}, found {precision!r}")
    if calibration is not None and precision != "int8":
        raise ArgumentError(f"calibration is for precision int8, and precision is {precision}")
    out = Path(out)
    _check_destination(out, overwrite)
    if checkpoint is not None and not Path(checkpoint).exists():
        raise CheckpointError(f"checkpoint {checkpoint} does not exist")
    model_config = _with_geometry(load_config(config), size, geometry)
    return ExportRequest(
        out=out,
        config=model_config,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        key=key,
        random_weights=random_weights,
        storage=storage,
        precision=precision,
        images=None if calibration is None else calibration_images(calibration),
    )


def _with_geometry(config: ModelConfig, size: int | None, mode: GeometryMode | None) -> ModelConfig:
    geometry = config.geometry
    if size is not None:
        if size <= 0 or size % PATCH_SIZE:
            raise ArgumentError(f"size must be a positive multiple of {PATCH_SIZE}, found {size}")
        geometry = dataclasses.replace(geometry, size=size)
    if mode is not None and mode != geometry.mode:
        if mode not in GEOMETRY_MODES:
            raise ArgumentError(f"geometry must be 'fit' or 'square', found {mode!r}")
        divisor = 1 if mode == "fit" else geometry.size_divisor
        geometry = dataclasses.replace(geometry, mode=mode, size_divisor=divisor)
    return dataclasses.replace(config, geometry=geometry)


def _check_destination(out: Path, overwrite: bool) -> None:
    """Refuse before any work what could not be put into place after it."""
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not any(out.iterdir()):
        return
    if not overwrite:
        raise BundleError(f"{out} exists; choose another folder or pass overwrite=True")
    if not (out / FILE_NAME).is_file():
        raise BundleError(f"{out} is not a bundle (it holds no {FILE_NAME}) and will not be replaced")
