"""Result files that are whole or not there: written beside their place under another name, then moved into it.

The other name is taken before the work starts, so an output that cannot be written is refused before minutes are spent.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from .errors import ArgumentError, Inter2FormerError


class OutputFile:
    """A file to be written at the end of a job; use as a context manager around the whole job.

    Entering raises ArgumentError when `path` cannot be written to. `write(function)` calls `function(stream)` and moves
    the result into place; a job that ends without it leaves what was at `path` before.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary: str | None = None

    def __enter__(self) -> OutputFile:
        if self.path.exists() and not self.path.is_file():
            raise ArgumentError(f"cannot write {self.path}: it is there already and is not a file")
        # A link is followed: what it points to is replaced, the link stays.
        place = Path(os.path.realpath(self.path))
        try:
            handle, self._temporary = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent)
        except OSError as error:
            reason = error.strerror or error
            raise ArgumentError(f"cannot write {self.path}: {reason} (folder {place.parent})") from error
        os.close(handle)
        return self

    def write(self, function: Callable[[BinaryIO], object]) -> None:
        """Lets `function` write the content to a binary stream, then moves it into place.

        Raises Inter2FormerError when the disk refuses (full, gone)."""
        assert self._temporary is not None, "OutputFile.write outside its with statement"
        try:
            with open(self._temporary, "wb") as stream:
                function(stream)
            os.chmod(self._temporary, 0o666 & ~_umask())  # mkstemp makes files that only their owner may read
            os.replace(self._temporary, os.path.realpath(self.path))
        except OSError as error:
            raise Inter2FormerError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._temporary = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            Path(self._temporary).unlink(missing_ok=True)


def _umask() -> int:
    # It can only be read by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
