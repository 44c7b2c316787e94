"""The process ends while a picture is being encoded: never by an abort, soon, and with the status it asked for."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from support.tried import tried

# The shipped model is loaded and encodes for ever: `begin` runs it, then the process ends after a while.
PROGRAM = """
import concurrent.futures, os, signal, sys, threading, time
import numpy as np
from inter2former_onnx import Segmenter

segmenter = Segmenter(threads=2)
image = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
started = threading.Event()

def work():
    session = None
    for number in range({rounds}):
        started.set()
        encoded = segmenter.encode(image)
        session = session or encoded.session()
        session.click(300, 200)

def begin(daemon):
    threading.Thread(target=work, daemon=daemon).start()
    started.wait()
    time.sleep(float(sys.argv[1]))

"""
FOREVER = PROGRAM.replace("{rounds}", "10**9")
TWICE = PROGRAM.replace("{rounds}", "2")
MOMENTS = [0.0, 0.02, 0.1, 0.25, 0.4, 0.6, 0.9]  # while it loads, optimises, encodes, clicks


def ends(code: str, moment: float, cache: Path | None = None) -> tuple[int, str]:
    """Status and stderr; a test fails when the end takes long."""
    started = time.monotonic()
    command = [sys.executable, "-c", code, str(moment)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert time.monotonic() - started < 60
    tried()
    return done.returncode, done.stderr


@pytest.mark.parametrize("moment", MOMENTS)
def test_main_thread_ends_while_another_encodes(moment: float) -> None:
    assert ends(FOREVER + "begin(daemon=True)\nsys.exit(3)", moment) == (3, "")
    assert ends(FOREVER + "begin(daemon=True)", moment) == (0, "")


def test_several_threads_and_several_segmenters() -> None:
    code = FOREVER + (
        "others = [Segmenter(threads=1) for _ in range(2)]\n"
        "for other in others:\n"
        "    threading.Thread(target=lambda: [other.encode(image) for _ in range(10**9)], daemon=True).start()\n"
        "begin(daemon=True)\n"
    )
    for moment in (0.05, 0.5):
        assert ends(code, moment) == (0, "")


def test_threads_that_are_waited_for() -> None:
    """By Python itself: they end their work."""
    assert ends(TWICE + "begin(daemon=False)\nprint('end')\nsys.exit(4)", 0.1) == (4, "")
    pool = "pool = concurrent.futures.ThreadPoolExecutor()\npool.submit(work)\nstarted.wait()\nsys.exit(5)\n"
    assert ends(TWICE + pool, 0.1) == (5, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("daemon", [True, False])
def test_control_c(daemon: bool) -> None:
    """Once, and once more while Python waits for the thread; Python ends itself by the signal, as shells expect."""
    once = f"begin(daemon={daemon})\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    again = (
        "def again():\n"
        "    for _ in range(50):\n"
        "        time.sleep(0.1)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "threading.Thread(target=again, daemon=True).start()\n"
    )
    for code in (FOREVER + again + once, FOREVER + again + f"begin(daemon={daemon})\ntime.sleep(60)\n"):
        for moment in (0.05, 0.5):
            status, said = ends(code, moment)
            assert status == -signal.SIGINT and "terminate called" not in said


def test_work_at_the_very_end_of_the_main_thread() -> None:
    """What the program itself does when it ends, it may do."""
    code = FOREVER + (
        "import atexit\n"
        "def last():\n"
        "    print(segmenter.encode(image).session().click(300, 200).shape)\n"
        "atexit.register(last)\n"
        "begin(daemon=True)\n"
    )
    before = code.replace("begin(daemon=True)", "").replace(
        "import concurrent", "import atexit\natexit.register(lambda: last())\nimport concurrent", 1
    )
    for text in (code, before.replace("atexit.register(last)", "begin(daemon=True)")):
        assert ends(text, 0.3) == (0, "")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no fork")
def test_a_forked_child_ends_by_itself() -> None:
    """It inherits no work of the parent's threads to wait for."""
    code = FOREVER + (
        "begin(daemon=True)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
    )
    status, said = ends(code, 0.3)
    assert status == 0 and "Traceback" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_the_command_is_interrupted(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "pictures").mkdir()
    image.fromarray(np.zeros((1500, 2000, 3), np.uint8)).save(tmp_path / "pictures" / "0.png")
    for number in range(1, 99):
        shutil.copy(tmp_path / "pictures" / "0.png", tmp_path / "pictures" / f"{number}.png")
    for moment in (0.0, 0.15, 0.4):
        out = tmp_path / f"out{moment}"
        command = [sys.executable, "-m", "inter2former_onnx", "encode", str(tmp_path / "pictures"), "--out", str(out)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and not list(out.glob("*.npz")):
            time.sleep(0.01)
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1]
        assert process.returncode == 130 and error.endswith("inter2former: interrupted\n")
        tried()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_page_ends_while_it_encodes(tmp_path: Path, name: str) -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    image = pytest.importorskip("PIL.Image")
    from support.annotate_page import RunningCommand

    pixels = np.random.default_rng(1).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    for letter in "abcdef":
        image.fromarray(pixels).save(tmp_path / f"{letter}.jpg")
    for moment in (0.0, 0.2, 0.6):
        with RunningCommand(tmp_path, "--threads", "2") as command:
            base, token = re.fullmatch(r"(http://[^/]+)/\?token=(.+)", command.address).groups()  # type: ignore[union-attr]
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            request = urllib.request.Request(f"{base}/api/images/0/open", json.dumps({}).encode(), headers)
            urllib.request.urlopen(request).close()
            time.sleep(moment)
            assert command.end(getattr(signal, name)) == 0
        assert "nothing is annotated" in command.output and "terminate called" not in command.output
        tried()
