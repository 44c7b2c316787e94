"""What islands are, pixel by pixel: the plain form of runtime/islands.py."""

from __future__ import annotations

import numpy as np

SURE = 0.5


def pieces_of(positive: np.ndarray) -> list[np.ndarray]:
    """The 8-connected components, bool [h, w] each, by flooding."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(positive), strict=True)}
    pieces = []
    while left:
        edge = [left.pop()]
        piece = np.zeros_like(positive)
        while edge:
            y, x = edge.pop()
            piece[y, x] = True
            around = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= around
            edge += around
        pieces.append(piece)
    return pieces


def islands_of(logits: np.ndarray, clicked: np.ndarray) -> np.ndarray:
    """bool [h, w]: pieces of logits > 0 that no click is in, of a mean under half that of the surest with one."""
    island = np.zeros(logits.shape, dtype=bool)
    pieces = pieces_of(logits > 0)
    held = [float(logits[piece].astype(np.float64).mean()) for piece in pieces if (piece & clicked).any()]
    for piece in pieces if held else []:
        if not (piece & clicked).any() and logits[piece].astype(np.float64).mean() < SURE * max(held):
            island |= piece
    return island
