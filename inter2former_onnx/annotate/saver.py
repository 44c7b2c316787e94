"""Saving while people work: a thread that writes what has changed, a moment after it changed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from ..errors import AnnotationError, Inter2FormerError
from ..wording import counted
from . import coco_files
from .conflicts import conflict_name
from .dataset import FILE_NAME, POLYGON_FILE_NAME, Dataset, PictureRecord
from .exports import save_masks
from .results import named, save

Result = TypeVar("Result")

_QUIET = 0.5  # seconds without a change before saving: tracing polygons must not get in the way of the next click
_LATEST = 3.0  # seconds after which it is done in any case
_AGAIN = 2.0  # seconds until what failed is tried again


class Saver:
    """Writes `coco.json`, `coco_polygons.json` and the indexed PNGs of changed pictures into `out`.

    Every file is written beside its place and moved into it. A `coco.json` that somebody else has changed meanwhile is
    left alone: ours goes to a conflict file of this run then (see conflicts.py), and every save says so.
    """

    def __init__(
        self,
        out: Path,
        snapshot: Callable[[], Dataset],
        report: Callable[[str], None],
        missing: Callable[[], frozenset[str]],
    ) -> None:
        """Start the thread.

        Args:
            out: the annotation folder.
            snapshot: gives what is to be saved.
            report: called after every save with what went wrong, or "".
            missing: gives the names of pictures that are not there, which the file with polygons leaves out.
        """
        self._out = out
        self._snapshot = snapshot
        self._report = report
        self._missing = missing
        self._condition = threading.Condition()
        self._changed: set[str] = set()
        self._pending = False
        self._stopping = False
        self._saving = threading.Lock()
        self._pieces: dict[str, tuple[PictureRecord, coco_files.Piece]] = {}
        self._signature = _signature(out / FILE_NAME)
        self._known = self._signature is not None
        self._conflict: Path | None = None
        self._thread = threading.Thread(target=self._run, name="saver", daemon=True)
        self._thread.start()

    def touch(self, picture: str | None = None) -> None:
        """Note that something has changed.

        Args:
            picture: its name; None: the classes.
        """
        with self._condition:
            self._pending = True
            if picture is not None:
                self._changed.add(picture)
            self._condition.notify()

    @property
    def pending(self) -> bool:
        """Whether something is not saved yet."""
        return self._pending

    def flush(self) -> None:
        """Save now what is not saved yet.

        Raises:
            Inter2FormerError: it cannot be written.
        """
        with self._saving:
            with self._condition:
                if not self._pending:
                    return
                changed, self._changed, self._pending = self._changed, set(), False
            try:
                self._save(changed)
            except BaseException:
                with self._condition:
                    self._changed |= changed
                    self._pending = True
                raise

    def alone(self, function: Callable[[], Result]) -> Result:
        """Run what writes into the same folders, while nothing is saved."""
        with self._saving:
            return function()

    def close(self) -> None:
        """Save what is left and stop.

        Raises:
            Inter2FormerError: it cannot be written.
        """
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        busy = 0.0  # how long the last save took
        while self._wait(busy):
            started = time.monotonic()
            problem = ""
            try:
                self.flush()
            except Inter2FormerError as error:
                problem = str(error)
            except Exception as error:
                problem = f"not saved: {type(error).__name__}: {error}"
            busy = time.monotonic() - started if not problem else _AGAIN
            self._report(problem)

    def _wait(self, busy: float) -> bool:
        """Wait until there is something to save and people pause; False when it is time to stop."""
        with self._condition:
            while not self._stopping and not self._pending:
                self._condition.wait()
            # A file of many thousand objects takes a while: save less often then.
            latest = time.monotonic() + max(_LATEST, 5 * busy)
            while not self._stopping and (left := latest - time.monotonic()) > 0:
                if not self._condition.wait(min(max(_QUIET, busy), left)):
                    break  # nothing has changed meanwhile
            return not self._stopping

    def _save(self, changed: set[str]) -> None:
        dataset = self._snapshot()
        pieces = [self._piece(picture) for picture in coco_files.listed(dataset)]
        path = self._out / FILE_NAME
        if _signature(path) != self._signature:
            place = self._conflict_place()
            save(place, coco_files.coded_file(dataset, pieces))
            raise AnnotationError(
                f"{path} was changed by another program and is left as it is; this session's annotations are saved as "
                f"{place.name} beside it, which `inter2former annotate --merge-conflicts` puts into it"
            )
        save(path, coco_files.coded_file(dataset, pieces))
        self._signature = _signature(path)
        there = [self._piece(picture) for picture in coco_files.listed(dataset, self._missing())]
        save(self._out / POLYGON_FILE_NAME, coco_files.polygon_file(dataset, there))
        failed = save_masks(self._out, dataset, changed, self._known)
        if failed:
            raise Inter2FormerError(
                f"{path} is saved, but {counted(len(failed), 'file')} of masks could not be written: {failed[0]}"
            )

    def _conflict_place(self) -> Path:
        """Take a file for this run's annotations that no other run has."""
        number = 0
        while self._conflict is None:
            place = self._out / conflict_name(number)
            try:
                place.open("xb").close()
                self._conflict = place
            except FileExistsError:
                number += 1
        return self._conflict

    def _piece(self, picture: PictureRecord) -> coco_files.Piece:
        kept = self._pieces.get(picture.name)
        if kept is None or kept[0] != picture:
            kept = self._pieces[picture.name] = (picture, coco_files.piece(picture))
        return kept[1]


def save_now(out: Path, dataset: Dataset, changed: Iterable[str], missing: frozenset[str]) -> None:
    """Save a dataset that no page shows.

    Args:
        out: the annotation folder.
        dataset: what is to be saved.
        changed: names of pictures whose masks are others.
        missing: names of pictures that are not there.

    Raises:
        Inter2FormerError: it cannot be written.
    """
    named(dataset)
    saver = Saver(out, lambda: dataset, lambda problem: None, lambda: missing)
    saver.touch()
    for name in changed:
        saver.touch(name)
    saver.close()


def _signature(path: Path) -> tuple[int, int, int] | None:
    """Read what tells that a file is still the one last seen; None where there is no file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
