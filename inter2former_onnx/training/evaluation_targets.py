"""Fixed targets: the evaluation lists of a data folder, and a development list from held-out training pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..evaluation.datasets.regions import listed
from ..evaluation.masks import largest_component
from .image_store import read_image
from .records import Record

SMALLEST_SHARE, LARGEST_SHARE = 0.01, 0.5


@dataclass(frozen=True)
class EvaluationTarget:
    """A picture, uint8 [H, W, 3] RGB, and the mask to reach, bool [H, W]."""

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def read_evaluation(folder: Path, name: str) -> list[EvaluationTarget]:
    """The targets of `folder/name` (eval.json, eval_objects.json).

    Raises:
        ArgumentError: the list is unusable, or an image that it names.
        ImageError: a region map that it names is unusable.
    """
    return [EvaluationTarget(p.name, read_image(p.image), p.read()[0].mask) for p in listed(folder, name)]


def development_targets(records: Sequence[Record], seed: int) -> list[EvaluationTarget]:
    """One or two targets a held-out picture: a random region, and its largest inside the picture or its whole group.

    The rules are those of the evaluation lists (largest component, 1 % to 50 % of the picture).
    """
    generator = np.random.default_rng(seed)
    targets = []
    for record in records:
        image = read_image(record.image)
        regions = record.annotations[int(generator.integers(len(record.annotations)))]()
        masks = [largest_component(regions == i) for i in np.unique(regions) if i > 0]
        fitting = [mask for mask in masks if SMALLEST_SHARE <= mask.mean() <= LARGEST_SHARE]
        chosen = [fitting[int(generator.integers(len(fitting)))]] if fitting else []
        if record.grouped:
            chosen.append(largest_component(regions > 0))
        else:
            inner = [mask for mask in fitting if not _touches_border(mask)]
            chosen += [max(inner, key=lambda mask: int(mask.sum()))] if inner else []
        targets += [EvaluationTarget(f"{record.name}:{i}", image, mask) for i, mask in enumerate(chosen)]
    return targets


def _touches_border(mask: NDArray[np.bool_]) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
