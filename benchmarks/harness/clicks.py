"""One click, by this project's engine and by the alternatives to it, ready to be timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from inter2former_onnx.models import ImageFeatures, Inter2Former, ModelConfig, load_state_dict, read_checkpoint
from inter2former_onnx.runtime import EncodedImage
from inter2former_onnx.runtime import labels as label_map
from inter2former_onnx.runtime.geometry import PATCH_SIZE
from inter2former_onnx.runtime.graph import Graph
from inter2former_onnx.runtime.islands import drop_islands
from inter2former_onnx.runtime.routing import route

from .scenarios import Scenario


def click_engine(image: EncodedImage, scenario: Scenario, times: int) -> Callable[[], object]:
    """Prepare one click through the public API; sessions are set up outside what is measured.

    As in the published loop, which is what the other contestants compute: islands stay. Masks of random weights are
    nothing but islands; what dropping them takes in an object's mask is measured by itself (`stage_calls`).

    Args:
        image: to click on.
        scenario: the click, and the label map before it.
        times: how often what is returned may be called.
    """
    scale = image.geometry.scale
    x, y = int(scenario.x / scale), int(scenario.y / scale)
    sessions = [image.session(labels=scenario.labels, drop_islands=False) for _ in range(times)]
    return lambda: sessions.pop().click(x, y, scenario.positive)


def click_dense(image: EncodedImage, scenario: Scenario) -> Callable[[], object]:
    """Prepare one click in dense-token mode: every token a boundary token, the whole image as region and box."""
    segmenter = image.segmenter

    def run() -> object:
        labels = scenario.labels.copy()
        label_map.draw_click(labels, scenario.y, scenario.x, scenario.positive, segmenter.manifest.click_radius)
        logits, box = segmenter.decode(image, labels, dense=True)
        positive = logits > 0
        label_map.apply_prediction(labels, box, positive, box)
        return image.geometry.mask(logits, positive, box, segmenter.manifest.outside_logit)

    return run


def torch_yardstick(folder: Path, image: EncodedImage) -> tuple[Inter2Former, ImageFeatures]:
    """Load our PyTorch modules with a bundle's weights, and make features to decode."""
    model = Inter2Former(ModelConfig.from_dict(image.segmenter.manifest.model)).eval().requires_grad_(False)
    load_state_dict(model, read_checkpoint(folder / "checkpoint.pth"), "checkpoint.pth")
    # Only shapes matter for time: the yardstick's edge maps need not be the image's.
    grid, dims = image.segmenter.size // PATCH_SIZE, model.config.edge_detector.dims[::-1]
    embed = torch.from_numpy(image.arrays["embed"].copy()).permute(2, 0, 1).contiguous()
    edges = [torch.randn(dim, grid * 2 ** (i + 1), grid * 2 ** (i + 1)) for i, dim in enumerate(dims)]
    return model, ImageFeatures(embed, edges)


def click_torch(
    decode: Callable[[ImageFeatures, torch.Tensor], tuple[torch.Tensor, Any]],
    features: ImageFeatures,
    image: EncodedImage,
    scenario: Scenario,
) -> Callable[[], object]:
    """Prepare one click in PyTorch: `Inter2Former.decode`, with the label rules of the published code.

    Args:
        decode: the model's, eager or compiled.
        features: it decodes.
        image: the mask is drawn for.
        scenario: the click, and the label map before it.
    """
    square = image.geometry.square
    labels_before = torch.from_numpy(scenario.labels)
    rows, columns = torch.meshgrid(*(torch.arange(scenario.labels.shape[0]),) * 2, indexing="ij")

    @torch.inference_mode()
    def run() -> object:
        labels = labels_before.clone()
        disc = (rows - scenario.y) ** 2 + (columns - scenario.x) ** 2 <= image.segmenter.manifest.click_radius**2
        labels[disc] = label_map.DEFINITE_FOREGROUND if scenario.positive else label_map.DEFINITE_BACKGROUND
        logits, _ = decode(features, labels)
        positive = logits > 0
        unknown = labels == label_map.UNKNOWN
        up = positive & (unknown | (labels == label_map.POSSIBLE_BACKGROUND))
        down = ~positive & (unknown | (labels == label_map.POSSIBLE_FOREGROUND))
        labels = labels + up.byte() - down.byte()
        full = F.interpolate(logits[None, None], (square, square), mode="bilinear", align_corners=False)[0, 0]
        return full[: image.height, : image.width] > 0

    return run


def is_first(scenario: Scenario) -> bool:
    """Tell whether nothing is known before the click."""
    return bool((scenario.labels == label_map.UNKNOWN).all())


def stage_calls(image: EncodedImage, scenario: Scenario) -> dict[str, Callable[[], object]]:
    """Prepare the parts of a click by themselves, on the scenario's data; by name."""
    segmenter, manifest = image.segmenter, image.segmenter.manifest
    labels = scenario.labels.copy()
    disc = label_map.draw_click(labels, scenario.y, scenario.x, scenario.positive, manifest.click_radius)
    before = label_map.region_of_interest(scenario.labels)
    region = label_map.region_of_interest(labels)
    part = np.ascontiguousarray(labels[region.slices])
    touched = disc if is_first(scenario) else None
    decoded = segmenter.decode_region(image, labels, region, touched)
    positive = decoded.logits > 0
    prompt = Graph(segmenter.bundle, manifest, "prompt", segmenter.threads)
    drawn = part >= label_map.UNKNOWN
    drawn_logits = np.where(drawn, np.float32(1), np.float32(-1))

    def find_region() -> object:
        return label_map.region_of_interest(scenario.labels.copy(), before.hull(disc))

    return {
        "labels and region": find_region,
        "routing": lambda: route(
            part, region, manifest.geometry.grid, manifest.routing, manifest.uncertainty_kernel_size
        ),
        "prompt graph": lambda: prompt.run(["prompt"], {"labels": part}),
        "routing, prompt and decoder": lambda: segmenter.decode_region(image, labels, region, touched),
        "islands of the object": lambda: drop_islands(drawn_logits, drawn, part == label_map.DEFINITE_FOREGROUND),
        "label update": lambda: label_map.apply_prediction(labels.copy(), region, positive, decoded.box),
        "mask": lambda: image.geometry.mask(decoded.logits, positive, decoded.box, manifest.outside_logit),
    }
