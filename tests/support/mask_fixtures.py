"""Masks with run-length code and outlines, in tests/data/masks.json: what Python and the page's JavaScript agree on.

tests/annotate/test_page_code.py holds annotate/rle.py and annotate/outlines.py to the file, and
tests/annotate/page/*.test.mjs the page's rle.js and outline.js. Written anew, after a change of the cases below, by

    python tests/support/mask_fixtures.py

The file is a list of cases:

    name        what is special about the mask
    rows        the mask, a text for every row: "#" in the mask, "." outside
    code        {size, counts, box}, as the server sends a mask to the page (types.js: Code)
    area        pixels in the mask
    rings       outlines, each a list of corners [x, y], in the order in which outlines.rings walks
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inter2former_onnx.annotate import outlines
from inter2former_onnx.annotate.rle import RLE

PATH = Path(__file__).resolve().parents[1] / "data" / "masks.json"

Mask = NDArray[np.bool_]


def load() -> list[dict[str, Any]]:
    """Read the file's cases."""
    cases: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))
    return cases


def mask_of(rows: list[str]) -> Mask:
    """Read a mask from its rows, bool [height, width]."""
    return np.array([[character == "#" for character in row] for row in rows], dtype=np.bool_)


def entry(name: str, mask: Mask) -> dict[str, Any]:
    """Describe a mask as the implementation in Python does."""
    code = RLE.encode(mask)
    return {
        "name": name,
        "rows": ["".join("#" if inside else "." for inside in row) for row in mask],
        "code": {**code.json(), "box": list(code.box)},
        "area": code.area,
        "rings": [ring.tolist() for ring in outlines.rings(mask)],
    }


def masks() -> dict[str, Mask]:
    """Make the masks by name."""
    rng = np.random.default_rng(18)
    rows, columns = np.indices((7, 9))
    ring = np.pad(np.pad([[1]], 1), 1, constant_values=1)
    cases = {
        "empty": np.zeros((4, 6)),
        "full": np.ones((4, 6)),
        "the only pixel": np.ones((1, 1)),
        "no pixel of one": np.zeros((1, 1)),
        "one pixel, top left": np.pad([[1]], ((0, 3), (0, 4))),
        "one pixel, bottom right": np.pad([[1]], ((3, 0), (4, 0))),
        "one pixel inside": np.pad([[1]], ((2, 3), (3, 1))),
        "one row": np.array([[1, 1, 0, 1, 0, 0, 1]]),
        "one column": np.array([[0, 1, 1, 0, 1, 0, 1]]).T,
        "checkerboard, first pixel in": (rows + columns) % 2 == 0,
        "checkerboard, first pixel out": (rows + columns) % 2 == 1,
        "stripes, upright": columns % 2 == 0,
        "stripes, lying": rows % 2 == 1,
        "a hole": np.pad(np.pad(np.zeros((2, 3)), 2, constant_values=1), 1),
        "a hole at the edge of the picture": np.pad(np.zeros((2, 3)), 1, constant_values=1),
        "an island in a hole": np.pad(ring, ((1, 0), (0, 2))),
        "holes that touch at a corner": np.pad([[0, 1], [1, 0]], 1, constant_values=1),
        "runs that go on in the next column": np.pad(np.ones((5, 4)), ((0, 0), (3, 2))),
        # Long runs, and runs that differ much from those before: numbers of several characters, some negative.
        "tall": np.repeat(rng.random((12, 2)) < 0.5, rng.integers(1, 40, 12), axis=0),
        "wide and sparse": np.isin(np.arange(40 * 60).reshape(40, 60), [61, 1400, 2399]),
        "like an object": _blob(rng, 40, 56),
    }
    for density in (0.1, 0.5, 0.9):
        cases[f"random, {density:.0%} inside"] = rng.random((13, 17)) < density
    return {name: np.asarray(mask, dtype=np.bool_) for name, mask in cases.items()}


def _blob(rng: np.random.Generator, height: int, width: int) -> Mask:
    """Make smooth noise above a threshold: parts with islands and holes."""
    noise = rng.normal(size=(height, width))
    for axis in (0, 1):
        for _ in range(5):
            noise = noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)
    return np.asarray(noise > np.quantile(noise, 0.5))


def main() -> None:
    """Write the file, a line for every case."""
    lines = [json.dumps(entry(name, mask)) for name, mask in masks().items()]
    PATH.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
