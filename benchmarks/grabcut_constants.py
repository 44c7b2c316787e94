"""Which constants of the GrabCut baseline give it the best masks: mean IoU after each click, for all combinations.

Measured on the development targets of a data folder (training pictures that training leaves out), never on the
evaluation lists. The best ones belong into evaluation/methods/grabcut.py as its defaults.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from inter2former_onnx.evaluation.methods.grabcut import GrabCutSettings
from inter2former_onnx.evaluation.protocol import evaluate_object
from inter2former_onnx.progress import progress
from inter2former_onnx.training.datasets import read_records
from inter2former_onnx.training.development import development_examples
from inter2former_onnx.training.options import Recipe
from inter2former_onnx.training.records import hold_out

SIDES = (192, 256, 384, 0)
SHARES = (0.05, 0.07, 0.1, 0.15, 0.2)
ITERATIONS = (1, 3, 5)
SHOWN = (1, 3, 5, 10)  # clicks after which the table says something


def main() -> int:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data folder (docs/training.md)")
    parser.add_argument("--targets", type=int, default=40, help="how many targets, evenly spread (default: 40)")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    held_out = hold_out(read_records(args.data, "train"), Recipe().held_out, seed=0)[1]
    every = development_examples(held_out, seed=0)
    examples = [every[i] for i in np.linspace(0, len(every) - 1, min(args.targets, len(every))).astype(int)]
    print(f"{len(examples)} targets, IoU after {', '.join(map(str, SHOWN))} clicks; mean of all {SHOWN[-1]}")
    for side, iterations, share in itertools.product(SIDES, ITERATIONS, SHARES):
        settings = GrabCutSettings(longest_side=side, probable_share=share, iterations=iterations)
        method = settings.open(args.threads)
        curves = []
        for example in progress(examples, label=f"{side}, {iterations}, {share}"):
            curves.append(evaluate_object(method.encode(example.image), example.target, SHOWN[-1]).ious)
        mean = np.mean(curves, axis=0)
        values = ", ".join(f"{mean[k - 1]:.3f}" for k in SHOWN)
        what = f"longest side {side or 'as it is'}, iterations {iterations}, share {share:.2f}"
        print(f"{what}: {values}; {mean.mean():.4f}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
