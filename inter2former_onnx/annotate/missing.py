"""Annotated pictures that are no longer there, and pictures that are the same under another name."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..errors import ArgumentError, ImageError
from ..runtime.files import sha256_of
from ..wording import counted, listed, printable
from .dataset import Dataset, PictureRecord
from .photos import Gallery, Photo


@dataclass(frozen=True)
class Attached:
    """What was done about missing pictures.

    Attributes:
        names: of the pictures that got the annotations of missing ones.
        lines: what a person should know, a line each.
    """

    names: tuple[str, ...]
    lines: tuple[str, ...]


def missing_pictures(dataset: Dataset, root: Path) -> frozenset[str]:
    """Find the annotated pictures whose files are not in the folder of pictures, by their names."""
    return frozenset(
        record.name
        for record in dataset.pictures.values()
        if _is_annotated(record) and not os.path.isfile(root / PurePosixPath(record.name))
    )


def content_of(path: Path) -> tuple[str, int]:
    """Read what a picture file is known by under another name: its sha256 and its size in bytes.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        return sha256_of(path), path.stat().st_size
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error


def attach_missing(dataset: Dataset, gallery: Gallery, wanted: Sequence[str] = ()) -> Attached:
    """Give the annotations of missing pictures to the files that these are now. Nothing is written.

    A picture that was renamed is found by its content: that of exactly one file without annotations, which no other
    missing picture had. What is left is said.

    Args:
        dataset: changed in place.
        gallery: the pictures.
        wanted: "OLD=NEW": these, whatever their content, if the sizes are the same.

    Raises:
        ArgumentError: one of `wanted` is not a missing picture and one without annotations.
        ImageError: one of the new pictures cannot be read.
    """
    names, lines = [], []
    photos = {photo.name: photo for photo in gallery.photos}
    for text in wanted:
        old, new = _named(text, dataset, gallery.root, photos)
        _attach(dataset, old, new, *content_of(photos[new].path))
        names.append(new)
        lines.append(f"{printable(new)} has the annotations of {printable(old)} now")
    missing = missing_pictures(dataset, gallery.root)
    found = _same_content(dataset, gallery, missing)
    contents = {name: dataset.pictures[name].sha256 for name in sorted(missing)}
    for old, content in contents.items():
        same = found.get(content, [])
        if len(same) == 1 and list(contents.values()).count(content) == 1:
            _attach(dataset, old, same[0], content, dataset.pictures[old].bytes)
            names.append(same[0])
            lines.append(f"{printable(old)} is now {printable(same[0])} (the same content): it has its annotations")
        elif same:
            lines.append(
                f"{printable(old)} is missing, and its content is that of {listed(sorted(same))}: choose with "
                f"--attach {printable(old)}={printable(sorted(same)[0])}"
            )
    left = sorted(missing_pictures(dataset, gallery.root))
    if left:
        lines.append(
            f"{counted(len(left), 'annotated picture')} missing: {listed(left)}; the annotations are kept, and exports "
            "leave them out (--attach OLD=NEW gives them to another file)"
        )
    offered = {photo.name for photo in gallery.photos}
    records = dataset.pictures.values() if gallery.is_whole else ()
    passed = sorted(r.name for r in records if _is_annotated(r) and r.name not in offered and r.name not in left)
    if passed:
        lines.append(
            f"{counted(len(passed), 'annotated picture')} no longer among the pictures of this folder: "
            f"{listed(passed)}; the annotations are kept"
        )
    return Attached(tuple(names), tuple(lines))


def _same_content(dataset: Dataset, gallery: Gallery, missing: frozenset[str]) -> dict[str, list[str]]:
    """Find files without annotations that have a missing picture's content: their names, by its sha256."""
    wanted = {dataset.pictures[name].sha256: dataset.pictures[name].bytes for name in missing}
    wanted.pop("", None)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for photo in gallery.photos if wanted else ():
        if photo.name in dataset.pictures and _is_annotated(dataset.pictures[photo.name]):
            continue
        try:
            if photo.path.stat().st_size in wanted.values() and (content := sha256_of(photo.path)) in wanted:
                found[content].append(photo.name)
        except (ImageError, OSError):
            continue  # it is told when somebody opens it
    return found


def _named(text: str, dataset: Dataset, root: Path, photos: Mapping[str, Photo]) -> tuple[str, str]:
    """Read OLD=NEW; both names may have that sign in them."""
    missing = missing_pictures(dataset, root)
    ways = [(text[:at], text[at + 1 :]) for at, sign in enumerate(text) if sign == "="]
    known = [(old, new) for old, new in ways if old in missing and new in photos]
    if not known:
        raise ArgumentError(
            f"--attach {text}: expected OLD=NEW, the name of a missing picture with annotations and that of a picture; "
            f"missing are {listed(sorted(missing)) or 'none'}"
        )
    old, new = known[0]
    if new in dataset.pictures and _is_annotated(dataset.pictures[new]):
        raise ArgumentError(f"--attach {text}: {new} has annotations of its own")
    record = dataset.pictures[old]
    width, height = photos[new].size()
    if (record.width, record.height) != (width, height):
        raise ArgumentError(
            f"--attach {text}: expected a picture of {record.width} x {record.height} pixels, found {width} x {height}"
        )
    return old, new


def _attach(dataset: Dataset, old: str, new: str, sha256: str, bytes: int) -> None:
    dataset.pictures.pop(new, None)
    # The names of the results follow the picture's.
    records = [
        replace(record, name=new, files="", sha256=sha256, bytes=bytes) if record.name == old else record
        for record in dataset.pictures.values()
    ]
    dataset.pictures = {record.name: record for record in records}


def _is_annotated(record: PictureRecord) -> bool:
    return bool(record.objects) or record.done
