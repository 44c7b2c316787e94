"""Small copies of the layouts that data sets are published in, for the evaluation's tests."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 48, 64


def scene(number: int, height: int = HEIGHT, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """A bright ellipse (region 1) and a rectangle (2) on noise: image uint8 [h, w, 3], ids uint8 [h, w]."""
    generator = np.random.default_rng(number)
    regions = np.zeros((height, width), np.uint8)
    cv2.rectangle(regions, (width // 2 + 4, 5), (width - 6, height // 2 + number % 7), 2, -1)
    cv2.ellipse(regions, (width // 3, height // 2), (width // 5, height // 4), 17.0 * number, 0, 360, 1, -1)
    colours = np.array([[40, 60, 50], [200, 180, 90], [90, 90, 220]])
    image = colours[regions] + generator.normal(0, 15, (height, width, 3))
    return np.clip(image, 0, 255).astype(np.uint8), regions


def write(path: Path, array: np.ndarray) -> Path:
    """An image file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)
    return path


def plain_folder(root: Path, count: int) -> Path:
    """`images/` and `masks/` with a binary mask each."""
    for number in range(count):
        image, regions = scene(number)
        write(root / "images" / f"p{number:03d}.png", image)
        write(root / "masks" / f"p{number:03d}.png", np.where(regions == 1, 255, 0).astype(np.uint8))
    return root


def region_folder(root: Path, count: int) -> Path:
    """`index.json`, `images/`, `labels/` and `eval.json`, as the project's own data has them."""
    index, entries = [], []
    for number in range(count):
        name = f"p{number:03d}"
        image, regions = scene(number)
        write(root / "images" / f"{name}.png", image)
        write(root / "labels" / f"{name}_0.png", regions)
        index.append({"id": name, "image": f"images/{name}.png", "labels": [f"labels/{name}_0.png"]})
        region = "union" if number % 2 else 2
        entries.append({"id": name, "label_file": f"labels/{name}_0.png", "region": region})
    (root / "index.json").write_text(json.dumps(index))
    (root / "eval.json").write_text(json.dumps(entries))
    return root
