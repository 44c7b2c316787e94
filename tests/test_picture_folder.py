"""Which pictures a folder holds: links, results of our own, odd names; the same for every command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from inter2former_onnx.picture_folder import RESULTS_FILE, find_pictures, is_results_folder, results_file


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_pictures_of_a_folder_and_its_subfolders(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "sub/c.webp", ".hidden/d.png", ".e.png", "notes.txt", "out/f.png"):
        touch(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    found = find_pictures(tmp_path, without=tmp_path / "out")
    assert found.names == ("a.JPG", "b.png", "sub/c.webp") and found.left_out == ()


def test_links(tmp_path: Path) -> None:
    """To files they are followed, wherever they lead; to folders and to nothing they are told. No walk is endless."""
    folder = tmp_path / "pictures"
    touch(folder / "a.png", tmp_path / "blobs" / "0123", folder / "sub" / "c.png")
    (folder / "b.png").symlink_to(tmp_path / "blobs" / "0123")  # as caches of model hubs have them
    (folder / "..data").symlink_to("..version")  # as Kubernetes mounts have them
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "gone.png").symlink_to(tmp_path / "gone")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "notes.txt").symlink_to(tmp_path / "gone")  # nobody's picture
    (tmp_path / "link").symlink_to(folder)
    for start in (folder, tmp_path / "link"):
        found = find_pictures(start)
        assert found.root == folder.resolve() and found.names == ("a.png", "b.png", "sub/c.png")
        assert found.left_out == ("3 links left out, to folders or to nothing: gone.png, loop.png, sub/up",)


def test_own_results_are_no_pictures(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    for name in ("first/masks", "second/other"):
        touch(tmp_path / name / "m.png")
    (tmp_path / "first" / "coco.json").write_text(
        '{\n "info": {\n  "description": "annotated with inter2former annotate"'
    )
    touch(tmp_path / "first" / "photograph.png")  # the COCO file lies beside it
    (tmp_path / "second" / "other" / RESULTS_FILE).write_bytes(results_file("annotate", ["m.png"]))
    touch(tmp_path / "theirs" / "masks" / "b.png", tmp_path / "theirs" / "coco.json")
    found = find_pictures(tmp_path)
    assert found.names == ("a.png", "first/photograph.png", "theirs/masks/b.png")
    assert found.left_out == ("2 folders of this program's results left out: first/masks, second/other",)
    assert is_results_folder(tmp_path / "first" / "masks") and not is_results_folder(tmp_path / "first")
    assert find_pictures(tmp_path / "second" / "other").names == ()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9").mkdir()
    touch(tmp_path / "caf\udce9" / "a\x1b\n\udce9.png")
    (tmp_path / "x\udce9").symlink_to(tmp_path)
    found = find_pictures(tmp_path)
    assert found.names == ("caf\udce9/a\x1b\n\udce9.png",) and r"x\xe9" in found.left_out[0]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="nothing is closed to root")
def test_folders_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "closed" / "b.png")
    (tmp_path / "closed").chmod(0)
    try:
        found = find_pictures(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert found.names == ("a.png",) and found.left_out == ("1 folder cannot be read: closed (Permission denied)",)
