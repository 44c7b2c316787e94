"""A data folder of synthetic pictures for the training tests."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np


def make_folder(root: Path, count: int = 5) -> Path:
    """Pictures of 90 x 70 pixels with an ellipse (1) and a rectangle (2) of other colours on noise."""
    folder = root / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    generator = np.random.default_rng(0)
    entries = []
    for index in range(count):
        name = f"p{index:02d}"
        labels = np.zeros((70, 90), np.uint8)
        cv2.rectangle(labels, (50, 10), (80, 40 + index), 2, -1)
        cv2.ellipse(labels, (35 + 2 * index, 35), (22, 15), 20.0 * index, 0, 360, 1, -1)
        colours = generator.integers(0, 255, (3, 3))
        image = colours[labels] + generator.normal(0, 12, (70, 90, 3))
        cv2.imwrite(str(folder / "images" / f"{name}.png"), np.clip(image, 0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / "labels" / f"{name}_0.png"), labels)
        entries.append({"id": name, "image": f"images/{name}.png", "labels": [f"labels/{name}_0.png"],
                        "source": "ccp" if index % 2 else "shapes", "split": "train"})
    (folder / "index.json").write_text(json.dumps(entries))
    return folder
