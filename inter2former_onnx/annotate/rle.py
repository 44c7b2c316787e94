"""COCO's run-length code of a mask: runs of 0 and 1 in turn, column by column, written as a short text.

Masks are kept, saved and sent to the page in this one form. The text is that of the COCO API (`maskApi.c`,
rleToString): every run but the first three as its difference from the run before the last, 5 bits a character, lowest
first, bit 5 for "more follows", offset 48.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError

Mask = NDArray[np.bool_]
Runs = NDArray[np.int64]

_MAX_CHARACTERS = 7  # of one number: 35 bits, more than any picture has pixels


@dataclass(frozen=True)
class RLE:
    """A mask of `height` x `width` pixels in COCO's run-length code `counts`."""

    height: int
    width: int
    counts: str

    @classmethod
    def encode(cls, mask: Mask) -> RLE:
        """Encode a mask, bool [height, width]."""
        height, width = mask.shape
        return cls(height, width, _to_text(_runs(mask)))

    @classmethod
    def checked(cls, height: int, width: int, counts: str) -> RLE:
        """Check a code that was read from a file.

        Raises:
            ArgumentError: it is not the code of a mask of that size.
        """
        code = cls(height, width, counts)
        runs = code.runs
        if len(runs) == 0 or runs.min() < 0 or runs.sum() != height * width:
            raise ArgumentError(f"counts: not the run-length code of a mask of {width} x {height} pixels")
        return code

    @cached_property
    def runs(self) -> Runs:
        """Lengths of the runs, int64, beginning with one of zeros (which may be empty)."""
        return _from_text(self.counts)

    def decode(self) -> Mask:
        """Decode the mask, bool [height, width]."""
        values = np.arange(len(self.runs)) % 2 == 1
        return np.repeat(values, self.runs).reshape(self.width, self.height).T

    @cached_property
    def area(self) -> int:
        """Number of pixels in the mask."""
        return int(self.runs[1::2].sum())

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, width, height) of the mask's pixels, COCO's `bbox`; zeros for an empty mask."""
        ends = np.cumsum(self.runs)
        starts, ends = ends[:-1:2], ends[1::2]
        filled = ends > starts
        starts, ends = starts[filled], ends[filled]
        if len(starts) == 0:
            return (0, 0, 0, 0)
        left, right = int(starts[0]) // self.height, (int(ends[-1]) - 1) // self.height
        # A run that goes on in the next column covers both the last and the first row.
        wraps = bool((starts // self.height != (ends - 1) // self.height).any())
        top = 0 if wraps else int((starts % self.height).min())
        bottom = self.height - 1 if wraps else int(((ends - 1) % self.height).max())
        return (left, top, right - left + 1, bottom - top + 1)

    def json(self) -> dict[str, Any]:
        """Make COCO's `segmentation` object."""
        return {"size": [self.height, self.width], "counts": self.counts}


def _runs(mask: Mask) -> Runs:
    height, width = mask.shape
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return np.array([height * width])
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    # Only the mask's box is looked at, transposed, with a zero between the columns, so that no run leaves its column.
    padded = np.zeros((right - left, bottom - top + 2), dtype=np.int8)
    padded[:, 1:-1] = mask[top:bottom, left:right].T
    flat = padded.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    column, row = np.divmod(changes, bottom - top + 2)
    edges = (left + column) * height + top + row
    # A run that ends at the bottom of a column goes on at the top of the next.
    starts, ends = edges[::2], edges[1::2]
    gap = starts[1:] != ends[:-1]
    edges = np.column_stack((starts[np.r_[True, gap]], ends[np.r_[gap, True]])).ravel()
    runs = np.diff(edges, prepend=0, append=height * width)
    return runs[:-1] if runs[-1] == 0 else runs


def _to_text(runs: Runs) -> str:
    values = runs.astype(np.int64)
    values[3:] -= runs[1:-2]
    characters = np.empty((len(values), _MAX_CHARACTERS), dtype=np.uint8)
    used = np.zeros((len(values), _MAX_CHARACTERS), dtype=np.bool_)
    active = np.ones(len(values), dtype=np.bool_)
    for position in range(_MAX_CHARACTERS):
        low = values & 31
        values >>= 5  # arithmetic: the sign stays
        more = np.where(low & 16, values != -1, values != 0)
        characters[:, position] = low + (more << 5) + 48
        used[:, position] = active
        active = active & more
    return characters[used].tobytes().decode("ascii")


def _from_text(counts: str) -> Runs:
    try:
        codes = np.frombuffer(counts.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise ArgumentError("counts: not a COCO run-length code") from None
    if codes.size == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ArgumentError("counts: not a COCO run-length code")
    last = np.flatnonzero(codes < 32)
    first = np.r_[0, last[:-1] + 1]
    lengths = last - first + 1
    if lengths.max() > _MAX_CHARACTERS:
        raise ArgumentError("counts: not a COCO run-length code")
    positions = np.arange(codes.size) - np.repeat(first, lengths)
    values = np.add.reduceat((codes & 31) << (5 * positions), first)
    values -= np.where(codes[last] & 16, np.int64(1) << (5 * lengths), 0)
    for start in (1, 2):
        values[start::2] = np.cumsum(values[start::2])
    return values
