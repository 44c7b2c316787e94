"""Fixed targets: the evaluation lists of a data folder, and a development list from held-out training pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from .image_store import read_image
from .records import Record, RegionMap, read_region_map

SMALLEST_SHARE, LARGEST_SHARE = 0.01, 0.5


@dataclass(frozen=True)
class EvaluationTarget:
    """A picture, uint8 [H, W, 3] RGB, and the mask to reach, bool [H, W]."""

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 8-connected component of a mask bool [H, W]."""
    count, numbered, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return mask
    return numbered == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))


def target_mask(regions: RegionMap, region: int | str) -> NDArray[np.bool_]:
    """Mask of an evaluation entry: one region id, or "union" for everything labelled; its largest component."""
    return largest_component(regions > 0 if region == "union" else regions == int(region))


def read_evaluation(folder: Path, name: str) -> list[EvaluationTarget]:
    """The targets of `folder/name` (eval.json, eval_objects.json).

    Raises:
        ArgumentError: the list or a file it names is unusable.
    """
    path = folder / name
    try:
        index = {e["id"]: e["image"] for e in json.loads((folder / "index.json").read_text(encoding="utf-8"))}
        entries = json.loads(path.read_text(encoding="utf-8"))
        described = [(e["id"], folder / index[e["id"]], folder / e["label_file"], e["region"]) for e in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArgumentError(f"{path} cannot be read as an evaluation list: {type(error).__name__} {error}") from None
    return [
        EvaluationTarget(str(name), read_image(image), target_mask(read_region_map(labels), region))
        for name, image, labels, region in described
    ]


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
