"""How this project compares with other ways to run its model and with SAM-family models: writes benchmarks/report/.

Everything is measured with random weights: latency does not depend on what they are. Finished sections are kept in
build/compare/ and not measured again, so that a stopped run goes on where it was; delete that folder to measure anew.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from time import perf_counter

from comparison.measurements import Section, kept_section
from comparison.plan import Plan, full_plan, quick_plan
from comparison.report import write_report
from comparison.sections import Sections
from harness.machine import describe, gemm_rate

from inter2former_onnx.progress import progress
from inter2former_onnx.runtime.processors import usable_processors


def main() -> int:
    """Parse arguments, measure what is missing, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of every contestant (default: 2)")
    parser.add_argument("--quick", action="store_true", help="try the command out on tiny models; says nothing")
    args = parser.parse_args()
    plan = quick_plan() if args.quick else full_plan(args.threads, usable_processors())
    page = write_report(measure(plan), plan.report)
    print(page)
    return 0


def measure(plan: Plan) -> dict[str, Section]:
    """Measure all sections, but for those kept from an earlier run."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(plan.compiled.resolve())
    load = os.getloadavg()[0]
    machine = described(plan.threads)
    settings = {**asdict(plan), "work": str(plan.work), "report": str(plan.report)}
    # As they come back from a file.
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    sections = Sections(plan)
    found: dict[str, Section] = {}
    bar = progress(sections.by_name.items(), "compare")
    for name, run in bar:
        bar.set_description(name)
        section = kept_section(plan.work, name, settings)
        if section is None:
            begun = perf_counter()
            measurements, notes = run()
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            section = Section(name, now, perf_counter() - begun, load, machine, settings, notes, measurements)
            section.write(plan.work)
        found[name] = section
    return found


def described(threads: int) -> list[str]:
    """Describe the machine and what runs on it, in lines."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    rate = f"{gemm_rate(threads):.0f} GFLOP/s in onnxruntime's float32 matrix product"
    return [*describe(threads), packages, rate]


if __name__ == "__main__":
    sys.exit(main())
