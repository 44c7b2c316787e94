"""A small copy of a data folder for a machine that little can be carried to: one split, reduced pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2

from ..evaluation.masks import read_region_map
from ..evaluation.reduction import reduce_image
from ..progress import progress
from .folder import read_folder
from .image_store import read_image


def pack(data: Path, out: Path, split: str, side: int, quality: int) -> int:
    """Copy one split of a data folder, pictures and region maps reduced.

    Args:
        data: the folder to copy from.
        out: the folder to copy to, which is made.
        split: such as "train".
        side: pixels of the longer side that no copy exceeds.
        quality: of the pictures' WebP files, 1 to 100.

    Returns:
        What was written, in bytes, without the index.

    Raises:
        ArgumentError: `data` is no such folder, or a picture in it is not readable.
    """
    read_folder(data, split)  # names what is missing or wrong before anything is written
    entries = [e for e in json.loads((data / "index.json").read_text(encoding="utf-8")) if e["split"] == split]
    for folder in ("images", "labels"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    packed, size = [], 0
    for entry in progress(entries, label="pack"):
        image = read_image(data / entry["image"])
        image_name = f"images/{entry['id']}.webp"
        reduced = reduce_image(image, side)
        target = (reduced.shape[1], reduced.shape[0])
        cv2.imwrite(str(out / image_name), reduced[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
        names = []
        for number, label in enumerate(entry["labels"]):
            labels = cv2.resize(
                read_region_map(data / label).astype("uint16"), target, interpolation=cv2.INTER_NEAREST
            )
            names.append(f"labels/{entry['id']}_{number}.png")
            cv2.imwrite(str(out / names[-1]), labels, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        size += sum((out / name).stat().st_size for name in (image_name, *names))
        packed.append({**entry, "image": image_name, "labels": names})
    (out / "index.json").write_text(json.dumps(packed), encoding="utf-8")
    return size
