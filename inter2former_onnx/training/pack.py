"""A small copy of a data folder for a machine that little can be carried to: one split, reduced pictures.

`python -m inter2former_onnx.training.pack --data DIR --out SMALL --side 512 --quality 85`
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from ..errors import Inter2FormerError
from ..evaluation.reduction import reduce_image
from ..progress import progress
from .image_store import read_image
from .records import read_folder, read_region_map


def pack(data: Path, out: Path, split: str, side: int, quality: int) -> int:
    """Copy one split, pictures and region maps no longer than `side` pixels, WebP of `quality`. Returns the bytes."""
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m inter2former_onnx.training.pack", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--quality", type=int, default=85)
    args = parser.parse_args(arguments)
    try:
        size = pack(args.data, args.out, args.split, args.side, args.quality)
    except Inter2FormerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{size / 2**20:.1f} MiB in {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
