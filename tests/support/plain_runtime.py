"""A second runtime, as plain as it can be: docs/bundle.md in Python, a function for each of its sections.

It holds the page to being complete, so it does what the page says and shares no code with the first: it needs numpy and
onnxruntime only. Whole maps are computed where the runtime computes boxes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort

Box = tuple[int, int, int, int]  # left, top, right, bottom

# Section 4.9: the label after a prediction, by the label before.
FOREGROUND = np.array([0, 2, 3, 3, 4], dtype=np.uint8)
BACKGROUND = np.array([0, 1, 1, 2, 4], dtype=np.uint8)


class Bundle:
    """Sections 1 and 3: the manifest, of which the sums and the id are checked, and the graphs."""

    def __init__(self, folder: Path, ops_library: Path | None = None) -> None:
        """Open a bundle; `ops_library` holds native kernels, without it the operators' definitions run."""
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
        if self.manifest["format"] != "inter2former-bundle" or self.manifest["format_version"] > 1:
            raise ValueError(f"{folder} is no bundle, or a newer one")
        lines = ""
        for name, spec in sorted(self.manifest["files"].items()):
            content = (folder / name).read_bytes()
            if len(content) != spec["bytes"] or hashlib.sha256(content).hexdigest() != spec["sha256"]:
                raise ValueError(f"{folder / name} is not what the manifest lists")
            lines += f"{name} {spec['sha256']}\n"
        if hashlib.sha256(lines.encode()).hexdigest() != self.manifest["id"]:
            raise ValueError(f"{folder}: the id is another bundle's")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        if ops_library is not None:
            options.register_custom_ops_library(str(ops_library))
        self.graphs = {
            name: ort.InferenceSession(str(folder / spec["file"]), options, providers=["CPUExecutionProvider"])
            for name, spec in self.manifest["graphs"].items()
        }

    def names(self, graph: str, kind: str) -> list[str]:
        """What a graph takes or gives, by the manifest."""
        return [tensor["name"] for tensor in self.manifest["graphs"][graph][kind]]

    def encode(self, image: np.ndarray) -> Image:
        """Everything about an image that clicks do not change."""
        names = self.names("encoder", "outputs")
        arrays = self.graphs["encoder"].run(names, {"image": image})
        return Image(self, image.shape[0], image.shape[1], dict(zip(names, arrays, strict=True)))

    def load(self, path: Path) -> Image:
        """Section 5: a saved encoded image."""
        with np.load(path, allow_pickle=False) as members:
            arrays = dict(members)
        header = json.loads(arrays.pop("header").tobytes())
        if header["format"] != "inter2former-embedding" or header["format_version"] > 1:
            raise ValueError(f"{path} is no encoded image, or a newer one")
        geometry = self.manifest["geometry"]
        same = all(header[name] == geometry[name] for name in ("mode", "size", "size_divisor"))
        if header["bundle"] != self.manifest["id"] or not same or set(arrays) != set(self.names("encoder", "outputs")):
            raise ValueError(f"{path} is another bundle's")
        return Image(self, header["height"], header["width"], arrays)


class Image:
    """An encoded image and section 4.1: its geometry."""

    def __init__(self, bundle: Bundle, height: int, width: int, arrays: dict[str, np.ndarray]) -> None:
        self.bundle, self.height, self.width, self.arrays = bundle, height, width, arrays
        geometry = bundle.manifest["geometry"]
        self.size, divisor = geometry["size"], geometry["size_divisor"]
        self.square = divisor * max(_ceil(height, divisor), _ceil(width, divisor))
        self.scale = self.size / self.square
        if geometry["mode"] == "square":
            self.grid = self.size // 16, self.size // 16
        else:
            self.grid = _ceil(height * self.size, 16 * self.square), _ceil(width * self.size, 16 * self.square)
        assert arrays["embed"].shape[:2] == self.grid
        self.map = 16 * self.grid[0], 16 * self.grid[1]  # the label map's size


class Click(NamedTuple):
    """A click on the model pixel in this row and column."""

    row: int
    column: int
    positive: bool


