"""What an address says beside a picture's place in the list, so that no answer can be taken for another picture's.

Another run on the same port, and the same run after a file was replaced, number their pictures alike. Browsers keep
answers by their address, and windows stay open: both must notice.
"""

from __future__ import annotations

import hashlib
import secrets

from ..errors import ArgumentError
from .photos import Photo

_DIGITS = 16  # hexadecimal, of a picture's part
Stamp = tuple[int, int]


def stamp(photo: Photo) -> Stamp:
    """Tell a picture's file from what may replace it.

    Returns:
        Its size in bytes and its time of change in nanoseconds; (-1, -1) where there is none.
    """
    try:
        found = (photo.root / photo.name).stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


class Identities:
    """Versions of pictures: one text for each file as it is, in each run. `run` is the part that all of a run share."""

    def __init__(self) -> None:
        self.run = secrets.token_hex(8)

    def version(self, photo: Photo) -> str:
        """Name a picture's file as it is now: its folder, name, size and time of change, within this run."""
        size, changed = stamp(photo)
        text = f"{self.run}\n{photo.root / photo.name}\n{size}\n{changed}"
        return f"{self.run}-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:_DIGITS]}"

    def check_run(self, named: object) -> None:
        """Check that a request comes from a page of this run.

        Args:
            named: the run or version that it names; None (it names none) is let through.

        Raises:
            ArgumentError: it is another run's.
        """
        if named is not None and (not isinstance(named, str) or named.partition("-")[0] != self.run):
            raise ArgumentError("this page belongs to another run on the same address: reload it")

    def check(self, photo: Photo, named: object) -> None:
        """Check that a request is about a picture as it is now.

        Args:
            photo: that it is about.
            named: the version that it names; None (it names none) is let through.

        Raises:
            ArgumentError: the version is another run's, or the file is another one by now.
        """
        self.check_run(named)
        if named is not None and named != self.version(photo):
            raise ArgumentError(f"{photo.name}: the file has changed since it was opened here; reload the page")
