"""Sessions that are interrupted anywhere, used by many threads, and used for long."""

from __future__ import annotations

import json
import linecache
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import inter2former_onnx
from inter2former_onnx import ClickSession, EncodedImage, Segmenter
from inter2former_onnx.errors import ClickError
from support.fake_bundle import write_fake_bundle
from support.reference import REPOSITORY
from support.tried import note, tried

RUNTIME = str(Path(inter2former_onnx.runtime.segmenter.__file__).parent)
CLICKS = [(10.0, 10.0, True), (40.0, 25.0, False), (20.5, 30.0, True), (10.0, 10.0, False)]


def photograph(height: int = 40, width: int = 50) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([(x * 5) % 256, (y * 6) % 256, (x + y) % 256], axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> EncodedImage:
    bundle = write_fake_bundle(tmp_path_factory.mktemp("sessions") / "bundle")
    return Segmenter(bundle, threads=1).encode(photograph())


def look(session: ClickSession) -> tuple[Any, ...]:
    """All that a session shows."""
    return session.clicks, session.labels.tobytes(), session.mask.tobytes(), session.logits.tobytes()


@contextmanager
def interrupted_at(line: int) -> Iterator[None]:
    """KeyboardInterrupt before that line of the runtime, as Ctrl+C raises it between two lines of Python.

    Python counts leaving a with block as a line, too. There no signal arrives: CPython looks for them after calls and
    backward jumps, and the block is left by a call that is over when it looks.
    """
    left = line
    entered: set[tuple[FrameType, int]] = set()

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        nonlocal left
        if not frame.f_code.co_filename.startswith(RUNTIME):
            return None
        if event == "line":
            place = frame, frame.f_lineno
            if linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with "):
                if place in entered:
                    entered.remove(place)
                    return trace
                entered.add(place)
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


ACTIONS: dict[str, Callable[[ClickSession], object]] = {
    "click": lambda session: session.click(20.0, 20.0),
    "preview": lambda session: session.preview(20.0, 20.0),
    "undo": lambda session: session.undo(),
    "reset": lambda session: session.reset(),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_interrupted_at_every_line(image: EncodedImage, name: str) -> None:
    """The session is as it was, or as the whole action leaves it; it takes the next click, and the lock is free."""
    action = ACTIONS[name]

    def begin() -> ClickSession:
        session = image.session()
        for click in CLICKS[:2]:
            session.click(*click)
        return session

    done = begin()
    before = look(done)
    action(done)
    after = look(done)
    done.click(33.0, 12.0)
    after_more = look(done)
    plain = begin()
    plain.click(33.0, 12.0)
    before_more = look(plain)
    unchanged = line = 0
    while True:
        line += 1
        session = begin()
        try:
            with interrupted_at(line):
                action(session)
            break
        except KeyboardInterrupt:
            tried()
        assert not session._lock.locked(), f"line {line}"
        shown = look(session)
        assert shown in (before, after), f"line {line}"
        unchanged += shown == before
        session.click(33.0, 12.0)
        assert look(session) == (before_more if shown == before else after_more), f"line {line}"
    assert line > 4 and unchanged > 2


@contextmanager
def alarm_after(seconds: float) -> Iterator[None]:
    """A real signal at that moment, whose handler raises KeyboardInterrupt."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers of signals on Windows")
def test_signals_at_any_moment(image: EncodedImage) -> None:
    """Ctrl+C hits a series of clicks and encodings; what is there afterwards is a prefix of the series, and goes on."""
    shown = [look(image.session())]
    plain = image.session()
    for click in CLICKS:
        plain.click(*click)
        shown.append(look(plain))
    pixels = photograph()
    started = time.perf_counter()
    again = image.session()
    for click in CLICKS:
        again.click(*click)
        image.segmenter.encode(pixels)
    length = time.perf_counter() - started
    interrupted = 0
    for step in range(300):
        session = image.session()
        try:
            with alarm_after(length * (step + 1) / 300):
                for click in CLICKS:
                    session.click(*click)
                    image.segmenter.encode(pixels)
        except KeyboardInterrupt:
            tried()
            interrupted += 1
        assert not session._lock.locked()
        done = len(session.clicks)
        assert look(session) == shown[done]
        for click in CLICKS[done:]:
            session.click(*click)
        assert look(session) == shown[-1]
    assert interrupted > 50
    np.testing.assert_array_equal(image.segmenter.encode(pixels).arrays["embed"], image.arrays["embed"])


def test_interrupted_while_opening(image: EncodedImage) -> None:
    """An interrupt at every line of opening a bundle and of a first encoding: the next attempt succeeds."""
    line = 0
    while True:
        line += 7
        try:
            with interrupted_at(line):
                Segmenter(image.segmenter.bundle, threads=1)
            break
        except KeyboardInterrupt:
            tried()
    assert line > 100
    line = 0
    while True:
        line += 1
        segmenter = Segmenter(image.segmenter.bundle, threads=1)
        try:
            with interrupted_at(line):
                segmenter.encode(photograph())
            break
        except KeyboardInterrupt:
            tried()
        np.testing.assert_array_equal(segmenter.encode(photograph()).arrays["embed"], image.arrays["embed"])
    assert line > 20


Script = list[tuple[str, float, float, bool]]


def script(seed: int) -> Script:
    """Some minutes of a hesitant person, some of it refused."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["click", "click", "click", "preview", "undo", "reset", "outside", "nan"], 24)
    return [(str(kind), *(float(v) for v in rng.uniform(0, 40, 2)), bool(rng.integers(2))) for kind in kinds]


def play(session: ClickSession, actions: Script) -> list[tuple[Any, ...]]:
    """What the session shows after every action."""
    shown = []
    for kind, x, y, positive in actions:
        if kind == "click":
            session.click(x, y, positive)
        elif kind == "preview":
            session.preview(x, y, positive)
        elif kind == "undo":
            session.undo()
        elif kind == "reset":
            session.reset()
        else:
            before = look(session)
            with pytest.raises(ClickError):
                session.click(-1.0 if kind == "outside" else float("nan"), y, positive)
            assert look(session) == before
        shown.append(look(session))
    return shown


def test_many_sessions_on_one_image(image: EncodedImage) -> None:
    """48 sessions in 8 threads, while others encode: each shows what it shows alone."""
    scripts = [script(seed) for seed in range(48)]
    alone = [play(image.session(), actions) for actions in scripts]
    stop = threading.Event()

    def encode() -> int:
        count = 0
        while not stop.is_set():
            found = image.segmenter.encode(photograph()).arrays["embed"]
            np.testing.assert_array_equal(found, image.arrays["embed"])
            count += 1
        return count

    with ThreadPoolExecutor(10) as pool:
        encoding = [pool.submit(encode) for _ in range(2)]
        try:
            together = list(pool.map(lambda actions: play(image.session(), actions), scripts))
        finally:
            stop.set()
        encoded = sum(future.result() for future in encoding)
    assert together == alone and encoded > 0
    tried(sum(len(actions) for actions in scripts))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for its memory")
def test_endurance(image: EncodedImage) -> None:
    """2,000 clicks over 200 sessions, in a process of their own: after half of them no more memory, but for noise."""
    program = REPOSITORY / "benchmarks" / "endurance.py"
    command = [sys.executable, str(program), str(image.segmenter.bundle), "--threads", "1", "--side", "200", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=image.segmenter.bundle, timeout=120)
    found = json.loads(done.stdout)
    assert found["clicks"] == 2000
    tried(found["clicks"])
    memory, seconds = found["memory_mib"], found["seconds"]
    note(
        f"memory after 50 % and 100 % of the clicks {memory[5]:.1f}, {memory[-1]:.1f} MiB; "
        f"median click in those tenths {1e3 * seconds[5]:.2f}, {1e3 * seconds[-1]:.2f} ms"
    )
    # One 96 x 96 label map a click, left behind, would be 9 MiB over the second half.
    assert memory[-1] - memory[5] < 2


def test_sessions_leave_nothing_behind(image: EncodedImage) -> None:
    """A session that is dropped is gone at once, with all its states; a reset one holds what a new one holds."""
    session = image.session()
    for click in CLICKS * 20:
        session.click(*click)
    session.reset()
    assert session._state is session._start and session._state.before == () and session._previewed is None
    session.click(*CLICKS[0])
    gone = [weakref.ref(session), weakref.ref(session._state)]
    del session
    assert [reference() for reference in gone] == [None, None]
