"""The contestants, loaded and ready to be timed in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from harness.bundles import ORIGINAL, bundle_for, encoded, open_segmenter, photograph
from harness.clicks import click_dense, click_engine, click_torch, torch_yardstick
from harness.scenarios import Scenario

from inter2former_onnx.runtime import EncodedImage

from .compiled import compiled
from .contestants import REFERENCE
from .plan import Plan
from .sam_models import SamShape, peer_folder
from .sam_onnx import SamOnnx
from .sam_torch import SamTorch

Call = Callable[[], object]


@dataclass(frozen=True)
class Runner:
    """One contestant.

    Attributes:
        size: side of its input in pixels: what its scenarios are made for.
        click: (scenario, which click of its object it is from 1, how often it will be called) -> one click.
        encode: encodes the photograph; None if that is no different from the reference's.
    """

    size: int
    click: Callable[[Scenario, int, int], Call]
    encode: Call | None = None


def engine_runners(config: str, size: int, threads: int) -> dict[str, Runner]:
    """Load this project's engine: native ops, portable ops, and dense tokens with native ops."""
    folder = bundle_for(config, size)
    native, portable = (open_segmenter(folder, ops, threads) for ops in ("native", "portable"))
    image, photo = encoded(folder, native), photograph(ORIGINAL)
    shared = EncodedImage(portable, image.height, image.width, image.arrays)
    return {
        REFERENCE: Runner(size, lambda s, _, times: click_engine(image, s, times), lambda: native.encode(photo)),
        "portable": Runner(size, lambda s, _, times: click_engine(shared, s, times), lambda: portable.encode(photo)),
        "dense": Runner(size, lambda s, _, __: click_dense(image, s)),
    }


def torch_runners(config: str, size: int, threads: int) -> dict[str, Runner]:
    """Load this project's PyTorch modules, eager and compiled."""
    folder = bundle_for(config, size)
    image = encoded(folder, open_segmenter(folder, "native", threads))
    model, features = torch_yardstick(folder, image)
    photo = torch.from_numpy(photograph(ORIGINAL))
    compiled_encode, compiled_decode = compiled(model)

    @torch.inference_mode()
    def encode() -> object:
        return model.encode(model.preprocess(photo))

    @torch.inference_mode()
    def encode_compiled() -> object:
        return compiled_encode(model.preprocess(photo))

    return {
        "eager": Runner(size, lambda s, _, __: click_torch(model.decode, features, image, s), encode),
        "compiled": Runner(size, lambda s, _, __: click_torch(compiled_decode, features, image, s), encode_compiled),
    }


def sam_runners(name: str, shape: SamShape, threads: int, torch_too: bool = True) -> dict[str, Runner]:
    """Load a SAM-family model in onnxruntime, and in PyTorch unless `torch_too` is false."""
    folder = peer_folder(name, shape)
    runners = {f"{name}_onnx": sam_runner(SamOnnx(folder, threads), shape.size)}
    if torch_too:
        runners[f"{name}_torch"] = sam_runner(SamTorch(shape.kind, folder), shape.size)
    return runners


def sam_runner(model: SamOnnx | SamTorch, size: int) -> Runner:
    """Prepare a loaded model: it encodes an image and has a previous mask."""
    photo = photograph(size)
    first = np.array([[size / 2, size / 2, 1]], np.float32)
    # Each model takes its own features; which kind they are is its affair.
    features = model.encode(photo)
    _, previous = model.click(features, first, None)  # type: ignore[arg-type]

    def click(scenario: Scenario, number: int, times: int) -> Call:
        clicks = np.repeat(np.array([[scenario.x, scenario.y, scenario.positive]], np.float32), number, axis=0)
        before = None if number == 1 else previous
        return lambda: model.click(features, clicks, before)  # type: ignore[arg-type]

    return Runner(size, click, lambda: model.encode(photo))


def all_runners(plan: Plan) -> dict[str, Runner]:
    """Load every contestant that takes turns in one process."""
    torch.set_num_threads(plan.threads)
    runners = engine_runners(plan.config, plan.size, plan.threads)
    runners["tiny"] = engine_runners(plan.tiny_config, plan.tiny_size, plan.threads)[REFERENCE]
    runners.update(torch_runners(plan.config, plan.size, plan.threads))
    for name, shape in plan.shapes.items():
        runners.update(sam_runners(name, shape, plan.threads))
    return runners
