"""Everything that a training run is made of apart from its data and its model: the recipe."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from ..runtime.geometry import PATCH_SIZE
from .augmentation import AugmentationSettings
from .losses import LossWeights


@dataclass(frozen=True)
class Stage:
    """A part of the run at one picture size: `share` of it, at `size` pixels, `images` pictures a step."""

    share: float
    size: int
    images: int


@dataclass(frozen=True)
class Recipe:
    """The recipe. Times and sizes scale with the machine, the rest should not need to.

    Attributes:
        stages: picture sizes, in order; shares sum to 1.
        objects: targets a picture.
        gradient_rounds: click rounds with gradients, a step.
        dense_share: of the rounds with gradients, how many run in dense mode (every token a boundary token, the whole
            map drawn), so that the model gives the same masks in either mode.
        first_rounds, last_rounds: longest session in the first and last step (all rounds, most without gradients).
        learning_rate: of AdamW at its peak, warmed up over `warmup_steps`, then cosine to `final_rate` times it.
        weight_decay, clip: of AdamW, and the largest gradient norm.
        ema: decay of the averaged weights (less in the first steps).
        expert_rate: how fast an expert's bias follows its share of tokens.
        source_balance: 0 draws pictures evenly, 1 draws datasets evenly, more favours the small ones.
        source_weights: (source, factor) pairs that change a source's chance further, 1 for those not named; 0 leaves
            one out.
        background_share: of the targets in pictures of one object, how many are what is around it.
        held_out: share of the training pictures kept as the development list.
        store_side: pixels of the longer side that pictures are kept at.
        losses, augmentation: see there.
    """

    stages: tuple[Stage, ...] = (Stage(0.55, 256, 4), Stage(0.45, 384, 3))
    objects: int = 2
    gradient_rounds: int = 3
    dense_share: float = 0.1
    first_rounds: int = 3
    last_rounds: int = 8
    learning_rate: float = 1e-3
    warmup_steps: int = 150
    final_rate: float = 0.01
    weight_decay: float = 0.05
    clip: float = 1.0
    ema: float = 0.999
    expert_rate: float = 0.02
    source_balance: float = 0.6
    source_weights: tuple[tuple[str, float], ...] = ()
    background_share: float = 0.02
    held_out: float = 0.05
    store_side: int = 640
    losses: LossWeights = field(default_factory=LossWeights)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)

    def __post_init__(self) -> None:
        if not self.stages or abs(sum(stage.share for stage in self.stages) - 1.0) > 1e-6:
            raise ArgumentError(f"the stages' shares must sum to 1, found {[s.share for s in self.stages]}")
        if not 0.0 <= self.background_share <= 1.0:
            raise ArgumentError(f"background_share: expected 0 to 1, found {self.background_share}")
        if any(factor < 0 for _, factor in self.source_weights):
            raise ArgumentError(f"source_weights: expected factors from 0, found {dict(self.source_weights)}")
        for stage in self.stages:
            if stage.size <= 0 or stage.size % PATCH_SIZE or stage.images <= 0:
                raise ArgumentError(f"a stage needs pictures and a size in multiples of {PATCH_SIZE}, found {stage}")
        if not 1 <= self.gradient_rounds <= self.first_rounds <= self.last_rounds:
            raise ArgumentError(
                "expected 1 <= gradient_rounds <= first_rounds <= last_rounds, found "
                f"{self.gradient_rounds}, {self.first_rounds}, {self.last_rounds}"
            )

    def stage(self, progress: float) -> Stage:
        """Find the stage at `progress`, 0..1 of the run."""
        end = 0.0
        for stage in self.stages:
            end += stage.share
            if progress < end:
                return stage
        return self.stages[-1]

    def rounds(self, progress: float) -> int:
        """Compute the length of the longest session at `progress`, 0..1 of the run."""
        return round(self.first_rounds + (self.last_rounds - self.first_rounds) * progress)

    def to_dict(self) -> dict[str, Any]:
        """Give the recipe as JSON types."""
        result: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return result


def recipe_from_dict(values: Mapping[str, Any]) -> Recipe:
    """Make a recipe of JSON types; what is not named keeps its default.

    Args:
        values: as `Recipe.to_dict` gives them, or a part of that.

    Raises:
        ArgumentError: a name or a value that no recipe has.
    """
    changes = dict(values)
    try:
        if "stages" in changes:
            changes["stages"] = tuple(Stage(**stage) for stage in changes["stages"])
        if "source_weights" in changes:
            pairs = changes["source_weights"]
            changes["source_weights"] = tuple((str(source), float(factor)) for source, factor in pairs)
        for name, part in (("losses", LossWeights), ("augmentation", AugmentationSettings)):
            if name in changes:
                changes[name] = part(**changes[name])
        return Recipe(**changes)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"not a recipe: {error}") from None


def read_recipe(path: Path) -> Recipe:
    """Read a recipe's JSON file; what it does not name keeps its default.

    Raises:
        ArgumentError: it cannot be read, or is no recipe.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(values, dict):
        raise ArgumentError(f"{path}: expected an object, found {type(values).__name__}")
    return recipe_from_dict(values)


def parse_stages(text: str) -> tuple[Stage, ...]:
    """Read stages from text such as "256:0.55:4,384:0.45:3": size:share:pictures.

    Raises:
        ArgumentError: another form.
    """
    stages = []
    for part in text.split(","):
        try:
            size, share, images = part.split(":")
            stages.append(Stage(float(share), int(size), int(images)))
        except ValueError:
            raise ArgumentError(f"--stages: expected size:share:pictures[,...], found {part!r}") from None
    return tuple(stages)
