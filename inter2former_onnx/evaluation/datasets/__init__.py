"""Data sets by their published folder layouts. Each module has `pictures(folder)`, which reads no image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..targets import Picture
from . import berkeley, coco, davis, folder, grabcut, hqseg44k, regions, sbd

READERS: dict[str, Callable[[Path], Sequence[Picture]]] = {
    "grabcut": grabcut.pictures,
    "berkeley": berkeley.pictures,
    "davis": davis.pictures,
    "sbd": sbd.pictures,
    "hqseg44k": hqseg44k.pictures,
    "coift": hqseg44k.coift,
    "hrsod": hqseg44k.hrsod,
    "thinobject5k": hqseg44k.thinobject5k,
    "dis-vd": hqseg44k.dis_vd,
    "coco": coco.pictures,
    "folder": folder.pictures,
    "regions": regions.pictures,
}
