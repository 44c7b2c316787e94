"""Pictures with an object to reach: from held-out training pictures, and from the evaluation lists of a data folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..evaluation.datasets.regions import listed
from ..evaluation.masks import largest_component
from ..evaluation.targets import Mask, Target
from .image_store import read_image
from .records import Record

SMALLEST_SHARE, LARGEST_SHARE = 0.01, 0.5


@dataclass(frozen=True)
class Example:
    """A picture, uint8 [H, W, 3] RGB, and the object in it to reach."""

    image: NDArray[np.uint8]
    target: Target


def listed_examples(folder: Path, name: str) -> list[Example]:
    """Read the targets of a list, and their pictures.

    Args:
        folder: of the data.
        name: of the list in it (eval.json, eval_objects.json).

    Raises:
        ArgumentError: the list is unusable, or an image that it names.
        ImageError: a region map that it names is unusable.
    """
    return [Example(read_image(picture.image), picture.read()[0]) for picture in listed(folder, name)]


def development_examples(records: Sequence[Record], seed: int) -> list[Example]:
    """Choose one or two targets a held-out picture: a random region, and its largest inside the picture or its group.

    The rules are those of the evaluation lists (largest component, 1 % to 50 % of the picture).

    Args:
        records: held out of training.
        seed: the same one chooses the same targets.

    Raises:
        ArgumentError: a picture is not readable.
        ImageError: a region map is not readable.
    """
    generator = np.random.default_rng(seed)
    examples = []
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
        examples += [Example(image, Target(f"{record.name}:{i}", mask)) for i, mask in enumerate(chosen)]
    return examples


def _touches_border(mask: Mask) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
