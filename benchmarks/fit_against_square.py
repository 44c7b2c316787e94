"""Geometry `fit` against `square`: time to encode, and how far their masks differ. Needs two bundles of one checkpoint.

The clicks of a session are simulated on fixed targets of a data folder (as in training/README.md), towards the target
from the mask of `square`; both geometries get the same ones. Without --data only the time is measured. Encoding takes
turns in one process; its ratio is the median over neighbours in time.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import describe
from numpy.typing import NDArray
from timing import interleaved

from inter2former_onnx import Segmenter
from inter2former_onnx.errors import ArgumentError
from inter2former_onnx.progress import progress
from inter2former_onnx.training.clicks import simulate_click
from inter2former_onnx.training.evaluation_targets import EvaluationTarget, read_evaluation

CLICKS = 5
SHOWN = (1, 3, 5)  # clicks after which the table says something

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Overlaps:
    """IoU after each click [targets, clicks]: of both geometries with the target, and with each other."""

    square: NDArray[np.float64]
    fit: NDArray[np.float64]
    between: NDArray[np.float64]


def main() -> int:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("square", type=Path, help="bundle of geometry square")
    parser.add_argument("fit", type=Path, help="bundle of geometry fit")
    parser.add_argument("--image-size", default="1600x900", metavar="WxH", help="image to time (default: 1600x900)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds, each encodes four times (default: 3)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder with an evaluation list")
    parser.add_argument("--list", default="eval.json", help="the list in it (default: eval.json)")
    parser.add_argument("--targets", type=int, default=40, help="how many of its targets, evenly spread (default: 40)")
    args = parser.parse_args()
    square, fit = (opened(path, mode, args.threads) for path, mode in ((args.square, "square"), (args.fit, "fit")))
    print(*describe(args.threads), sep="\n")
    width, height = (int(side) for side in args.image_size.split("x"))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    times = interleaved({"square": lambda: square.encode(image), "fit": lambda: fit.encode(image)}, args.rounds)
    print(f"encoding {width} x {height} pixels, T = {square.size} (median [quartiles])")
    for name, segmenter in (("square", square), ("fit", fit)):
        rows, columns = segmenter.manifest.geometry.of_image(height, width).grid
        print(f"  {name:7} {rows:3} x {columns:<3} tokens {times[name]}")
    print(f"  fit is {times['fit'].ratio_to(times['square']):.2f} times as fast")
    if args.data is not None:
        print_overlaps(compared(square, fit, spread(read_evaluation(args.data, args.list), args.targets)))
    return 0


def opened(bundle: Path, mode: str, threads: int) -> Segmenter:
    """A Segmenter, if the bundle is of that geometry."""
    segmenter = Segmenter(bundle, threads=threads)
    if segmenter.manifest.geometry.mode != mode:
        raise ArgumentError(f"{bundle}: expected geometry {mode!r}, found {segmenter.manifest.geometry.mode!r}")
    return segmenter


def spread(targets: list[EvaluationTarget], count: int) -> list[EvaluationTarget]:
    """At most `count` of them, evenly spread over the list."""
    return targets[:: max(1, -(-len(targets) // count))]


def compared(square: Segmenter, fit: Segmenter, targets: list[EvaluationTarget]) -> Overlaps:
    """Both geometries on the same clicks; a session that has reached its target keeps its last values."""
    results: list[list[tuple[float, float, float]]] = []
    for target in progress(targets, "compare"):
        sessions = [segmenter.encode(target.image).session() for segmenter in (square, fit)]
        masks = [np.zeros_like(target.mask)] * 2
        session: list[tuple[float, float, float]] = []
        for _ in range(CLICKS):
            click = simulate_click(masks[0], target.mask)
            if click is None:
                session.append(session[-1])
                continue
            masks = [each.click(click.column, click.row, click.positive) for each in sessions]
            session.append((iou(masks[0], target.mask), iou(masks[1], target.mask), iou(*masks)))
        results.append(session)
    values = np.array(results)
    return Overlaps(values[..., 0], values[..., 1], values[..., 2])


def print_overlaps(overlaps: Overlaps) -> None:
    """A line per comparison."""
    print(f"mean IoU on {len(overlaps.square)} targets after {', '.join(map(str, SHOWN))} clicks")
    rows = (("square with target", "square"), ("fit with target", "fit"), ("fit with square", "between"))
    for label, name in rows:
        means = getattr(overlaps, name).mean(axis=0)
        print(f"  {label:19}", *(f"{means[click - 1]:.3f}" for click in SHOWN))


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union; 1 for two empty masks."""
    either = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / either if either else 1.0


if __name__ == "__main__":
    raise SystemExit(main())
