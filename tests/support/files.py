"""Writing files in loops."""

from __future__ import annotations

from pathlib import Path


def write_anew(path: Path, content: bytes) -> None:
    """Write a file in place of the one of that name.

    The old one is removed first: ext4 waits for the disk when a file is emptied and written again, milliseconds a time.
    """
    path.unlink(missing_ok=True)
    path.write_bytes(content)
