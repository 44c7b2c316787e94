"""Files that are no checkpoint, and checkpoints without a state dict: one line that names the file and the cause."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from support.checkpoint_files import (
    WEIGHT,
    number,
    refusal,
    state,
    whole,
    write_archive,
)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "is an empty file"),
        (b"hello, this is a text file\n", "is of no known format (it starts with 'hello, this '), expected a file of"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(40), "is a JPEG image, not a checkpoint"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "is a PNG image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer, not the file itself"),
        (b"<!doctype html><html>", "is an HTML page, not a checkpoint; the download probably failed"),
        (b"\x1f\x8b\x08" + bytes(40), "is gzip-compressed"),
        (b"cposix\nsystem\n(S'true'\ntR.", "is of no known format (it starts with 'cposix\\nsyste')"),
        (b"\x00", "is of no known format"),
        (b"PK\x05\x06" + bytes(18), "is a zip archive, but not one that torch.save wrote: it has nothing"),
        (b"PK\x03\x04" + bytes(60), "is truncated or damaged: its zip directory is not readable"),
        (b"\x80\x02.", "is damaged: its pickle takes from an empty stack"),
        (whole(number(7)), "is a pickle, but not one that torch.save wrote (it starts with the value 7)"),
        (whole(WEIGHT), "is a pickle, but not one that torch.save wrote (it starts with a TensorRef)"),
        (b"\x80\x09.", "has a pickle of protocol 9"),
        (b"\x80\x02\xff", "is damaged: its pickle has the opcode 0xff"),
        (b"\x05\0\0\0\0\0\0\0{}   ", "holds no tensors"),
        (b"\x02\0\0\0\0\0\0\0{!", "is a damaged or truncated safetensors file"),
        (b"\0\0\0\x05\0\0\0\0{}" + bytes(40), "has a safetensors header of 83886080 bytes, at most 16777216 are read"),
    ],
)
def test_wrong_kinds_of_file(content: bytes, cause: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert cause in refusal(path)


def test_missing_folder_and_unreadable(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere.pth") == "does not exist"
    assert refusal(tmp_path).startswith("is a folder, expected a file of torch.save or safetensors")
    assert "cannot be read" in refusal(Path("weights\0.pth"))
    (tmp_path / "file").touch()
    assert "cannot be read: Not a directory" in refusal(tmp_path / "file" / "weights.pth")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_and_device_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    assert refusal(tmp_path / "pipe.pth").startswith("is not a regular file")
    assert refusal(Path("/dev/zero")).startswith("is not a regular file")


def test_other_archives(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", a=np.ones(2))
    assert "not one that torch.save wrote: it has a.npy and 0 entries NAME/data.pkl" in refusal(tmp_path / "arrays.npz")
    with zipfile.ZipFile(tmp_path / "two.pth", "w") as archive:
        archive.writestr("a/data.pkl", b"")
        archive.writestr("b/data.pkl", b"")
    assert "2 entries NAME/data.pkl, expected 1" in refusal(tmp_path / "two.pth")
    write_archive(
        tmp_path / "script.pth", state(WEIGHT), extra={"archive/constants.pkl": b"", "archive/code/a.py": b""}
    )
    assert "is a TorchScript program" in refusal(tmp_path / "script.pth")
    write_archive(tmp_path / "big_endian.pth", state(WEIGHT), extra={"archive/byteorder": b"big"})
    assert "another byte order than this one's (little endian)" in refusal(tmp_path / "big_endian.pth")
    with tarfile.open(tmp_path / "ancient.pth", "w") as archive_of_2016:
        archive_of_2016.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    assert "is of no known format" in refusal(tmp_path / "ancient.pth")


def test_what_is_no_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    assert "holds an object of torch.nn.modules.linear.Linear, not a state dict; save with" in refusal(path)
    for value, cause in (
        ([torch.ones(1)], "holds a list, expected a state dict"),
        (torch.ones(1), "holds a TensorRef, expected a state dict"),
        ({}, "holds no state dict: no tensors among nothing"),
        (
            {"epoch": 3, "weights": {"w": torch.ones(1)}},
            "holds no state dict: no tensors among epoch, weights, nor under",
        ),
        ({"state_dict": {}, "w": torch.ones(1)}, "holds no state dict"),
        ({1: torch.ones(1), "w": torch.ones(1)}, "has a state dict with keys that are not short texts (1 of them)"),
        ({"w" * 5000: torch.ones(1)}, "has a state dict with keys that are not short texts (1 of them)"),
        ({"c": torch.ones(1, dtype=torch.complex64)}, "holds c as complex64, expected floats of 16 to 64 bits"),
        ({"f": torch.ones(1).to(torch.float8_e5m2)}, "holds f as float8_e5m2"),
        (
            {"s": torch.ones(2).to_sparse(), "w": torch.ones(1)},
            "holds an object of torch._utils._rebuild_sparse_tensor",
        ),
        ({"n": torch.ones(1, dtype=torch.complex64).conj()}, "has a tensor stored as the negative or conjugate"),
    ):
        torch.save(value, path)
        assert cause in refusal(path), cause
