"""How long encoding an image takes, by part and against the alternatives.

Run: python benchmarks/encode_latency.py --help. An encoding is everything from 8-bit pixels to what clicks need of
them. Latency does not depend on what the weights are; they are random. All contestants take turns in one process; peak
memory is that of a process that encodes one image.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import torch
from harness.bundles import FOLDER, bundle_for
from harness.encoder_graphs import PARTS, graph_file, naive_encoder, part_graph
from harness.machine import describe, gemm_rate
from harness.timing import Times, interleaved
from harness.work import encoder_gflop

from inter2former_onnx import Segmenter
from inter2former_onnx.custom_ops import library
from inter2former_onnx.models import Inter2Former, load_config, load_state_dict, read_checkpoint
from inter2former_onnx.runtime.graph import session_options

PRECISIONS = ("float32", "int8")
CONTESTANTS = (*PRECISIONS, "naive", "torch")

PEAK = """
import sys
import numpy as np
from harness.memory import peak_memory
from inter2former_onnx import Segmenter
side = int(sys.argv[2])
image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
Segmenter(sys.argv[1], threads=int(sys.argv[3])).encode(image)
print(peak_memory())
"""


def main() -> int:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="vit_b", help="preset or JSON file (default: vit_b)")
    parser.add_argument("--size", type=int, default=1024, help="side of the model's input (default: 1024)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: 5)")
    parser.add_argument(
        "--contestants",
        nargs="*",
        choices=CONTESTANTS,
        default=list(CONTESTANTS),
        help="our bundles, a naive export of the same modules, our modules in PyTorch (default: all)",
    )
    parser.add_argument("--no-parts", action="store_true", help="only whole encodings")
    parser.add_argument("--no-memory", action="store_true", help="leave out the peak memory")
    parser.add_argument("--prepare", action="store_true", help="only export what is measured, and end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs there")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    bench = Bench(args.config, args.size, args.threads)
    if args.prepare:
        bench.prepare()
        return 0
    rate = gemm_rate(args.threads)
    print(*describe(args.threads), f"GEMM: {rate:.0f} GFLOP/s (onnxruntime, float32, in this run)", sep="\n")
    times = interleaved(bench.contestants(args.contestants), args.rounds, warm_up=1, runs_per_turn=1)
    print_ratios(times, sum(bench.gflop.values()), rate)
    parts: dict[str, Times] = {}
    if not args.no_parts:
        parts = interleaved(bench.parts(), args.rounds, warm_up=1, runs_per_turn=1)
        print_parts(parts, bench.gflop, rate)
    if not args.no_memory:
        for precision in PRECISIONS:
            print(f"peak memory of a process that encodes one image, {precision}: {bench.peak(precision):.0f} MB")
    if args.json:
        args.json.write_text(json.dumps({name: asdict(t) for name, t in {**times, **parts}.items()}, indent=1))
    return 0


class Bench:
    """One configuration at one size: its graphs, made once and kept, and what is timed."""

    def __init__(self, config: str, size: int, threads: int) -> None:
        self.config, self.size, self.threads = config, size, threads
        self.name = f"{Path(config).stem}-{size}"
        self.gflop = encoder_gflop(load_config(config), size)
        rng = np.random.default_rng(0)
        self.image = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        self.inputs = rng.standard_normal((1, 3, size, size), dtype=np.float32)

    def bundle(self, precision: str) -> Path:
        """Export the random-weights bundle of a precision, unless it is there."""
        return bundle_for(self.config, self.size, precision)

    @cache  # noqa: B019  (there is one Bench)
    def model(self) -> Inter2Former:
        """Load the PyTorch modules with the bundle's weights."""
        model = Inter2Former(load_config(self.config)).eval().requires_grad_(False)
        load_state_dict(model, read_checkpoint(self.bundle("float32") / "checkpoint.pth"), "checkpoint.pth")
        return model

    def graph(self, name: str) -> Path:
        """Export the naive encoder ("naive") or a part ("PART, PRECISION"), unless it is there."""
        path = FOLDER / f"{self.name}-graphs" / f"{name.replace(', ', '-').replace(' ', '_')}.onnx"
        if name == "naive":
            return graph_file(path, lambda: naive_encoder(self.model()))
        part, precision = name.split(", ")
        return graph_file(path, lambda: part_graph(self.model(), part, precision))

    def part_names(self) -> list[str]:
        """Name the parts; the one that differs with the precision comes twice."""
        return [f"{part}, float32" for part in PARTS] + ["ViT, int8"]

    def prepare(self) -> None:
        """Write all graphs."""
        for precision in PRECISIONS:
            self.bundle(precision)
        for name in ("naive", *self.part_names()):
            self.graph(name)

    def contestants(self, names: list[str]) -> dict[str, Callable[[], object]]:
        """Prepare whole encodings, by contestant."""
        made: dict[str, Callable[[], object]] = {}
        for name in names:
            if name in PRECISIONS:
                segmenter = Segmenter(self.bundle(name), threads=self.threads)
                made[name] = lambda segmenter=segmenter: segmenter.encode(self.image)  # type: ignore[misc]
            elif name == "naive":
                made[name] = self.run("naive", ops=False)
            else:
                made[name] = self.encode_torch
        return made

    def encode_torch(self) -> object:
        """Encode with our PyTorch modules in eager mode."""
        with torch.inference_mode():
            return self.model().encode(self.model().preprocess(torch.from_numpy(self.image)))

    def parts(self) -> dict[str, Callable[[], object]]:
        """Prepare the encoder's parts by themselves."""
        return {name: self.run(name, ops=True) for name in self.part_names()}

    def run(self, name: str, ops: bool) -> Callable[[], object]:
        """Open a graph in a session of its own and prepare its run.

        Args:
            name: as for `graph`.
            ops: whether it needs the ops of this project.
        """
        import onnxruntime as ort  # after harness: see there

        options = session_options(self.threads)
        if ops:
            library.register(options)
        session = ort.InferenceSession(str(self.graph(name)), options, providers=["CPUExecutionProvider"])
        wanted = session.get_inputs()[0].name
        feed = {wanted: self.image if wanted == "image" else self.inputs}
        return lambda: session.run(None, feed)

    def peak(self, precision: str) -> float:
        """Measure the peak resident memory, in MB, of a process that opens the bundle and encodes one image."""
        command = [sys.executable, "-c", PEAK, str(self.bundle(precision).resolve()), str(self.size), str(self.threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
        return int(done.stdout) / 2**20


def print_ratios(times: dict[str, Times], gflop: float, rate: float) -> None:
    """Print whole encodings against each other."""
    print(f"\nencoding an image: {gflop:.0f} GFLOP")
    labels = {"naive": "naive export, float32", "torch": "PyTorch modules, eager"}
    for name, t in times.items():
        reached = gflop / t.median
        speed = f"{reached:.0f} GFLOP/s, {reached / rate:.0%} of the float32 GEMM rate"
        print(f"  {labels.get(name, name):24} {t}  {speed}")
    for ours in PRECISIONS:
        for other in ("float32", "naive", "torch"):
            if ours in times and other in times and ours != other:
                ratio = times[ours].ratio_to(times[other])
                print(f"  {ours} is {ratio:.2f} times as fast as {labels.get(other, other)}")


def print_parts(parts: dict[str, Times], gflop: dict[str, float], rate: float) -> None:
    """Print the parts, with what they reach."""
    print("\nparts, each by itself")
    for name, t in parts.items():
        part = name.split(", ")[0]
        work = gflop["edge detector"] + gflop["edge terms"] if part.startswith("edge") else gflop.get(part)
        speed = ""
        if work is not None:
            speed = f"  {work:.0f} GFLOP, {work / t.median:.0f} GFLOP/s, {work / t.median / rate:.0%} of the GEMM rate"
        print(f"  {name:32} {t}{speed}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
