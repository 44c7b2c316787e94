"""Label maps kept for undo: run-length coded, a few kilobytes each instead of a megabyte."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .box import Box
from .labels import POSSIBLE_BACKGROUND, Labels


@dataclass(frozen=True)
class PackedLabels:
    """A label map whose labels outside `box` are all 1.

    Run lengths rather than zlib: a sixth of the time at about twice the size, and the time is part of every click.
    """

    shape: tuple[int, int]
    box: Box
    lengths: NDArray[np.int32]
    values: NDArray[np.uint8]

    @classmethod
    def pack(cls, labels: Labels, box: Box) -> PackedLabels:
        """Pack `labels` (uint8 [h, w]); `box` must hold every label other than 1."""
        flat = labels[box.slices].ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1])
        starts = np.concatenate(([0], changes + 1))
        lengths = np.diff(starts, append=flat.size).astype(np.int32)
        return cls((labels.shape[0], labels.shape[1]), box, lengths, flat[starts])

    def unpack(self) -> Labels:
        """Make the map as it was packed, a new array."""
        labels = np.full(self.shape, POSSIBLE_BACKGROUND, dtype=np.uint8)
        labels[self.box.slices] = np.repeat(self.values, self.lengths).reshape(self.box.height, self.box.width)
        return labels
