"""Two runs on one annotation folder: the second is told of the first, and what a dead run left holds nobody up."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from inter2former_onnx.annotate import lock as module
from inter2former_onnx.annotate.lock import FILE_NAME, FolderLock
from inter2former_onnx.cli import main
from inter2former_onnx.errors import AnnotationError, ArgumentError
from support.annotate_page import RunningCommand, write_pictures
from support.fake_bundle import write_fake_bundle

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of its start")


def left_behind(folder: Path, **fields: Any) -> None:
    """A lock file that nobody holds, by default of this machine as it runs now."""
    content = {"pid": os.getpid(), "host": socket.gethostname(), "boot": module._boot_id(), "since": "2020", **fields}
    (folder / FILE_NAME).write_text(json.dumps(content))


def takes(folder: Path) -> None:
    lock = FolderLock(folder)
    lock.release()
    assert not (folder / FILE_NAME).exists()


def test_one_at_a_time(tmp_path: Path) -> None:
    first = FolderLock(tmp_path, "http://127.0.0.1:8675/")
    with pytest.raises(AnnotationError) as caught:
        FolderLock(tmp_path)
    said = str(caught.value)
    parts = (f"process {os.getpid()} on {socket.gethostname()} since 20", "(http://127.0.0.1:8675/)", "--out")
    assert said.startswith(f"{tmp_path}: another run") and all(part in said for part in parts)
    first.release()
    first.release()
    takes(tmp_path)


@linux
@pytest.mark.parametrize("locks", [True, False])
def test_what_a_dead_run_left_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool) -> None:
    """Also on file systems without locks, where the process's number and the machine's start must do."""
    if not locks:
        monkeypatch.setattr(module, "_lock", lambda stream: None)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for fields in ({"pid": gone.pid}, {"boot": "another start of this machine"}, {"pid": 1 << 80}, {"pid": "x"}):
        left_behind(tmp_path, **fields)
        takes(tmp_path)
    for text in ("", "{", "[]", "null", "\0" * 5000):
        (tmp_path / FILE_NAME).write_text(text)
        takes(tmp_path)


@linux
def test_a_living_run_without_locks_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_lock", lambda stream: None)
    left_behind(tmp_path)
    with pytest.raises(AnnotationError, match=f"process {os.getpid()} on"):
        FolderLock(tmp_path)


def test_another_machine_is_left_to_the_person(tmp_path: Path) -> None:
    left_behind(tmp_path, host="workstation\x1b", boot="its own", address="http://workstation:8675/")
    with pytest.raises(AnnotationError) as caught:
        FolderLock(tmp_path)
    assert "on workstation" in str(caught.value) and f"delete {tmp_path / FILE_NAME}" in str(caught.value)
    (tmp_path / FILE_NAME).unlink()
    takes(tmp_path)


def test_another_container_of_this_machine_is_known_to_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_boot_id", lambda: "this start")
    left_behind(tmp_path, host="0123456789ab")
    takes(tmp_path)


def test_many_at_once_get_it_one_by_one(tmp_path: Path) -> None:
    holding: list[int] = []
    most: list[int] = []
    done: list[int] = []

    def work(number: int) -> None:
        while len(done) < 60:
            try:
                lock = FolderLock(tmp_path)
            except AnnotationError:
                continue
            holding.append(number)
            most.append(len(holding))
            holding.remove(number)
            done.append(number)
            lock.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1} and not (tmp_path / FILE_NAME).exists()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="--out .*cannot open"):
        FolderLock(tmp_path / "missing")


@pytest.mark.skipif(sys.platform == "win32", reason="has neither there")
def test_what_is_no_lock_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "precious")
    with pytest.raises(ArgumentError, match=FILE_NAME):
        FolderLock(tmp_path)
    assert (tmp_path / "precious").read_text() == "precious"
    (tmp_path / FILE_NAME).unlink()
    os.mkfifo(tmp_path / FILE_NAME)
    with pytest.raises(ArgumentError, match="not a file"):
        FolderLock(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_second_server_and_a_killed_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_fake_bundle(tmp_path / "bundle")
    pictures = write_pictures(tmp_path / "pictures")
    start = ("--bundle", bundle, "--threads", "1")
    with RunningCommand(pictures, *start) as first:
        for more in ([], ["--export", "png"], ["--merge-conflicts"]):
            (pictures / "annotations" / "coco.json").touch()  # or there would be nothing to export
            arguments = ["annotate", str(pictures), *map(str, start), "--no-browser", *more]
            assert main(arguments) == 14
            said = capsys.readouterr().err
            assert f"process {first.process.pid} on" in said and first.address.split("?")[0] in said
            assert "token" not in said and said.count("\n") == 1
        (pictures / "annotations" / "coco.json").unlink()
        first.process.kill()
        first.process.communicate()
        assert (pictures / "annotations" / FILE_NAME).exists()
    with RunningCommand(pictures, *start) as second:
        assert second.end(signal.SIGTERM) == 0
    assert not (pictures / "annotations" / FILE_NAME).exists()
