"""Islands: pieces of a predicted mask that no positive click is in, and of which the model is not half as sure.

A piece is an 8-connected component. The work is done on runs, the stretches of positive pixels within a row: a few
hundred of them stand for the hundred thousand pixels of an object.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A piece stays where its mean logit is at least this share of that of the surest clicked piece.
SURE = 0.5

Indices = NDArray[np.intp]


def drop_islands(
    logits: NDArray[np.float32], positive: NDArray[np.bool_], clicked: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Take the islands out of a prediction.

    Where no piece of the mask holds a clicked pixel, nothing tells islands from the object, and all stays.

    Args:
        logits: [height, width].
        positive: [height, width], `logits > 0`.
        clicked: [height, width], the discs of positive clicks.

    Returns:
        logits, with the sign turned where an island was, and `logits > 0`; the arguments themselves when there is none.
    """
    width = positive.shape[1]
    pitch = width + 1  # pixels are numbered as in a map with one more column, so no run crosses two rows
    starts, stops = _runs(positive)
    piece, count = _pieces(starts, stops, pitch)
    if count < 2:
        return logits, positive
    seeds = np.flatnonzero(clicked & positive)
    kept = np.zeros(count, dtype=np.bool_)
    kept[piece[np.searchsorted(starts, seeds + seeds // width, side="right") - 1]] = True
    if not kept.any():
        return logits, positive
    lengths = stops - starts
    starts = starts - starts // pitch  # now as the pixels are stored
    means = np.bincount(piece, _sums(logits.ravel(), starts, lengths), count) / np.bincount(piece, lengths, count)
    kept |= means >= SURE * means[kept].max()
    if kept.all():
        return logits, positive
    dropped = ~kept[piece]
    island = _expanded(starts[dropped], lengths[dropped])
    logits, positive = logits.copy(), positive.copy()
    # No island touches what stays, so turning the sign moves the border of neither, however the logits are resized.
    logits.ravel()[island] *= -1.0
    positive.ravel()[island] = False
    return logits, positive


def _runs(positive: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """First pixel of each run, and the first after it, in the order of rows; the map's rows have one pixel more."""
    height, width = positive.shape
    padded = np.zeros((height, width + 1), dtype=np.bool_)
    padded[:, :-1] = positive
    flat = padded.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat[0]:
        changes = np.concatenate([[0], changes])
    return changes[::2], changes[1::2]


def _sums(values: NDArray[np.float32], starts: Indices, lengths: Indices) -> NDArray[np.float64]:
    """Sum of the values of each run."""
    ends = np.stack([starts, starts + lengths], axis=1).ravel()
    if ends[-1] == len(values):  # reduceat goes to the end by itself, and takes no index there
        ends = ends[:-1]
    sums: NDArray[np.float64] = np.add.reduceat(values, ends, dtype=np.float64)[::2]
    return sums


def _expanded(starts: Indices, lengths: Indices) -> Indices:
    """starts[0], starts[0] + 1, ... (lengths[0] numbers), then starts[1], ...: the pixels of runs, one by one."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _pieces(starts: Indices, stops: Indices, pitch: int) -> tuple[Indices, int]:
    """Number of each run's piece, and how many pieces there are."""
    # A run touches those of the next row that begin no later than one pixel after its end, and end no earlier than
    # one before its start.
    first = np.searchsorted(stops, starts + pitch)
    touching = np.maximum(np.searchsorted(starts, stops + pitch, side="right") - first, 0)
    upper, lower = np.repeat(np.arange(len(starts)), touching), _expanded(first, touching)
    parent = np.arange(len(starts))  # of each run: itself, or an earlier run of its piece
    while True:
        high, low = parent[upper], parent[lower]
        if np.array_equal(high, low):
            break
        earlier = np.minimum(high, low)
        np.minimum.at(parent, high, earlier)
        np.minimum.at(parent, low, earlier)
        while not np.array_equal(grand := parent[parent], parent):
            parent = grand
    roots = parent == np.arange(len(starts))
    return (np.cumsum(roots) - 1)[parent], int(np.count_nonzero(roots))
