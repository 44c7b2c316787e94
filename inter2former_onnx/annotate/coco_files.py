"""The text of the two COCO files, put together from one piece for every picture.

A piece changes only when its picture does, so it is kept: saving after a click costs one picture, however many there
are.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .dataset import Dataset, PictureRecord, annotation_entry, header, image_entry
from .outlines import polygons
from .rle import RLE


@dataclass(frozen=True)
class Piece:
    """One picture's JSON: its entry in `images`, and its objects with masks as run-length code and as polygons."""

    image: str
    coded: tuple[str, ...]
    polygons: tuple[str, ...]


@lru_cache(maxsize=4096)
def polygons_of(code: RLE) -> tuple[tuple[int, ...], ...]:
    """Trace COCO's polygons of a mask, see outlines.polygons; the last ones are kept."""
    return tuple(tuple(part) for part in polygons(code.decode()))


def piece(picture: PictureRecord) -> Piece:
    """Write the piece of one picture."""
    entries = [annotation_entry(picture, annotation) for annotation in picture.objects]
    parts = [polygons_of(annotation.mask) for annotation in picture.objects]
    return Piece(
        json.dumps(image_entry(picture), ensure_ascii=False),
        tuple(json.dumps(entry) for entry in entries),
        tuple(json.dumps({**entry, "segmentation": part}) for entry, part in zip(entries, parts, strict=True)),
    )


def listed(dataset: Dataset, without: Container[str] = ()) -> list[PictureRecord]:
    """Choose the pictures that the files list: those with objects, and those that somebody found to have none.

    Args:
        dataset: what is annotated.
        without: names of pictures that are left out.
    """
    return [
        picture
        for picture in dataset.pictures.values()
        if (picture.objects or picture.done) and picture.name not in without
    ]


def coded_file(dataset: Dataset, pieces: Iterable[Piece]) -> bytes:
    """Put coco.json together: masks as run-length code.

    Args:
        dataset: what is annotated; of it, only the header is written.
        pieces: of the pictures in `listed`.
    """
    pieces = list(pieces)
    return _file(header(dataset), pieces, [text for piece in pieces for text in piece.coded])


def polygon_file(dataset: Dataset, pieces: Iterable[Piece]) -> bytes:
    """Put coco_polygons.json together: the same with polygons."""
    pieces = list(pieces)
    return _file(header(dataset), pieces, [text for piece in pieces for text in piece.polygons])


def _file(top: dict[str, Any], pieces: list[Piece], annotations: list[str]) -> bytes:
    """Write one line for every picture and object, so that a comparison of two versions is readable.

    A folder's name may hold bytes that are not UTF-8: how these are escaped is also how JSON escapes them.
    """
    beginning = json.dumps(top, ensure_ascii=False, indent=1).removesuffix("\n}")
    images = ",\n".join(piece.image for piece in pieces)
    objects = ",\n".join(annotations)
    return f'{beginning},\n "images": [\n{images}\n ],\n "annotations": [\n{objects}\n ]\n}}\n'.encode(
        "utf-8", "backslashreplace"
    )
