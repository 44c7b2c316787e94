"""Two bundles of one checkpoint (geometry `fit` against `square`, int8 against float32): time to encode, and masks.

Clicks are simulated on fixed targets of a data folder (as in docs/training.md): each bundle gets the clicks that its
own masks call for, and is compared with the target; and the second gets those of the first, and is compared with it.
Without --data only the time is measured. Encoding takes turns in one process; its ratio is the median over neighbours
in time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness.machine import describe
from harness.targets import spread
from harness.timing import interleaved
from numpy.typing import NDArray

from inter2former_onnx import EncodedImage, Segmenter
from inter2former_onnx.evaluation.clicks import simulate_click
from inter2former_onnx.evaluation.datasets.regions import listed
from inter2former_onnx.evaluation.metrics import iou
from inter2former_onnx.evaluation.targets import Mask, Picture
from inter2former_onnx.images import read_image
from inter2former_onnx.progress import progress
from inter2former_onnx.runtime.click import Click

CLICKS = 5
SHOWN = (1, 3, 5)  # clicks after which the table says something


@dataclass(frozen=True)
class Overlaps:
    """IoU after each click [targets, clicks]: of both bundles with the target; of both on equal clicks."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    between: NDArray[np.float64]


def main() -> int:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="the bundle to compare with")
    parser.add_argument("second", type=Path, help="the bundle to compare")
    parser.add_argument("--image-size", default="1600x900", metavar="WxH", help="image to time (default: 1600x900)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds, each encodes four times (default: 3)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder with an evaluation list")
    parser.add_argument("--list", default="eval.json", help="the list in it (default: eval.json)")
    parser.add_argument("--targets", type=int, default=40, help="how many of its targets, evenly spread (default: 40)")
    args = parser.parse_args()
    first, second = (Segmenter(path, threads=args.threads) for path in (args.first, args.second))
    print(*describe(args.threads), sep="\n")
    width, height = (int(side) for side in args.image_size.split("x"))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    times = interleaved({"first": lambda: first.encode(image), "second": lambda: second.encode(image)}, args.rounds)
    print(f"encoding {width} x {height} pixels (median [quartiles])")
    for name, segmenter in (("first", first), ("second", second)):
        rows, columns = segmenter.manifest.geometry.of_image(height, width).grid
        kind = f"{segmenter.bundle.name}, {segmenter.manifest.precision}, {segmenter.manifest.geometry.mode}"
        print(f"  {name:7} {rows:3} x {columns:<3} tokens {times[name]}  ({kind})")
    print(f"  the second is {times['second'].ratio_to(times['first']):.2f} times as fast")
    if args.data is not None:
        print_overlaps(compared(first, second, spread(listed(args.data, args.list), args.targets)))
    return 0


def compared(first: Segmenter, second: Segmenter, pictures: Sequence[Picture]) -> Overlaps:
    """Click both bundles towards the same targets."""
    values: list[list[list[float]]] = [[], [], []]
    for picture in progress(pictures, "compare"):
        pixels, (target,) = read_image(picture.image), picture.read()
        images = [segmenter.encode(pixels) for segmenter in (first, second)]
        (clicks, firsts), (_, seconds) = (played(image, target.mask) for image in images)
        session = images[1].session()
        followed = [session.click(*click) if click else session.mask for click in clicks]
        values[0].append([iou(mask, target.mask) for mask in firsts])
        values[1].append([iou(mask, target.mask) for mask in seconds])
        values[2].append([iou(*masks) for masks in zip(firsts, followed, strict=True)])
    return Overlaps(*(np.array(rows) for rows in values))


def played(image: EncodedImage, target: Mask) -> tuple[list[Click | None], list[Mask]]:
    """Play a session towards the target.

    Returns:
        Its clicks (None where nothing is left to say), and its masks.
    """
    session = image.session()
    clicks: list[Click | None] = []
    masks: list[Mask] = []
    for _ in range(CLICKS):
        click = simulate_click(masks[-1] if masks else np.zeros_like(target), target)
        clicks.append(click)
        masks.append(session.click(*click) if click else masks[-1])
    return clicks, masks


def print_overlaps(overlaps: Overlaps) -> None:
    """Print a line per comparison."""
    print(f"mean IoU on {len(overlaps.first)} targets after {', '.join(map(str, SHOWN))} clicks")
    rows = (("first with target", "first"), ("second with target", "second"), ("second with first", "between"))
    for label, name in rows:
        means = getattr(overlaps, name).mean(axis=0)
        print(f"  {label:19}", *(f"{means[click - 1]:.3f}" for click in SHOWN))


if __name__ == "__main__":
    raise SystemExit(main())
