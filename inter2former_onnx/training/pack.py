"""A small copy of a data folder for a machine that little can be carried to: one split, reduced pictures."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..evaluation.masks import read_values
from ..evaluation.reduction import reduce_image
from ..progress import progress
from .folder import read_folder
from .image_store import read_image
from .shards import INDEX

_LOSSLESS = 101  # OpenCV's quality for WebP without loss


def pack(data: Path, out: Path, split: str, side: int, quality: int, workers: int = 1) -> int:
    """Copy one split.

    Region maps of 8 bits become WebP without loss, which needs half of PNG's bytes; deeper ones stay PNG.

    Args:
        data: folder with index.json.
        out: folder to write.
        split: of the index.
        side: pictures and maps are reduced to so many pixels on their longer side.
        quality: of the pictures' WebP, 1 to 100.
        workers: threads that share the work.

    Returns:
        The bytes of pictures and maps.

    Raises:
        ArgumentError: the folder is not as training expects it.
    """
    read_folder(data, split)  # names what is missing or wrong before anything is written
    entries = [e for e in json.loads((data / INDEX).read_text(encoding="utf-8")) if e["split"] == split]
    for folder in ("images", "labels"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(workers) as pool:
        packed = pool.map(lambda entry: _pack_entry(data, out, entry, side, quality), entries)
        written = list(progress(packed, total=len(entries), label="pack"))
    (out / INDEX).write_text(json.dumps(written), encoding="utf-8")
    return sum((out / name).stat().st_size for entry in written for name in (entry["image"], *entry["labels"]))


def _pack_entry(data: Path, out: Path, entry: dict[str, Any], side: int, quality: int) -> dict[str, Any]:
    """Copy a picture with its maps; the entry of the copy's index."""
    reduced = reduce_image(read_image(data / entry["image"]), side)
    target = (reduced.shape[1], reduced.shape[0])
    image_name = f"images/{entry['id']}.webp"
    cv2.imwrite(str(out / image_name), reduced[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    names = []
    for number, label in enumerate(entry["labels"]):
        values = read_values(data / label)
        eight_bits = values.dtype == np.uint8
        labels = cv2.resize(values if eight_bits else values.astype(np.uint16), target, interpolation=cv2.INTER_NEAREST)
        names.append(f"labels/{entry['id']}_{number}.{'webp' if eight_bits else 'png'}")
        options = [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS] if eight_bits else [cv2.IMWRITE_PNG_COMPRESSION, 9]
        cv2.imwrite(str(out / names[-1]), labels, options)
    return {**entry, "image": image_name, "labels": names}
