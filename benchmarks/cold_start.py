"""One cold start, as a process of its own: compare.py runs it. Imports no more than its contestant needs.

Prints one JSON object: the system's monotonic clock, in seconds, when the model was open, when an image was encoded,
and when the first click had its mask; and the process's peak resident memory in bytes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness.memory import peak_memory
from numpy.typing import NDArray

Image = NDArray[np.uint8]
# Opens the model; then encodes an image and returns what answers its first click.
Opened = Callable[[Image], Callable[[], object]]


def main() -> int:
    """Start, click, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("engine", "eager", "compiled", "sam", "sam2", "sam-onnx"))
    parser.add_argument("folder", type=Path, help="bundle, or folder of a SAM-family model")
    parser.add_argument("--size", type=int, required=True, help="side of the image in pixels")
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    image = np.random.default_rng(0).integers(0, 256, (args.size, args.size, 3), dtype=np.uint8)
    model = opened(args.kind, args.folder, args.threads)
    times = [time.monotonic()]
    click = model(image)
    times.append(time.monotonic())
    click()
    times.append(time.monotonic())
    print(json.dumps({"times": times, "peak": peak_memory()}))
    return 0


def opened(kind: str, folder: Path, threads: int) -> Opened:
    """Open the model."""
    if kind == "engine":
        return open_engine(folder, threads)
    if kind == "sam-onnx":
        from comparison.sam_onnx import SamOnnx

        return open_sam(SamOnnx(folder, threads))
    import torch

    torch.set_num_threads(threads)
    if kind in ("eager", "compiled"):
        return open_modules(folder, compile_them=kind == "compiled")
    from comparison.sam_torch import SamTorch

    return open_sam(SamTorch(kind, folder))


def open_engine(folder: Path, threads: int) -> Opened:
    """Open this project's engine."""
    from inter2former_onnx import Segmenter

    segmenter = Segmenter(folder, threads=threads)

    def encode(image: Image) -> Callable[[], object]:
        encoded = segmenter.encode(image)
        return lambda: encoded.session().click(image.shape[1] // 2, image.shape[0] // 2)

    return encode


def open_modules(folder: Path, compile_them: bool) -> Opened:
    """Open this project's PyTorch modules; the image has the size of their input."""
    import torch
    from comparison.compiled import compiled
    from harness.scenarios import first_click

    from inter2former_onnx.models import Inter2Former, ModelConfig, load_state_dict, read_checkpoint
    from inter2former_onnx.runtime.bundle import read_manifest

    model = Inter2Former(ModelConfig.from_dict(read_manifest(folder).model)).eval().requires_grad_(False)
    load_state_dict(model, read_checkpoint(folder / "checkpoint.pth"), "checkpoint.pth")
    encode_it, decode_it = compiled(model) if compile_them else (model.encode, model.decode)

    @torch.inference_mode()
    def encode(image: Image) -> Callable[[], object]:
        features = encode_it(model.preprocess(torch.from_numpy(image)))
        labels = torch.from_numpy(first_click(model.config.geometry.size).labels)

        @torch.inference_mode()
        def click() -> object:
            return decode_it(features, labels)[0] > 0

        return click

    return encode


def open_sam(model: object) -> Opened:
    """Take a SAM-family model: a SamOnnx or a SamTorch, whose module the other one's start must not import."""

    def encode(image: Image) -> Callable[[], object]:
        features = model.encode(image)  # type: ignore[attr-defined]
        middle = np.array([[image.shape[1] / 2, image.shape[0] / 2, 1]], np.float32)
        return lambda: model.click(features, middle, None)  # type: ignore[attr-defined]

    return encode


if __name__ == "__main__":
    raise SystemExit(main())
