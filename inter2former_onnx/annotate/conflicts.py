"""Conflict files: annotations of a run whose `coco.json` somebody else had changed, and how both become one again.

A run that meets such a change leaves `coco.json` as it is and saves its own annotations as `coco.conflict-TIME.json`.
No run writes to another's conflict file. Merging goes picture by picture and loses nothing: an object that both files
have is taken once, and what differs is kept as two objects, for a person to choose. So an object deleted in one file
is there again. A picture that gets objects so is no longer marked as done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import AnnotationError
from ..wording import counted, listed, printable
from . import dataset as coco
from .dataset import Dataset, PictureRecord
from .document import Annotation

_PATTERN = "coco.conflict*.json"


@dataclass
class Merge:
    """What merging has done.

    Attributes:
        dataset: everything together.
        changed: names of the pictures that are others than before.
        merged: the conflict files whose annotations are all in it.
        lines: what a person should know, a line each.
        failed: the conflict files that could not be merged, and why, a line each.
    """

    dataset: Dataset
    changed: set[str] = field(default_factory=set)
    merged: list[Path] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def conflict_name(number: int) -> str:
    """Name a conflict file by the time; `number` tells those of one second apart."""
    return f"coco.conflict-{time.strftime('%Y%m%d-%H%M%S')}{f'-{number}' if number else ''}.json"


def conflict_files(out: Path) -> list[Path]:
    """List the conflict files in an annotation folder."""
    return sorted(out.glob(_PATTERN))


def conflict_notice(out: Path) -> str:
    """Say which conflict files there are; empty where there are none."""
    names = [path.name for path in conflict_files(out)]
    if not names:
        return ""
    what = counted(len(names), "conflict file")
    return (
        f"{what} in {printable(out)} with annotations that {coco.FILE_NAME} does not have: {listed(names)}; put them "
        "into it with --merge-conflicts"
    )


def merge_conflicts(out: Path, pictures: Path) -> Merge:
    """Put the annotations of all conflict files of a folder together with those of its `coco.json`. Writes nothing.

    Args:
        out: the annotation folder.
        pictures: the folder of the pictures.

    Raises:
        AnnotationError: `coco.json` cannot be read.
    """
    merge = Merge(coco.read(out, pictures, None))
    if not (out / coco.FILE_NAME).exists():
        merge.dataset.categories = {}  # no need of the default one
    for path in conflict_files(out):
        try:
            # What another bundle answered keeps its masks; without a coco.json the conflict file's bundle holds.
            other = coco.read(out, pictures, merge.dataset.bundle or None, path.name)
            _check_sizes(path, merge.dataset, other)
        except AnnotationError as error:
            merge.failed.append(str(error))
            continue
        merge.dataset.bundle = merge.dataset.bundle or other.bundle
        _add(merge, other, path.name)
        merge.merged.append(path)
    return merge


def put_away(paths: Sequence[Path]) -> list[Path]:
    """Rename conflict files that are merged, so that they are kept and no longer told: `coco.merged-TIME.json`.

    Returns:
        Where they are.

    Raises:
        AnnotationError: one cannot be renamed.
    """
    places = []
    for path in paths:
        base = path.stem.replace("conflict", "merged", 1)
        place = path.with_name(f"{base}.json")
        number = 0
        while place.exists():
            number += 1
            place = path.with_name(f"{base}-{number}.json")
        try:
            path.rename(place)
        except OSError as error:
            raise AnnotationError(
                f"{path}: merged, but it cannot be renamed, so it would be merged again ({error.strerror or error})"
            ) from error
        places.append(place)
    return places


def _check_sizes(path: Path, ours: Dataset, theirs: Dataset) -> None:
    for name, their in theirs.pictures.items():
        our = ours.pictures.get(name)
        if our is not None and (our.width, our.height) != (their.width, their.height):
            raise AnnotationError(
                f"{path}: {name}: annotations for {their.width} x {their.height} pixels, in {coco.FILE_NAME} for "
                f"{our.width} x {our.height}; take the picture out of one of the files"
            )


def _add(merge: Merge, other: Dataset, source: str) -> None:
    dataset = merge.dataset
    categories = {id: _category(dataset, name) for id, name in other.categories.items()}
    for name, their in other.pictures.items():
        objects = tuple(replace(annotation, category=categories[annotation.category]) for annotation in their.objects)
        our = dataset.pictures.get(name)
        if our is None:
            numbered = _numbered(dataset, objects)
            dataset.pictures[name] = replace(their, id=dataset.next_picture(), objects=numbered, files="")
            merge.lines.append(f"{printable(name)}: {counted(len(numbered), 'object')} from {source}")
        else:
            known = {(annotation.category, annotation.mask) for annotation in our.objects}
            new = _numbered(dataset, [a for a in objects if (a.category, a.mask) not in known])
            dataset.pictures[name] = _joined(our, their, new)
            if new:
                total = counted(len(our.objects) + len(new), "object")
                what = f"{counted(len(new), 'object')} added from {source}, {total} now"
                merge.lines.append(f"{printable(name)}: {what}; look for some that are there twice")
        if dataset.pictures[name] != our:
            merge.changed.add(name)


def _joined(our: PictureRecord, their: PictureRecord, new: tuple[Annotation, ...]) -> PictureRecord:
    return replace(our, objects=(*our.objects, *new), done=(our.done or their.done) and not new)


def _numbered(dataset: Dataset, objects: Sequence[Annotation]) -> tuple[Annotation, ...]:
    first = dataset.next_object()
    return tuple(replace(annotation, id=first + number) for number, annotation in enumerate(objects))


def _category(dataset: Dataset, name: str) -> int:
    """Find the class of this name, or make it."""
    for id, known in dataset.categories.items():
        if known == name:
            return id
    id = dataset.next_category()
    dataset.categories[id] = name
    return id
