"""A rectangle of pixels or tokens, half open: columns left <= x < right, rows top <= y < bottom."""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """Half-open rectangle; the same order (left, top, right, bottom) as the decoder's `box` output."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, columns), ready to index an array [height, width] with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def hull(self, other: Box) -> Box:
        """Find the smallest box that holds both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def within(self, outer: Box) -> Box:
        """Bring this box to the coordinates of `outer`, of which it must be a part."""
        return Box(self.left - outer.left, self.top - outer.top, self.right - outer.left, self.bottom - outer.top)

    def scaled(self, factor: int) -> Box:
        """Bring this box to units `factor` times smaller (tokens -> pixels)."""
        return Box(self.left * factor, self.top * factor, self.right * factor, self.bottom * factor)


def whole(height: int, width: int) -> Box:
    """Make the box of a complete map."""
    return Box(0, 0, width, height)
