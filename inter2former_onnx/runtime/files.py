"""Files and folders that are whole or not there, and sums of files. Only the standard library is needed here.

What is to stand at a place is first written beside it, under a name that begins with a dot, and moved there when it is
done. A link at the place is followed: what it points to is replaced, the link stays. Permissions are the usual ones
(the umask's). A process that is killed leaves the unfinished thing behind; tidying up is up to who knows its age.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

__all__ = ["FileDraft", "FolderDraft", "sha256_of", "write_file"]


class FileDraft:
    """A file on its way to its place; use as a context manager, which removes what was not committed.

    Attributes:
        path: the file to write meanwhile, `.NAME.XXXXXXXX.tmp` in the folder of its place.
    """

    def __init__(self, place: Path) -> None:
        """Make an empty file beside `place`, so that where nothing can be written is known before the work.

        Raises:
            OSError: it cannot be made.
        """
        self.place = Path(os.path.realpath(place))
        self.path = _beside(self.place, ".tmp")
        self.path.touch(exist_ok=False)
        self._mode = stat.S_IMODE(self.path.stat().st_mode)

    def __enter__(self) -> FileDraft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()

    def commit(self) -> None:
        """Move the file to its place, over one that is there.

        Raises:
            OSError: it cannot be moved; what was at the place is still there.
        """
        if stat.S_IMODE(self.path.stat().st_mode) != self._mode:
            self.path.chmod(self._mode)  # the writer made a file of its own, for the owner's eyes only
        with self.path.open("r+b") as stream:
            os.fsync(stream.fileno())  # or the name could reach the disk before the data
        os.replace(self.path, self.place)

    def discard(self) -> None:
        """Remove the file, unless it was committed."""
        self.path.unlink(missing_ok=True)


class FolderDraft:
    """A folder on its way to its place; use as a context manager, which removes what was not committed.

    Its files are not forced to the disk: they may be many megabytes, and whoever reads them compares sums.

    Attributes:
        path: the folder to fill meanwhile, `.NAME.XXXXXXXX` beside its place.
    """

    def __init__(self, place: Path) -> None:
        """Make an empty folder beside `place`.

        Raises:
            OSError: it cannot be made.
        """
        self.place = Path(os.path.realpath(place))
        self.path = _beside(self.place)
        self.path.mkdir()

    def __enter__(self) -> FolderDraft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()

    def commit(self) -> None:
        """Move the folder to its place; what was there goes only once the new one stands.

        Raises:
            OSError: it cannot be moved; what was at the place is there again.
        """
        if not self.place.exists():
            self.path.rename(self.place)
            return
        old = self.path.with_name(f"{self.path.name}.old")
        self.place.rename(old)
        try:
            self.path.rename(self.place)
        except OSError:
            if self.place.exists():  # another process was faster: what it put there is newer than `old`
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.rename(self.place)
            raise
        shutil.rmtree(old)

    def discard(self) -> None:
        """Remove the folder with all that is in it, unless it was committed."""
        shutil.rmtree(self.path, ignore_errors=True)


def write_file(place: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file, whole or not at all.

    Args:
        place: the file's path.
        write: called with the binary stream to write to. What it raises leaves what was at `place` before.

    Raises:
        OSError: the file cannot be written.
    """
    with FileDraft(place) as draft:
        with draft.path.open("wb") as stream:
            write(stream)
        draft.commit()


def sha256_of(path: Path) -> str:
    """Compute the sha256 of a file's content, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _beside(place: Path, suffix: str = "") -> Path:
    return place.with_name(f".{place.name}.{os.urandom(4).hex()}{suffix}")
