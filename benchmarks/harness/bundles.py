"""Random-weights bundles and the image that is encoded with them: made once, kept in build/bench/."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from inter2former_onnx import Segmenter
from inter2former_onnx.export import export_bundle
from inter2former_onnx.runtime import EncodedImage

ORIGINAL = 1024  # side of the photograph in pixels
SEED = 7
FOLDER = Path("build/bench")


def bundle_for(config: str, size: int, precision: str = "float32") -> Path:
    """Export a random-weights bundle, unless that was done before.

    Args:
        config: preset or JSON file.
        size: side of the model's input in pixels.
        precision: of the encoder's arithmetic, "float32" or "int8".

    Returns:
        The bundle's folder, with checkpoint.pth in it.
    """
    suffix = "" if precision == "float32" else f"-{precision}"
    folder = FOLDER / f"{Path(config).stem}-{size}{suffix}"
    if not (folder / "manifest.json").is_file():
        print(f"exporting {folder} ...", file=sys.stderr)
        export_bundle(folder, config=config, random_weights=SEED, size=size, precision=precision)
    return folder


def open_segmenter(folder: Path, ops: str | None, threads: int) -> Segmenter:
    """Open a bundle with ops of one kind.

    Args:
        folder: of the bundle.
        ops: "native" or "portable"; None takes what there is.
        threads: of the Segmenter.
    """
    with patch.dict(os.environ, {"INTER2FORMER_OPS": ops} if ops else {}):
        return Segmenter(folder, threads=threads)


def encoded(folder: Path, segmenter: Segmenter) -> EncodedImage:
    """Encode a photograph-like image, once per bundle: the result is kept on disk."""
    path = folder.with_suffix(".npz")
    if path.is_file():
        return segmenter.load(path)
    result = segmenter.encode(photograph(ORIGINAL))
    result.save(path)
    return result


def photograph(side: int) -> NDArray[np.uint8]:
    """Make something smooth with noise, like a photograph: uint8 [side, side, 3]."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (side // 32, side // 32, 3)).astype(np.float32)
    smooth = F.interpolate(torch.from_numpy(coarse).permute(2, 0, 1)[None], (side, side), mode="bicubic")
    noise = rng.normal(0, 6, (side, side, 3))
    return np.clip(smooth[0].permute(1, 2, 0).numpy() + noise, 0, 255).astype(np.uint8)
