"""The training loop: schedule, optimiser, averaged weights, checkpoints, log and development list."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..errors import CheckpointError
from ..models import Inter2Former, ModelConfig
from ..models.checkpoints import load_state_dict
from .average import WeightAverage
from .batches import Batch, BatchSampler
from .development import Example
from .evaluation import summarise
from .image_store import ImageStore
from .initialise import initialise
from .optimiser import build_optimiser, learning_rate, set_learning_rate
from .options import Recipe
from .rounds import ClickRounds, StepResult
from .run_log import LOG_FILE, RunLog
from .run_state import STATE_FILE, export_weights, read_state, write_state
from .sessions import run_sessions

_LOG_EVERY = 20  # steps whose mean makes a line of the log


@dataclass(frozen=True)
class RunSettings:
    """Where and how long a run goes on.

    Attributes:
        out: its folder.
        name: of the weights file.
        hours: of wall clock, earlier parts of a resumed run included, time stopped by a signal not; None when `steps`
            or `until` says it.
        steps: of the whole run; None when `hours` or `until` says it.
        seed: of weights, data and clicks.
        device, precision, compiled, workers: of the computation.
        save_minutes, evaluate_minutes: between checkpoints and evaluations.
        evaluation_clicks: clicks a target on the development list.
        until: the moment of `time.monotonic` at which this piece of the run ends. The schedule is then of the time
            trained so far, what is left up to there, and `later_hours`: time that nobody could foresee (loading,
            compiling) shortens it instead of cutting its end off.
        later_hours: of training in pieces that come after this one.
    """

    out: Path
    name: str
    hours: float | None
    steps: int | None
    seed: int
    device: torch.device
    precision: torch.dtype
    compiled: bool
    workers: int
    save_minutes: float = 5.0
    evaluate_minutes: float = 15.0
    evaluation_clicks: int = 10
    until: float | None = None
    later_hours: float = 0.0

    @property
    def weights_file(self) -> Path:
        """Where the averaged weights go."""
        return self.out / f"{self.name}.safetensors"


class Trainer:
    """A run. `run` returns when it is done or was asked to stop (SIGTERM, SIGINT); its state is saved either way."""

    def __init__(
        self,
        config: ModelConfig,
        recipe: Recipe,
        store: ImageStore,
        development: list[Example],
        settings: RunSettings,
    ) -> None:
        self.config, self.recipe, self.settings, self.development = config, recipe, settings, development
        device = settings.device
        model = Inter2Former(config)
        initialise(model, settings.seed)
        self.model = model.to(device).train()
        self.average = WeightAverage(self.model, recipe.ema)
        self.optimiser = build_optimiser(self.model, recipe)
        self.pool = ThreadPoolExecutor(max(1, settings.workers))
        arguments = (recipe.losses, device, settings.precision, settings.compiled, self.pool)
        self.rounds = ClickRounds(self.model, *arguments)
        self.averaged_rounds = ClickRounds(
            self.average.model, recipe.losses, device, settings.precision, False, self.pool
        )
        self.sampler = BatchSampler(
            store,
            config,
            recipe.augmentation,
            recipe.source_balance,
            settings.seed + 1,
            dict(recipe.source_weights),
            recipe.background_share,
        )
        self.generator = np.random.default_rng(settings.seed + 2)
        self.step, self.hours = 0, 0.0
        self._next: Batch | None = None
        self._sampler_state = self._position()
        settings.out.mkdir(parents=True, exist_ok=True)
        self.log = RunLog(settings.out / LOG_FILE)
        self.stop = False
        self._was_stopped = False

    @property
    def progress(self) -> float:
        """How much of the run is done, 0..1."""
        if self.settings.steps is not None:
            return min(1.0, self.step / self.settings.steps)
        if self.settings.until is not None:
            left = max(0.0, self.settings.until - time.monotonic()) / 3600.0 + self.settings.later_hours
            return self.hours / (self.hours + left) if left > 0.0 else 1.0
        assert self.settings.hours is not None
        return min(1.0, self.hours / self.settings.hours)

    def save(self) -> None:
        """Write the state to resume from, and the averaged weights."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "sampler": self._sampler_state,
            "generator": json.dumps(self.generator.bit_generator.state),
            "step": self.step,
            "hours": self.hours,
            "config": json.dumps(self.config.to_dict()),
        }
        write_state(self.settings.out / STATE_FILE, state)
        export_weights(self.settings.weights_file, self.average.model)

    def resume(self) -> None:
        """Continue from the folder's state.

        Raises:
            CheckpointError: there is none, or it is damaged or of another model.
        """
        path = self.settings.out / STATE_FILE
        state = read_state(path, self.settings.device)
        try:
            self.model.load_state_dict(state["model"])
            self.average.model.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"{path} is no state of this model: {str(error).splitlines()[0]}") from error
        self.sampler.generator.bit_generator.state = json.loads(state["sampler"])
        self._next, self._sampler_state = None, state["sampler"]
        self.generator.bit_generator.state = json.loads(state["generator"])
        self.step, self.hours = int(state["step"]), float(state["hours"])

    def start_from(self, weights: Mapping[str, torch.Tensor], source: str) -> None:
        """Begin with these weights in place of random ones.

        Args:
            weights: by name.
            source: what to call them in errors.

        Raises:
            CheckpointError: they are not of this model.
        """
        load_state_dict(self.model, weights, source)
        load_state_dict(self.average.model, weights, source)

    def train_step(self) -> StepResult:
        """Make one step of the optimiser."""
        recipe, progress = self.recipe, self.progress
        set_learning_rate(self.optimiser, learning_rate(recipe, progress, self.step))
        batch = self._next or self._draw()
        self.optimiser.zero_grad(set_to_none=True)
        result = self.rounds.step(
            batch, recipe.rounds(progress), recipe.gradient_rounds, self.generator, recipe.dense_share
        )
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        finite = torch.isfinite(norm)
        result.scalars["gradient"] = torch.where(finite, norm, torch.nan)
        result.scalars["skipped"] = (~finite).float()
        self.step += 1
        # An accelerator is still busy with this step: time to draw the next batch before waiting for the norm.
        self._sampler_state = self._position()
        self._next = self._draw()
        if bool(finite):
            self.optimiser.step()
            self._balance(result.loads)
            self.average.update(self.model, self.step - 1)
        return result

    def _draw(self) -> Batch:
        stage = self.recipe.stage(self.progress)
        return self.sampler.draw(stage.images, self.recipe.objects, stage.size)

    def _position(self) -> str:
        """Save the sampler's position: what it needs to draw the next batch again."""
        return json.dumps(self.sampler.generator.bit_generator.state)

    @torch.no_grad()
    def _balance(self, loads: torch.Tensor) -> None:
        """Raise the bias of experts that got too few tokens, lower it where there were too many."""
        for block, load in zip(self.model.neck.blocks, loads, strict=True):
            ffn: Any = block.ffn
            even = 1.0 / load.shape[0]
            ffn.exp_bias += self.recipe.expert_rate * (even - load)
            ffn.exp_bias -= ffn.exp_bias.mean()
            ffn.steps += 1

    def evaluate(self) -> dict[str, Any]:
        """Measure the averaged weights on the development list, at the current stage's size, and log the result."""
        stage = self.recipe.stage(min(self.progress, 1.0 - 1e-9))
        batch = max(4, 2 * stage.images)
        clicks = self.settings.evaluation_clicks
        result = summarise(*run_sessions(self.averaged_rounds, self.development, clicks, stage.size, batch))
        self.log.write("evaluation", step=self.step, hours=self.hours, size=stage.size, **result)
        return result

    def run(self) -> None:
        """Train until the run's end or a signal."""
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        if hasattr(signal, "SIGCONT"):  # not on Windows
            previous[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._on_continue)
        try:
            self._loop()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop = True

    def _on_continue(self, number: int, frame: FrameType | None) -> None:
        self._was_stopped = True

    def _loop(self) -> None:
        settings = self.settings
        saved = evaluated = last = time.monotonic()
        duration = 0.0
        parts: list[dict[str, torch.Tensor]] = []
        self.log.write(
            "start",
            step=self.step,
            hours=self.hours,
            seed=settings.seed,
            recipe=self.recipe.to_dict(),
            pid=os.getpid(),
            device=str(settings.device),
            precision=str(settings.precision),
            torch=torch.__version__,
            arguments=sys.argv[1:],
        )
        bar = tqdm(desc="train", total=100.0, initial=100 * self.progress, unit="%", disable=None, leave=False)
        while self.progress < 1.0 and not self.stop and (settings.until is None or last < settings.until):
            result = self.train_step()
            now = time.monotonic()
            if not self._was_stopped:
                duration = now - last
            # A step during which the process was stopped (SIGSTOP) counts as much as the one before it.
            self._was_stopped, last = False, now
            self.hours += duration / 3600.0
            parts.append(result.scalars)
            bar.update(100 * self.progress - bar.n)
            if len(parts) == _LOG_EVERY:
                self._write_step(parts, result.loads)
                parts = []
            if now - saved > 60 * settings.save_minutes:
                self.save()
                saved = time.monotonic()
            if now - evaluated > 60 * settings.evaluate_minutes and self.development:
                self.evaluate()
                evaluated = time.monotonic()
        bar.close()
        self.save()
        if self.development and not self.stop:
            self.evaluate()

    def _write_step(self, parts: list[dict[str, torch.Tensor]], loads: torch.Tensor) -> None:
        # Of the steps whose values are numbers: "skipped" tells of the others.
        means = {name: float(torch.stack([part[name].float() for part in parts]).nanmean()) for name in parts[0]}
        stage = self.recipe.stage(self.progress)
        self.log.write(
            "step", step=self.step, hours=self.hours, size=stage.size, rate=self.optimiser.param_groups[0]["lr"],
            loads=loads.tolist(), **means,
        )
