"""Result files that are whole or not there: written beside their place under another name, then moved into it.

The other name is taken before the work starts, so an output that cannot be written is refused before minutes are spent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from .errors import ArgumentError, Inter2FormerError
from .runtime.files import FileDraft


class OutputFile:
    """A file to be written at the end of a job; use as a context manager around the whole job.

    A job that ends without `write` leaves what was at `path` before.

    Raises:
        ArgumentError: on entering, where `path` cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        """Take the place; nothing is written before the context is entered."""
        self.path = path
        self._draft: FileDraft | None = None

    def __enter__(self) -> OutputFile:
        if self.path.exists() and not self.path.is_file():
            raise ArgumentError(f"cannot write {self.path}: it is there already and is not a file")
        try:
            self._draft = FileDraft(self.path)
        except OSError as error:
            reason, folder = error.strerror or error, Path(os.path.realpath(self.path)).parent
            raise ArgumentError(f"cannot write {self.path}: {reason} (folder {folder})") from error
        return self

    def write(self, function: Callable[[BinaryIO], object]) -> None:
        """Let `function` write the content to a binary stream, then move it into place.

        Raises:
            Inter2FormerError: the disk refuses (full, gone).
        """
        assert self._draft is not None, "OutputFile.write outside its with statement"
        try:
            with self._draft.path.open("wb") as stream:
                function(stream)
            self._draft.commit()
        except OSError as error:
            raise Inter2FormerError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._draft = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._draft is not None:
            self._draft.discard()
