"""How much is measured: everything, or just enough to try the command out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .sam_models import QUICK_SHAPES, SHAPES, SamShape


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        name: of the run.
        work: folder for the measurements, a file a section.
        report: folder for the page.
        threads: of every contestant, pinned.
        config, size: the model compared, and the side of its input in pixels.
        tiny_config, tiny_size: the small one.
        shapes: SAM-family models by name.
        click_rounds, encode_rounds, object_rounds, cold_rounds: timed rounds.
        object_shares: diameters over the image's side, for the plot over object size.
        sizes: sides of the input in pixels, for the plot over resolution.
        thread_counts: for the plot over threads.
    """

    name: str
    work: Path
    report: Path
    threads: int
    config: str
    size: int
    tiny_config: str
    tiny_size: int
    shapes: dict[str, SamShape]
    click_rounds: int
    encode_rounds: int
    object_rounds: int
    cold_rounds: int
    object_shares: tuple[float, ...]
    sizes: tuple[int, ...]
    thread_counts: tuple[int, ...]

    @property
    def compiled(self) -> Path:
        """Where torch.compile keeps what it compiled, in this process and in those it starts."""
        return self.work / "inductor"


def full_plan(threads: int, processors: int) -> Plan:
    """Plan what the committed report is made of.

    Args:
        threads: of every contestant.
        processors: of the machine, for the plot over threads.
    """
    return Plan(
        name="full",
        work=Path("build/compare"),
        report=Path("benchmarks/report"),
        threads=threads,
        config="vit_b",
        size=1024,
        tiny_config="tiny",
        tiny_size=512,
        shapes=SHAPES,
        click_rounds=15,
        encode_rounds=3,
        object_rounds=5,
        cold_rounds=3,
        object_shares=(0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9),
        sizes=(512, 1024, 2048),
        thread_counts=_powers(processors),
    )


def quick_plan() -> Plan:
    """Plan a trial: tiny models on one thread, too few rounds to say anything."""
    return Plan(
        name="quick",
        work=Path("build/compare-quick"),
        report=Path("build/compare-quick/report"),
        threads=1,
        config="tests/data/mini_config.json",
        size=256,
        tiny_config="tests/data/mini_config.json",
        tiny_size=192,
        shapes=QUICK_SHAPES,
        click_rounds=3,
        encode_rounds=3,
        object_rounds=3,
        cold_rounds=3,
        object_shares=(0.2, 0.5),
        sizes=(192, 256),
        thread_counts=(1, 2),
    )


def _powers(processors: int) -> tuple[int, ...]:
    """Count 1, 2, 4, ... and the number of processors."""
    counts = [2**power for power in range(processors.bit_length()) if 2**power < processors]
    return (*counts, processors)
