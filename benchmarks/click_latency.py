"""How long a click takes, stage by stage and against the alternatives. Run: python benchmarks/click_latency.py --help

A click is everything between the call and the mask: label update, prompt, decoder, resize to a 1024 x 1024 original,
threshold. Latency does not depend on what the weights are; the default bundle has random ones under which the
localised box follows the prompted region, as a trained model's does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from machine import describe, gemm_rate
from numpy.typing import NDArray
from scenarios import Scenario, later_click, scenarios
from timing import Times, calls, interleaved
from work import decoder_gflop

from inter2former_onnx import Segmenter
from inter2former_onnx.export import export_bundle
from inter2former_onnx.models import ImageFeatures, Inter2Former, ModelConfig, load_state_dict, read_checkpoint
from inter2former_onnx.runtime import EncodedImage
from inter2former_onnx.runtime import labels as label_map
from inter2former_onnx.runtime.graph import Graph
from inter2former_onnx.runtime.islands import drop_islands
from inter2former_onnx.runtime.routing import route

ORIGINAL = 1024  # side of the photograph in pixels
SEED = 7
FOLDER = Path("build/bench")


@dataclass(frozen=True)
class Row:
    """One scenario's results, in seconds and ratios."""

    scenario: str
    size: int
    boundary_tokens: int
    box_tokens: int
    gflop: float
    click: Times
    torch: Times | None
    dense: Times | None
    portable: Times | None
    stages: dict[str, Times]


def main() -> int:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="vit_b", help="preset or JSON file (default: vit_b)")
    parser.add_argument("--size", type=int, default=1024, help="side of the model's input (default: 1024)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds per scenario (default: 15)")
    parser.add_argument("--no-torch", action="store_true", help="leave out the PyTorch yardstick")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs there")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rate = gemm_rate(args.threads)
    print(*describe(args.threads), f"GEMM: {rate:.0f} GFLOP/s (onnxruntime, float32, in this run)", sep="\n")
    rows: list[Row] = []
    plan = [(args.size, scenarios(args.size)), (2 * args.size, [later_click(2 * args.size, 0.35)])]
    for size, cases in plan:
        for row in measure(args.config, size, cases, args):
            rows.append(row)
            print_row(row, rate)
    by_size = {row.size: row for row in rows if row.scenario == "35% object"}
    growth = by_size[2 * args.size].click.median / by_size[args.size].click.median
    print(f"\n35% object at {2 * args.size} takes {growth:.2f} times as long as at {args.size}")
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0


def bundle_for(config: str, size: int) -> Path:
    """The random-weights bundle, exported once."""
    folder = FOLDER / f"{Path(config).stem}-{size}"
    if not (folder / "manifest.json").is_file():
        print(f"exporting {folder} ...", file=sys.stderr)
        export_bundle(folder, config=config, random_weights=SEED, size=size)
    return folder


def open_segmenter(folder: Path, ops: str | None, threads: int) -> Segmenter:
    """A Segmenter whose ops are forced; None takes what there is."""
    with patch.dict(os.environ, {"INTER2FORMER_OPS": ops} if ops else {}):
        return Segmenter(folder, threads=threads)


def encoded(folder: Path, segmenter: Segmenter) -> EncodedImage:
    """A photograph-like image, encoded once per bundle and kept on disk."""
    path = folder.with_suffix(".npz")
    if path.is_file():
        return segmenter.load(path)
    result = segmenter.encode(photograph(ORIGINAL))
    result.save(path)
    return result


def photograph(side: int) -> NDArray[np.uint8]:
    """Something smooth with noise, like a photograph: uint8 [side, side, 3]."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (side // 32, side // 32, 3)).astype(np.float32)
    smooth = F.interpolate(torch.from_numpy(coarse).permute(2, 0, 1)[None], (side, side), mode="bicubic")
    noise = rng.normal(0, 6, (side, side, 3))
    return np.clip(smooth[0].permute(1, 2, 0).numpy() + noise, 0, 255).astype(np.uint8)


def click_engine(image: EncodedImage, scenario: Scenario, times: int) -> Callable[[], object]:
    """One click through the public API, for up to `times` calls; sessions are set up outside what is measured.

    As in the published loop, which is what the other contestants compute: islands stay. Masks of random weights are
    nothing but islands; what dropping them takes in an object's mask is measured by itself (`stage_calls`).
    """
    scale = image.geometry.scale
    x, y = int(scenario.x / scale), int(scenario.y / scale)
    sessions = [image.session(labels=scenario.labels, drop_islands=False) for _ in range(times)]
    return lambda: sessions.pop().click(x, y, scenario.positive)


def click_dense(image: EncodedImage, scenario: Scenario) -> Callable[[], object]:
    """Dense-token mode: every token a boundary token, the whole image as region and box."""
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
    """Our PyTorch modules with a bundle's weights, and features to decode."""
    model = Inter2Former(ModelConfig.from_dict(image.segmenter.manifest.model)).eval().requires_grad_(False)
    load_state_dict(model, read_checkpoint(folder / "checkpoint.pth"), "checkpoint.pth")
    # Only shapes matter for time: the yardstick's edge maps need not be the image's.
    grid, dims = image.segmenter.size // 16, model.config.edge_detector.dims[::-1]
    embed = torch.from_numpy(image.arrays["embed"].copy()).permute(2, 0, 1).contiguous()
    edges = [torch.randn(dim, grid * 2 ** (i + 1), grid * 2 ** (i + 1)) for i, dim in enumerate(dims)]
    return model, ImageFeatures(embed, edges)