class Session:
    """Section 4."""

    def __init__(self, image: Image, enforce_clicks: bool = True, drop_islands: bool = True) -> None:
        self.image, self.manifest = image, image.bundle.manifest
        self.enforce_clicks, self.drop_islands = enforce_clicks, drop_islands
        self.labels = np.full(image.map, 2, dtype=np.uint8)
        self.logits = np.full(image.map, self.manifest["outside_logit"], dtype=np.float32)
        self.clicks: list[Click] = []

    def click(self, x: float, y: float, positive: bool = True) -> np.ndarray:
        """The mask, bool [H, W]."""
        image = self.image
        if not (0 <= x < image.width and 0 <= y < image.height):
            raise ValueError("a click beside the image")
        return self._click(Click(int(image.scale * int(y)), int(image.scale * int(x)), positive))

    def undo(self) -> np.ndarray:
        """Begin anew and make all clicks but the last again."""
        clicks = self.clicks[:-1]
        self.__init__(self.image, self.enforce_clicks, self.drop_islands)  # type: ignore[misc]
        for click in clicks:
            self._click(click)
        return self.mask()

    def _click(self, click: Click) -> np.ndarray:
        unclicked = bool((self.labels == 2).all())
        self.clicks.append(click)
        disc = _distance(self.image.map, click) <= self.manifest["click_radius"] ** 2
        self.labels[disc] = 4 if click.positive else 0
        self.logits = self.decode(disc if unclicked else None)
        if self.drop_islands:
            drop_islands(self.logits, self.labels == 4)
        if any(click.positive for click in self.clicks):
            self.labels = np.where(self.logits > 0, FOREGROUND[self.labels], BACKGROUND[self.labels])
        return self.mask()

    def decode(self, first_disc: np.ndarray | None) -> np.ndarray:
        """Section 4.5: the logits of the whole map. `first_disc`: the disc of a click on a map without clicks."""
        graphs, (rows, columns) = self.image.bundle.graphs, self.image.grid
        left, top, right, bottom = region = region_of_interest(self.labels)
        (prompt,) = graphs["prompt"].run(["prompt"], {"labels": self.labels[top:bottom, left:right]})
        chosen = np.zeros((rows, columns), dtype=bool)
        chosen[top // 16 : bottom // 16, left // 16 : right // 16] = self.routes(region)
        tokens = np.arange(rows * columns).reshape(rows, columns)
        changed = tokens if first_disc is None else tokens[_changed(first_disc, rows, columns)]
        feed = {
            **self.image.arrays,
            "prompt": prompt,
            "offset": np.array([top // 16, left // 16], dtype=np.int64),
            "boundary": tokens[chosen].astype(np.int64),
            "other": tokens[~chosen].astype(np.int64),
        }
        if "changed" in self.image.bundle.names("decoder", "inputs"):
            feed["changed"] = changed.ravel().astype(np.int64)
        logits, box = graphs["decoder"].run(["logits", "box"], feed)
        left, top, right, bottom = (16 * int(edge) for edge in box)
        whole = np.full(self.image.map, self.manifest["outside_logit"], dtype=np.float32)
        whole[top:bottom, left:right] = logits[:, :, 0]
        return whole

    def routes(self, region: Box) -> np.ndarray:
        """Section 4.6: bool [rows, columns] of the region, true for tokens with full attention."""
        left, top, right, bottom = region
        labels, reach = self.labels[top:bottom, left:right], self.manifest["uncertainty_kernel_size"] // 2
        boundary = np.ones((labels.shape[0] // 16, labels.shape[1] // 16), dtype=bool)
        if self.manifest["routing"] == "boundary":
            for row, column in np.ndindex(*boundary.shape):
                y, x = 16 * row, 16 * column
                seen = labels[max(y - reach, 0) : y + 16 + reach, max(x - reach, 0) : x + 16 + reach]
                boundary[row, column] = seen.min() != seen.max() or seen.max() == 2
        return boundary

    def mask(self) -> np.ndarray:
        """Section 4.10."""
        mask = self.original_logits() > 0
        if self.enforce_clicks:
            radius = self.manifest["click_radius"] // 2
            rows = (self.image.scale * np.arange(self.image.height)).astype(np.int64)
            columns = (self.image.scale * np.arange(self.image.width)).astype(np.int64)
            labels = self.labels[np.ix_(rows, columns)]
            for click in self.clicks:
                close = _distance(self.image.map, click)[np.ix_(rows, columns)] <= radius**2
                mask[close & (labels == 4)] = True
                mask[close & (labels == 0)] = False
        return mask

    def original_logits(self) -> np.ndarray:
        """The logits in the image, float32 [H, W]."""
        image = self.image
        first, second, a, b = bilinear(image.size, image.square, image.map[1], image.width)
        wide = self.logits[:, first] * a + self.logits[:, second] * b
        first, second, a, b = bilinear(image.size, image.square, image.map[0], image.height)
        return wide[first] * a[:, None] + wide[second] * b[:, None]


def bilinear(size: int, square: int, n: int, count: int) -> tuple[np.ndarray, ...]:
    """Section 4.10: first, second, a and b of `count` pixels along an axis of n model pixels."""
    s = np.float32(size) / np.float32(square)
    p = np.maximum((np.float64(s) * (np.arange(count) + 0.5) - 0.5).astype(np.float32), np.float32(0))
    first = np.minimum(p.astype(np.int64), n - 1)
    b = np.minimum(np.maximum(p - first.astype(np.float32), np.float32(0)), np.float32(1))
    return first, np.minimum(first + 1, n - 1), np.float32(1) - b, b


def region_of_interest(labels: np.ndarray) -> Box:
    """Section 4.4."""
    (height, width), (rows, columns) = labels.shape, np.nonzero(labels != 1)
    if rows.size == 0:
        return 0, 0, width, height
    left, top = (16 * (int(place.min()) // 16) - 16 for place in (columns, rows))
    right, bottom = (16 * _ceil(int(place.max()) + 1, 16) + 16 for place in (columns, rows))
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)


def drop_islands(logits: np.ndarray, definite: np.ndarray) -> None:
    """Section 4.8, in place; `definite`: bool, label 4."""
    # Flooded from pixel to pixel, in a map with a border of one pixel and all rows one after another.
    width = logits.shape[1] + 2
    left = bytearray(np.pad(logits > 0, 1).tobytes())
    around = [down * width + right for down in (-1, 0, 1) for right in (-1, 0, 1)]
    pieces: list[tuple[np.ndarray, np.ndarray]] = []
    for seed in np.flatnonzero(np.frombuffer(left, dtype=np.uint8)).tolist():
        pixels = [seed] if left[seed] else []
        left[seed] = 0
        for pixel in pixels:  # which grows meanwhile
            for step in around:
                if left[pixel + step]:
                    left[pixel + step] = 0
                    pixels.append(pixel + step)
        if pixels:
            rows, columns = np.array(pixels) // width, np.array(pixels) % width
            pieces.append((rows - 1, columns - 1))
    means = [logits[piece].mean(dtype=np.float64) for piece in pieces]
    held = [bool(definite[piece].any()) for piece in pieces]
    if len(pieces) < 2 or not any(held):
        return
    least = 0.5 * max(mean for mean, is_held in zip(means, held, strict=True) if is_held)
    for piece, mean, is_held in zip(pieces, means, held, strict=True):
        if not is_held and mean < least:
            logits[piece] *= np.float32(-1)


def _changed(disc: np.ndarray, rows: int, columns: int) -> tuple[slice, slice]:
    """Section 4.7: the rows and columns of the tokens that see the box of the disc."""
    slices = []
    for places, most in zip(np.nonzero(disc), (rows, columns), strict=True):
        start, stop = int(places.min()), int(places.max()) + 1
        slices.append(slice(start // 16, min((stop + 14) // 16, most - 1) + 1))
    return slices[0], slices[1]


def _distance(size: tuple[int, int], click: Click) -> np.ndarray:
    """Squares of the distances of all model pixels from a click's."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return np.asarray((rows - click.row) ** 2 + (columns - click.column) ** 2)


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
