"""The end of the process while onnxruntime is at work in another thread: the work is stopped, and waited for.

At its end Python unwinds threads that come back to it from native code, and C++ answers that by ending the process with
an abort. So when the interpreter ends, what is running is told to stop, and Python's end waits until no thread is in
there. Such a thread, and one that asks for more, is ended by SystemExit, which threads do in silence.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What cannot be told to stop (loading, in older versions of onnxruntime) takes seconds.
_LONGEST_SECONDS = 120.0
_PAUSE_SECONDS = 0.005

_stops: dict[int, Callable[[], object]] = {}  # by thread: how to stop what it does
_ending: int | None = None  # the thread that ends the process


@contextmanager
def stopped_at_exit(stop: Callable[[], object]) -> Iterator[None]:
    """Do native work in this thread.

    Args:
        stop: called at the end of the process, from another thread and maybe more than once, while this is under way.

    Raises:
        SystemExit: the process ends, and another thread sees to that.
    """
    thread = threading.get_ident()
    _stops[thread] = stop  # before the look at _ending, as _end looks the other way round
    try:
        _leave_at_exit(thread)
        yield
    except Exception:
        _leave_at_exit(thread)  # it was stopped, which is no error
        raise
    finally:
        _stops.pop(thread, None)


def _leave_at_exit(thread: int) -> None:
    if _ending is not None and thread != _ending:
        raise SystemExit


def _end() -> None:
    global _ending
    _ending = threading.get_ident()
    until = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < until:
        try:
            # An interrupt may have left an entry of this very thread, which does nothing any more.
            others = [stop for thread, stop in list(_stops.items()) if thread != _ending]
            if not others:
                return
            for stop in others:
                stop()
            time.sleep(_PAUSE_SECONDS)
        except KeyboardInterrupt:  # the process is ending already
            pass


def _after_fork() -> None:
    """In a forked child: the parent's threads, and what they did, stayed there."""
    global _ending
    _stops.clear()
    _ending = None


atexit.register(_end)
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
