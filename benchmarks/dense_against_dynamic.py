"""Do dynamic masks equal dense ones? A bundle's clicks, and the same label maps decoded with every token at full cost.

Clicks are simulated on targets of a data folder (as in docs/training.md) towards the dynamic masks. After each, the
label map that the decoder saw is decoded again in dense mode: full attention for every token, the whole map drawn.
Where a model was trained for the dynamic mode only, the two may differ; how much is what this prints.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from harness.targets import spread
from numpy.typing import NDArray

from inter2former_onnx import EncodedImage, Segmenter
from inter2former_onnx.evaluation.clicks import simulate_click
from inter2former_onnx.evaluation.datasets.regions import listed
from inter2former_onnx.evaluation.metrics import iou
from inter2former_onnx.evaluation.targets import Mask
from inter2former_onnx.images import read_image
from inter2former_onnx.progress import progress
from inter2former_onnx.runtime import labels as label_rules

SHOWN = (1, 3, 5, 10)  # clicks after which the table says something


def main() -> int:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="default: the model that ships in the package")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data folder with an evaluation list")
    parser.add_argument("--list", default="eval.json", help="the list in it (default: eval.json)")
    parser.add_argument("--targets", type=int, default=60, help="how many of its targets, evenly spread (default: 60)")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    segmenter = Segmenter(args.bundle, threads=args.threads)
    pictures = spread(listed(args.data, args.list), args.targets)
    rows = [
        compared(segmenter.encode(read_image(picture.image)), picture.read()[0].mask)
        for picture in progress(pictures, "compare")
    ]
    between, dynamic, dense = np.array(rows).transpose(2, 0, 1)
    print(f"{args.list}: mean IoU on {len(pictures)} targets after {', '.join(map(str, SHOWN))} clicks, and of all")
    for name, values in (("dynamic with dense", between), ("dynamic with target", dynamic), ("dense, target", dense)):
        means = values.mean(axis=0)
        print(f"  {name:20}", *(f"{means[k - 1]:.3f}" for k in SHOWN), f" {values.mean():.4f}")
    return 0


def compared(image: EncodedImage, target: Mask) -> list[tuple[float, float, float]]:
    """Play one session.

    Returns:
        IoU of dynamic with dense mask, of dynamic with target, of dense with target, after each click.
    """
    session = image.session(enforce_clicks=False, drop_islands=False)
    mask = np.zeros_like(target)
    rows: list[tuple[float, float, float]] = []
    for _ in range(SHOWN[-1]):
        click = simulate_click(mask, target)
        if click is None:
            rows.append(rows[-1])
            continue
        labels = session.labels
        row, column = image.geometry.model_pixel(click.y, click.x)
        label_rules.draw_click(labels, row, column, click.positive, image.segmenter.manifest.click_radius)
        mask = session.click(*click)
        dense = dense_mask(image, labels)
        rows.append((iou(mask, dense), iou(mask, target), iou(dense, target)))
    return rows


def dense_mask(image: EncodedImage, labels: NDArray[np.uint8]) -> Mask:
    """Decode a label map with every token a boundary token and the whole map drawn."""
    logits, box = image.segmenter.decode(image, labels, dense=True)
    return image.geometry.mask(logits, logits > 0, box, image.segmenter.manifest.outside_logit)


if __name__ == "__main__":
    raise SystemExit(main())
