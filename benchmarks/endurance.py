"""Whether memory and latency stay flat over thousands of clicks, on a bundle of yours.

    python benchmarks/endurance.py BUNDLE [--sessions 200] [--clicks 10] [--images 20] [--threads N] [--side 500]

Clicks at random places of random images, one session after another, and prints the process's resident memory and the
median click of every tenth of the run. With --json one line for programs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from inter2former_onnx import Segmenter

PARTS = 10


def resident_mib() -> float:
    """Read this process's resident memory, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(args: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Click, one session after another.

    Returns:
        Median resident memory (MiB) and median seconds of a click in every tenth of the run.
    """
    segmenter = Segmenter(args.bundle, threads=args.threads)
    rng = np.random.default_rng(0)
    memory: list[float] = []
    seconds: list[float] = []
    for number in range(args.sessions):
        if number % max(1, args.sessions // args.images) == 0:
            coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            image = segmenter.encode(np.kron(coarse, np.ones((args.side // 8, args.side // 8, 1), np.uint8)))
        session = image.session()
        for _ in range(args.clicks):
            x, y, positive = rng.uniform(0, image.width), rng.uniform(0, image.height), bool(rng.integers(2))
            started = time.perf_counter()
            session.click(x, y, positive)
            seconds.append(time.perf_counter() - started)
        memory.append(resident_mib())

    def tenths(values: list[float]) -> list[float]:
        return [statistics.median(part.tolist()) for part in np.array_split(np.array(values), PARTS)]

    return tenths(memory), tenths(seconds)


def main() -> int:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--clicks", type=int, default=10, help="of every session")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--side", type=int, default=500, help="of the images, pixels")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("asks Linux for its memory")
    if args.sessions < PARTS or args.clicks < 1 or args.images < 1 or args.side < 8:
        parser.error(f"--sessions from {PARTS}, --side from 8, the others from 1")
    memory, seconds = measure(args)
    if args.json:
        print(json.dumps({"clicks": args.sessions * args.clicks, "memory_mib": memory, "seconds": seconds}))
        return 0
    print(
        f"{args.sessions * args.clicks} clicks over {args.sessions} sessions on {args.images} images, {args.bundle}\n"
    )
    print("| tenth of the run | resident memory, MiB | median click, ms |\n|---|---|---|")
    for part, (mib, click) in enumerate(zip(memory, seconds, strict=True), 1):
        print(f"| {part} | {mib:.1f} | {1e3 * click:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
