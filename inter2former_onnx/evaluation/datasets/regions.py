"""Maps of region ids: `images/`, `labels/` or `masks/` (NAME.png, or NAME_0.png, ...), and target lists.

A list, `--list FILE` in the folder, names single targets: {"id", "label_file", "region"}, and the image of an id is in
the list's own "image" or in `index.json`. The target is the largest connected piece of the region. Without a list each
id of each map is an object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import ArgumentError
from ..masks import VOID, every_region, read_values, region_mask
from ..targets import Picture, Target
from .pairs import pairs, subfolder


def pictures(folder: Path) -> Sequence[Picture]:
    """List the pictures of `folder`, each region of their maps an object.

    Raises:
        ArgumentError: `folder` is not laid out so.
    """
    return pairs(subfolder(folder, "images"), subfolder(folder, "labels", "masks"), every_region)


def listed(folder: Path, name: str) -> Sequence[Picture]:
    """List the targets of `folder/name`, a picture each.

    Raises:
        ArgumentError: the list cannot be read, or an entry has another form.
    """
    path = folder / name
    images: dict[str, str] = {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not all("image" in entry for entry in entries):
            index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            images = {entry["id"]: entry["image"] for entry in index}
        targets = [(str(e["id"]), folder / _image(e, images), folder / e["label_file"], e["region"]) for e in entries]
        wrong = [region for *_, region in targets if region != "union" and int(region) <= 0]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"{path} cannot be read as a target list: {type(error).__name__} {error}") from None
    if wrong or not targets:
        raise ArgumentError(f'{path}: expected targets with a region above 0 or "union", found {wrong or "none"}')
    return [
        Picture(f"{name}#{region}", image, partial(listed_target, labels, region))
        for name, image, labels, region in targets
    ]


def _image(entry: Mapping[str, Any], index: Mapping[str, str]) -> str:
    return str(entry["image"] if "image" in entry else index[entry["id"]])


def listed_target(labels: Path, region: int | str) -> Sequence[Target]:
    """Read the target of one list entry.

    Args:
        labels: the map's file.
        region: its id, or "union" for everything labelled.

    Raises:
        ImageError: the map is missing or unreadable.
    """
    values = read_values(labels)
    void = values == VOID if values.dtype == "uint8" else None
    known = values.astype("int32")
    if void is not None:
        known[void] = 0
    return [Target(f"{labels.stem}#{region}", region_mask(known, region), void)]
