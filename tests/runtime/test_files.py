"""Files and folders are whole or not there."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from inter2former_onnx.runtime.files import FileDraft, FolderDraft, sha256_of, write_file
from inter2former_onnx.runtime.processors import usable_processors

posix = pytest.mark.skipif(os.name != "posix", reason="file modes, and links without rights of their own")


def failing(error: BaseException) -> object:
    def write(stream: BinaryIO) -> None:
        stream.write(b"half a file")
        raise error

    return write


def test_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"another"):
        write_file(path, lambda stream, content=content: stream.write(content))
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("no")])
def test_failed_write_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    with pytest.raises(type(error)):
        write_file(path, failing(error))  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []
    path.write_bytes(b"earlier")
    with pytest.raises(type(error)):
        write_file(path, failing(error))  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == b"earlier"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failed_move_leaves_the_old_file(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"earlier")

    def refuse(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(OSError, match="Input/output error"):
        write_file(path, lambda stream: stream.write(b"new"))
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == b"earlier"


def test_content_reaches_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    for name in ("fsync", "replace"):
        function = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, do=function: steps.append(name) or do(*args))
    write_file(tmp_path / "file", lambda stream: stream.write(b"new"))
    assert steps == ["fsync", "replace"]


def test_place_that_cannot_be_written_to_is_known_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileDraft(tmp_path / "missing" / "file")
    with pytest.raises(FileNotFoundError):
        FolderDraft(tmp_path / "missing" / "folder")


def test_what_is_not_committed_is_removed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"earlier")
    with FileDraft(tmp_path / "file") as file, FolderDraft(tmp_path / "folder") as folder:
        file.path.write_bytes(b"new")
        (folder.path / "more").write_bytes(b"new")
        hidden = sorted(os.listdir(tmp_path))
        assert len(hidden) == 3 and hidden[0].startswith(".file.") and hidden[1].startswith(".folder.")
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == b"earlier"


@posix
def test_links_are_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "folder").mkdir()
    (elsewhere / "folder" / "old").touch()
    (tmp_path / "file").symlink_to(elsewhere / "file")
    (tmp_path / "folder").symlink_to(elsewhere / "folder")
    write_file(tmp_path / "file", lambda stream: stream.write(b"new"))
    with FolderDraft(tmp_path / "folder") as draft:
        (draft.path / "new").touch()
        draft.commit()
    assert (tmp_path / "file").is_symlink() and (elsewhere / "file").read_bytes() == b"new"
    assert (tmp_path / "folder").is_symlink() and os.listdir(elsewhere / "folder") == ["new"]
    assert sorted(os.listdir(elsewhere)) == ["file", "folder"] == sorted(set(os.listdir(tmp_path)) - {"elsewhere"})


@posix
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with FileDraft(tmp_path / "file") as draft:
            draft.path.unlink()  # some writers make a file of their own, for its owner's eyes only
            draft.path.touch(mode=0o600)
            draft.commit()
        with FolderDraft(tmp_path / "folder") as folder:
            folder.commit()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_folder_is_written_and_replaced(tmp_path: Path) -> None:
    for name in ("one", "another"):
        with FolderDraft(tmp_path / "folder") as draft:
            (draft.path / name).touch()
            draft.commit()
        assert os.listdir(tmp_path / "folder") == [name]
    assert os.listdir(tmp_path) == ["folder"]


def test_failed_move_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    (place / "old").touch()
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if (path / "new").exists():
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="Input/output error"), FolderDraft(place) as draft:
        (draft.path / "new").touch()
        draft.commit()
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(place) == ["old"]


def test_folder_of_a_faster_process_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process puts its folder there between the two moves."""
    place = tmp_path / "folder"
    place.mkdir()
    (place / "old").touch()
    rename = Path.rename

    def overtaken(path: Path, target: Path) -> Path:
        if (path / "new").exists():
            place.mkdir()
            (place / "theirs").touch()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    with pytest.raises(OSError), FolderDraft(place) as draft:
        (draft.path / "new").touch()
        draft.commit()
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(place) == ["theirs"]


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_sha256(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_usable_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= usable_processors() <= (os.cpu_count() or 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5}, raising=False)
    assert usable_processors() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_processors() == 1
