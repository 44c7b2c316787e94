"""How long a click takes, stage by stage and against the alternatives. Run: python benchmarks/click_latency.py --help

A click is everything between the call and the mask: label update, prompt, decoder, resize to a 1024 x 1024 original,
threshold. Latency does not depend on what the weights are; the default bundle has random ones under which the
localised box follows the prompted region, as a trained model's does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from harness.bundles import bundle_for, encoded, open_segmenter
from harness.clicks import click_dense, click_engine, click_torch, is_first, stage_calls, torch_yardstick
from harness.machine import describe, gemm_rate
from harness.scenarios import Scenario, later_click, scenarios
from harness.timing import Times, calls, interleaved
from harness.work import decoder_gflop

from inter2former_onnx import Segmenter
from inter2former_onnx.models import ModelConfig
from inter2former_onnx.runtime import EncodedImage
from inter2former_onnx.runtime import labels as label_map
from inter2former_onnx.runtime.routing import route


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


def measure(config: str, size: int, cases: list[Scenario], args: argparse.Namespace) -> Iterator[Row]:
    """Time all contestants on each scenario, in turn; yields a row as soon as it is measured."""
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
    """Put results beside the sizes they belong to."""
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
    """Print a row for people; `rate` is the machine's, in GFLOP/s."""
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
