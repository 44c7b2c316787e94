"""What is annotated in one picture: objects, each with the clicks that made its mask, and the way back.

Objects and snapshots are never modified, so undo is going back to an earlier tuple, and a reader needs no lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import ArgumentError
from ..runtime.box import Box
from ..runtime.click import Click
from .rle import RLE

HISTORY = 500


@dataclass(frozen=True)
class Prompt:
    """What a person said about an object, in the order of its use.

    Attributes:
        start: the mask to begin with, where the clicks that made it cannot be repeated (another bundle made it).
        box: a box drawn around the object (pixels of the picture), or None.
        clicks: the clicks, oldest first.
    """

    start: RLE | None = None
    box: Box | None = None
    clicks: tuple[Click, ...] = ()


@dataclass(frozen=True)
class Annotation:
    """One object: `id` is its id in the COCO file, `category` its class's id."""

    id: int
    category: int
    prompt: Prompt
    mask: RLE


Objects = tuple[Annotation, ...]


@dataclass
class Document:
    """One picture's annotations. Every change gives it another `revision`.

    Attributes:
        width, height: of the picture in pixels.
        objects: in the order they were begun; later ones lie above earlier ones.
        done: whether somebody has marked the picture as finished.
    """

    width: int
    height: int
    objects: Objects = ()
    done: bool = False
    revision: int = 0
    _past: list[Objects] = field(default_factory=list)
    _future: list[Objects] = field(default_factory=list)

    def find(self, id: int) -> Annotation:
        """Find the object with an id.

        Raises:
            ArgumentError: there is none.
        """
        for annotation in self.objects:
            if annotation.id == id:
                return annotation
        raise ArgumentError(f"object: there is no object {id} in this picture")

    def put(self, annotation: Annotation) -> None:
        """Replace the object with the same id, or add it after the others."""
        if any(other.id == annotation.id for other in self.objects):
            self._change(tuple(annotation if other.id == annotation.id else other for other in self.objects))
        else:
            self._change((*self.objects, annotation))

    def remove(self, id: int) -> None:
        """Remove an object.

        Raises:
            ArgumentError: there is none with that id.
        """
        self.find(id)
        self._change(tuple(other for other in self.objects if other.id != id))

    def mark(self, done: bool) -> None:
        """Mark the picture as finished or not; no step of undo."""
        self.done = done
        self.revision += 1

    def undo(self) -> bool:
        """Go back to before the last change.

        Returns:
            False where there was none.
        """
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """Take an undo back.

        Returns:
            False where there was none since the last change.
        """
        return self._step(self._future, self._past)

    def history(self) -> Iterator[Objects]:
        """List the objects as they are, as they were, and as they would be after redo."""
        yield from (self.objects, *self._past, *self._future)

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to go back to."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undo to take back."""
        return bool(self._future)

    def _change(self, objects: Objects) -> None:
        self._past.append(self.objects)
        del self._past[:-HISTORY]
        self._future.clear()
        self.objects = objects
        self.revision += 1

    def _step(self, source: list[Objects], target: list[Objects]) -> bool:
        if not source:
            return False
        target.append(self.objects)
        self.objects = source.pop()
        self.revision += 1
        return True
