"""One run at a time on an annotation folder: a lock that names its holder, and is free again when that is gone.

The lock file is held open under the system's own lock, which ends with its process however that ends. What is written
in it tells people whom they would disturb, and covers two cases: file systems without such locks, and a file that
another machine left on a shared disk.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

from ..errors import AnnotationError, ArgumentError

FILE_NAME = ".inter2former.lock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LOCKED_BYTE = 1 << 20  # on Windows: behind the content, which others are to read
_MOST = 4096
# A link is not followed: what it leads to would be written over.
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class FolderLock:
    """The right to write to an annotation folder, from its making until `release`."""

    def __init__(self, folder: Path, address: str = "") -> None:
        """Take the lock.

        Args:
            folder: exists.
            address: of this run's page, for the message that another run gets.

        Raises:
            AnnotationError: another run has it, or perhaps another machine has.
            ArgumentError: nothing can be written there.
        """
        self._path = folder / FILE_NAME
        while True:
            try:
                stream = os.open(self._path, _FLAGS, 0o666)
            except OSError as error:
                raise ArgumentError(f"--out {folder}: cannot open {FILE_NAME} ({error.strerror or error})") from error
            try:
                if not stat.S_ISREG(os.fstat(stream).st_mode):
                    raise ArgumentError(f"--out {folder}: {FILE_NAME} is not a file, and no lock")
                locked = _lock(stream)
                holder = _read(stream)
                if locked is False:
                    raise AnnotationError(_taken(folder, holder))
                if not _is_at(stream, self._path):
                    os.close(stream)  # its holder ended meanwhile and took it away
                    continue
                _check(folder, self._path, holder, locked is True)
                _write(stream, address)
            except BaseException:
                os.close(stream)
                raise
            self._stream = stream
            return

    def release(self) -> None:
        """Give the lock back; the file goes with it."""
        if self._stream < 0:
            return
        if sys.platform == "win32":  # where an open file cannot be removed
            os.close(self._stream)
            with contextlib.suppress(OSError):
                self._path.unlink()
        else:
            with contextlib.suppress(OSError):
                if _is_at(self._stream, self._path):
                    self._path.unlink()
            os.close(self._stream)
        self._stream = -1


def _check(folder: Path, path: Path, holder: dict[str, str], locked: bool) -> None:
    """Refuse where the holder that the file names may still be there, though the system's lock was free.

    Raises:
        AnnotationError: it may.
    """
    if not holder:
        return
    boot = _boot_id()
    if boot and holder.get("boot") == boot:  # this system since it was started, if perhaps in another container
        alive = not locked and _is_running(holder.get("pid", ""))
    elif holder.get("host") == socket.gethostname():
        known = boot and holder.get("boot")  # then it was another start of this machine
        alive = not locked and not known and _is_running(holder.get("pid", ""))
    else:
        raise AnnotationError(
            f"{folder}: {_named(holder)} has it open, on another machine, so whether it still runs cannot be told from "
            f"here: end it there; if it has ended already, delete {path}"
        )
    if alive:
        raise AnnotationError(_taken(folder, holder))


def _taken(folder: Path, holder: dict[str, str]) -> str:
    return f"{folder}: {_named(holder)} has it open; use its page, or end it, or choose another folder with --out"


def _named(holder: dict[str, str]) -> str:
    if not holder:
        return "another run of `inter2former annotate`"
    where = f" ({holder['address']})" if holder.get("address") else ""
    return (
        f"another run of `inter2former annotate`, process {holder.get('pid', '?')} on {holder.get('host', '?')} since "
        f"{holder.get('since', '?')}{where}"
    )


def _read(stream: int) -> dict[str, str]:
    """Read who holds the lock; empty where the file does not say."""
    try:
        os.lseek(stream, 0, os.SEEK_SET)
        content: Any = json.loads(os.read(stream, _MOST))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(key): str(value)[:200] for key, value in content.items()} if isinstance(content, dict) else {}


def _write(stream: int, address: str) -> None:
    content = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "boot": _boot_id(),
        "since": datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        "address": address,
    }
    os.ftruncate(stream, 0)
    os.lseek(stream, 0, os.SEEK_SET)
    os.write(stream, json.dumps(content).encode())
    os.fsync(stream)


def _lock(stream: int) -> bool | None:
    """Ask the system for the lock: True: it is ours, False: another's, None: this file system has none."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(stream, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(stream, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(stream: int, path: Path) -> bool:
    """Tell whether an open file is the one that stands at a path."""
    try:
        return os.path.samestat(os.fstat(stream), os.stat(path))
    except OSError:
        return False


def _boot_id() -> str:
    """Read what tells this start of the system from others; empty where it has no such thing."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _is_running(pid: str) -> bool:
    if sys.platform == "win32" or not pid.isdecimal() or int(pid) == 0:
        return False
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