def click_torch(
    decode: Callable[[ImageFeatures, torch.Tensor], tuple[torch.Tensor, Any]],
    features: ImageFeatures,
    image: EncodedImage,
    scenario: Scenario,
) -> Callable[[], object]:
    """`Inter2Former.decode` in PyTorch, with the label rules of the published code in PyTorch."""
    square = image.geometry.square
    labels_before = torch.from_numpy(scenario.labels)
    rows, columns = torch.meshgrid(*(torch.arange(scenario.labels.shape[0]),) * 2, indexing="ij")

    @torch.inference_mode()
    def run() -> object:
        labels = labels_before.clone()
        disc = (rows - scenario.y) ** 2 + (columns - scenario.x) ** 2 <= image.segmenter.manifest.click_radius**2
        labels[disc] = 4 if scenario.positive else 0
        logits, _ = decode(features, labels)
        positive = logits > 0
        up, down = positive & ((labels == 1) | (labels == 2)), ~positive & ((labels == 2) | (labels == 3))
        labels = labels + up.byte() - down.byte()
        full = F.interpolate(logits[None, None], (square, square), mode="bilinear", align_corners=False)[0, 0]
        return full[: image.height, : image.width] > 0

    return run


def is_first(scenario: Scenario) -> bool:
    """Whether nothing is known before the click."""
    return bool((scenario.labels == label_map.UNKNOWN).all())


def stage_calls(image: EncodedImage, scenario: Scenario) -> dict[str, Callable[[], object]]:
    """The parts of a click by themselves, on the scenario's data."""
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


def measure(config: str, size: int, cases: list[Scenario], args: argparse.Namespace) -> Iterator[Row]:
    """All contestants on each scenario, in turn; a row as soon as it is measured."""
    folder = bundle_for(config, size)
    segmenter = open_segmenter(folder, None, args.threads)
    image = encoded(folder, segmenter)
    portable = open_segmenter(folder, "portable", args.threads) if segmenter.ops == "native" else None
    yardstick = None if args.no_torch else torch_yardstick(folder, image)
    turns = calls(args.rounds)
    for case in cases:
        contestants = {"click": click_engine(image, case, turns), "dense": click_dense(image, case)}
        if portable is not None:
            shared = EncodedImage(portable, image.height, image.width, image.arrays)
            contestants["portable"] = click_engine(shared, case, turns)
        if yardstick is not None:
            contestants["torch"] = click_torch(yardstick[0].decode, yardstick[1], image, case)
        times = interleaved(contestants, args.rounds)
        stages = interleaved(stage_calls(image, case), args.rounds)
        yield row_of(segmenter, image, case, times, stages)


def row_of(
    segmenter: Segmenter, image: EncodedImage, case: Scenario, times: dict[str, Times], stages: dict[str, Times]
) -> Row:
    """Results with the sizes they belong to."""
    manifest = segmenter.manifest
    region = label_map.region_of_interest(case.labels)
    part = np.ascontiguousarray(case.labels[region.slices])
    boundary, other = route(part, region, manifest.geometry.grid, manifest.routing, manifest.uncertainty_kernel_size)
    _, box = segmenter.decode(image, case.labels)
    box_tokens = box.width * box.height // manifest.geometry.patch_size**2
    config = ModelConfig.from_dict(manifest.model)
    region_tokens = region.width * region.height // manifest.geometry.patch_size**2
    tokens = boundary.size + other.size
    gflop = decoder_gflop(config, tokens, region_tokens, boundary.size, box_tokens, is_first(case))
    optional = {name: times.get(name) for name in ("torch", "dense", "portable")}
    return Row(case.name, segmenter.size, boundary.size, box_tokens, gflop, times["click"], **optional, stages=stages)


def print_row(row: Row, rate: float) -> None:
    """For people."""
    print(f"\n{row.scenario}, T = {row.size}: {row.boundary_tokens} boundary tokens, box of {row.box_tokens} tokens")
    print(f"  click                        {row.click}")
    for name, times in (("PyTorch, eager", row.torch), ("dense mode", row.dense), ("portable ops", row.portable)):
        if times:
            print(f"  {name:28} {times}  click is {row.click.ratio_to(times):.2f} times faster")
    for name, times in row.stages.items():
        print(f"    {name:26} {times}")
    reached = row.gflop / row.stages["routing, prompt and decoder"].median
    share = f"{reached / rate:.0%} of the GEMM rate"
    print(f"  roofline: {row.gflop:.2f} GFLOP needed, {reached:.0f} GFLOP/s reached, {share}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
