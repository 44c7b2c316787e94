"""The parts of a run, each a function from the plan to measurements and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from time import perf_counter

from harness.bundles import bundle_for, encoded, open_segmenter
from harness.clicks import stage_calls
from harness.scenarios import Scenario, first_click, later_click, object_clicks
from harness.timing import Times, calls, interleaved

from .cold_starts import cold_starts, sizes_on_disk
from .contestants import CONTESTANTS, REFERENCE
from .measurements import Measurement
from .plan import Plan
from .runners import Call, Runner, all_runners, engine_runners, sam_runners

SHARES = (0.15, 0.35, 0.70)  # of the image's side: the objects of the table of clicks
SHARE = 0.35  # of the object where something else varies
CLICKS = 20
LATER = 5  # a later click is its object's fifth: see scenarios.later_click
SLOW_FIRST_CALL = 5.0  # seconds; a compiled function that takes longer at first was compiled again
COMBINED = "routing, prompt and decoder"

Measured = tuple[list[Measurement], list[str]]
# A situation at an input of so many pixels a side.
Situation = Callable[[int], Scenario]


class Sections:
    """One run's sections, which share what they load."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.by_name: dict[str, Callable[[], Measured]] = {
            "size": lambda: (sizes_on_disk(plan), []),
            # While this process is still small.
            "cold": lambda: cold_starts(plan),
            "encode": self.encode,
            "clicks": self.clicks,
            "object": self.object,
            "stages": self.stages,
            "object_size": self.object_size,
            "resolution": self.resolution,
            "threads": self.threads,
        }
        self._runners = cache(partial(all_runners, plan))

    def encode(self) -> Measured:
        """Time encoding the photograph."""
        contestants = {name: runner.encode for name, runner in self._runners().items() if runner.encode is not None}
        working, notes = tried(contestants, "encoding")
        times = interleaved(working, self.plan.encode_rounds, warm_up=1, runs_per_turn=1)
        return [measurement("encoding", times)], notes

    def clicks(self) -> Measured:
        """Time the first click, and later ones on objects of several sizes."""
        first, first_notes = self._click("first click", first_click, 1, self._runners())
        measurements, notes = [first], first_notes
        for share in SHARES:
            later, more = self._click(
                f"click, {100 * share:.0f} % object", partial(later_click, share=share), LATER, self._runners()
            )
            measurements.append(later)
            notes += more
        return measurements, notes

    def object(self) -> Measured:
        """Time all clicks of an object, one after another."""
        rounds = self.plan.object_rounds
        contestants: dict[str, Call] = {}
        for name, runner in self._runners().items():
            scenarios = object_clicks(runner.size, SHARE, CLICKS)
            # One call to try, one round to warm up.
            one_by_one = [runner.click(scenario, k, rounds + 2) for k, scenario in enumerate(scenarios, 1)]
            contestants[name] = partial(run_all, one_by_one)
        working, notes = tried(contestants, f"{CLICKS} clicks")
        times = interleaved(working, rounds, warm_up=1, runs_per_turn=1)
        return [measurement(f"{CLICKS} clicks", times)], notes

    def stages(self) -> Measured:
        """Time the parts of this project's click."""
        folder = bundle_for(self.plan.config, self.plan.size)
        image = encoded(folder, open_segmenter(folder, "native", self.plan.threads))
        scenarios = [first_click(self.plan.size), *(later_click(self.plan.size, share) for share in SHARES)]
        found = []
        for scenario in scenarios:
            times = interleaved(stage_calls(image, scenario), self.plan.click_rounds)
            found.append(measurement(scenario.name, with_decoder(times)))
        return found, []

    def object_size(self) -> Measured:
        """Time a later click over the object's size."""
        runners = without_torch(self._runners())
        return self._scaling((100 * share, share, runners) for share in self.plan.object_shares)

    def resolution(self) -> Measured:
        """Time a later click over the size of the model's input."""
        # Nothing after this needs them, and they hold gigabytes.
        self._runners.cache_clear()
        config, threads = self.plan.config, self.plan.threads
        return self._scaling((size, SHARE, engine_runners(config, size, threads)) for size in self.plan.sizes)

    def threads(self) -> Measured:
        """Time a later click over the number of threads."""
        return self._scaling((count, SHARE, self._onnx_runners(count)) for count in self.plan.thread_counts)

    def _onnx_runners(self, threads: int) -> dict[str, Runner]:
        """Load all that run in onnxruntime, on so many threads."""
        runners = engine_runners(self.plan.config, self.plan.size, threads)
        for name, shape in self.plan.shapes.items():
            runners.update(sam_runners(name, shape, threads, torch_too=False))
        return runners

    def _scaling(self, places: Iterable[tuple[float, float, Mapping[str, Runner]]]) -> Measured:
        """Time a later click at every place of an axis: (where on it, the object's share, who)."""
        measurements, notes = [], []
        for x, share, runners in places:
            made, more = self._click(f"{x:.0f}", partial(later_click, share=share), LATER, runners, x)
            measurements.append(made)
            notes += more
        return measurements, notes

    def _click(
        self, metric: str, situation: Situation, number: int, runners: Mapping[str, Runner], x: float | None = None
    ) -> tuple[Measurement, list[str]]:
        """Time one kind of click, all runners in turn."""
        times = calls(self.plan.click_rounds) + 1
        contestants = {name: runner.click(situation(runner.size), number, times) for name, runner in runners.items()}
        working, notes = tried(contestants, metric)
        return measurement(metric, interleaved(working, self.plan.click_rounds), x), notes


def tried(contestants: Mapping[str, Call], what: str) -> tuple[dict[str, Call], list[str]]:
    """Keep those whose first call, which compiles and fills caches, works; notes name the others and slow ones."""
    working: dict[str, Call] = {}
    notes = []
    for name, call in contestants.items():
        start = perf_counter()
        try:
            call()
        except Exception as error:  # a peer that fails (torch.compile may, in any way) must not end the comparison
            if name == REFERENCE:
                raise
            first_line = f"{type(error).__name__}: {error}".splitlines()[0]
            notes.append(f"{what}: {CONTESTANTS[name].label} failed and is left out: {first_line}")
            continue
        working[name] = call
        seconds = perf_counter() - start
        if name == "compiled" and seconds > SLOW_FIRST_CALL:
            notes.append(f"{what}: the first call of {CONTESTANTS[name].label} took {seconds:.1f} s (compilation)")
    return working, notes


def measurement(metric: str, times: Mapping[str, Times], x: float | None = None) -> Measurement:
    """Make a measurement of times."""
    return Measurement(metric, "s", {name: t.runs for name, t in times.items()}, x)


def with_decoder(times: Mapping[str, Times]) -> dict[str, Times]:
    """Put the decoder's time by itself in place of that of the three stages which are timed together."""
    parts = {name: t for name, t in times.items() if name != COMBINED}
    rounds = zip(times[COMBINED].runs, times["routing"].runs, times["prompt graph"].runs, strict=True)
    decoder = Times(tuple(max(0.0, combined - routing - prompt) for combined, routing, prompt in rounds))
    names = ("labels and region", "routing", "prompt graph", "decoder", "label update", "mask")
    return {name: decoder if name == "decoder" else parts[name] for name in names}


def without_torch(runners: Mapping[str, Runner]) -> dict[str, Runner]:
    """Keep those that run in onnxruntime at the reference's input size."""
    left_out = ("eager", "compiled", "tiny")
    return {name: runner for name, runner in runners.items() if name not in left_out and not name.endswith("_torch")}


def run_all(one_by_one: list[Call]) -> None:
    """Call each."""
    for call in one_by_one:
        call()
