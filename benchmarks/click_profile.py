"""Where a click's time goes in the decoder, by op, and how it grows in dense mode and with the image's size.

Three runs of onnxruntime's profiler over the decoder of a click on an object of 35 % of the image's side: dynamic mode,
dense mode, and dynamic mode at twice the size. An op's growth says whether its arithmetic bounds the whole: what is
computed for every token grows with the tokens, what boundary tokens do with all keys grows with the square.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from harness.bundles import bundle_for, encoded
from harness.clicks import click_dense, click_engine
from harness.machine import describe, gemm_rate
from harness.scenarios import later_click

from inter2former_onnx import Segmenter
from inter2former_onnx.evaluation.report import table
from inter2former_onnx.runtime import graph

if TYPE_CHECKING:
    import onnxruntime as ort

SHARE = 0.35
WARM_UP = 3


def main() -> int:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="vit_b", help="preset or JSON file (default: vit_b)")
    parser.add_argument("--size", type=int, default=1024, help="side of the model's input (default: 1024)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15, help="timed clicks each (default: 15)")
    args = parser.parse_args()
    print(*describe(args.threads), f"GEMM: {gemm_rate(args.threads):.0f} GFLOP/s (onnxruntime, float32)", sep="\n")
    dynamic = profiled(args.config, args.size, False, args.threads, args.rounds)
    dense = profiled(args.config, args.size, True, args.threads, args.rounds)
    large = profiled(args.config, 2 * args.size, False, args.threads, args.rounds)
    head = ["op", f"T = {args.size}", "share", "dense", "growth", f"T = {2 * args.size}", "growth"]
    names = sorted({*dynamic, *dense, *large}, key=lambda name: -dynamic.get(name, 0.0))
    rows = [row(name, *(times.get(name, 0.0) for times in (dynamic, dense, large)), dynamic) for name in names]
    rows.append(row("**all**", *(sum(times.values()) for times in (dynamic, dense, large)), dynamic))
    print(f"\nmedians of {args.rounds} clicks, in ms, summed over an op's nodes\n\n{table(head, rows)}")
    return 0


def row(name: str, dynamic: float, dense: float, large: float, whole: dict[str, float]) -> list[str]:
    """Make a line of the table; times in seconds."""
    share = f"{dynamic / sum(whole.values()):.0%}"
    growth = [f"{other / dynamic:.2f} x" if dynamic else "" for other in (dense, large)]
    shown = [f"{1e3 * seconds:.2f}" for seconds in (dynamic, dense, large)]
    return [name, shown[0], share, shown[1], growth[0], shown[2], growth[1]]


def profiled(config: str, size: int, dense: bool, threads: int, rounds: int) -> dict[str, float]:
    """Profile the decoder in one click.

    Returns:
        Seconds by op: medians of each node over the rounds, summed.
    """
    folder = bundle_for(config, size)
    case = later_click(size, SHARE)
    with tempfile.TemporaryDirectory() as traces:
        plain = graph.session_options

        def recording(threads: int) -> ort.SessionOptions:
            options = plain(threads)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(traces) / "trace")
            return options

        with patch.object(graph, "session_options", recording):
            segmenter = Segmenter(folder, threads=threads)
            image = encoded(folder, segmenter)
            run: Callable[[], object] = (
                click_dense(image, case) if dense else click_engine(image, case, WARM_UP + rounds)
            )
            for _ in range(WARM_UP + rounds):
                run()
        trace = Path(segmenter._decoder.graph.load().end_profiling())
        return by_op(json.loads(trace.read_text()), rounds)


def by_op(events: list[dict], rounds: int) -> dict[str, float]:
    """Sum a trace's node times by op, in seconds, as `profiled` returns them."""
    nodes: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes[event["args"]["op_name"], event["name"]].append(event["dur"] / 1e6)
    sums: dict[str, float] = defaultdict(float)
    for (op, _), seconds in nodes.items():
        sums[op] += statistics.median(seconds[-rounds:])
    return dict(sums)


if __name__ == "__main__":
    sys.exit(main())
