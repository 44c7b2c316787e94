"""Truncated and damaged files: refused in one line, or read where the damage hit nothing that counts."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from inter2former_onnx.errors import CheckpointError
from inter2former_onnx.models.checkpoints import read_checkpoint
from support.checkpoint_files import (
    refusal,
    write_archive,
)
from support.files import write_anew
from support.fuzzing import FACTOR
from support.reference import DATA
from support.tried import tried


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_cut_off_anywhere(kind: str, tmp_path: Path) -> None:
    """Every prefix of a small file is refused."""
    path = tmp_path / "weights.bin"
    weights = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.half": torch.ones(3).half(), "step": torch.tensor(4)}
    if kind == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(weights, path)
    else:
        torch.save({"state_dict": weights}, path, _use_new_zipfile_serialization=kind == "zip")
    whole_file = path.read_bytes()
    assert len(read_checkpoint(path)) == 3
    for length in range(len(whole_file)):
        write_anew(path, whole_file[:length])
        refusal(path)


def test_published_size_cut_off(tmp_path: Path) -> None:
    content = (DATA / "mini.pth").read_bytes()
    path = tmp_path / "mini.pth"
    for fraction in (0.01, 0.3, 0.7, 0.99, 0.9999):
        path.write_bytes(content[: int(len(content) * fraction)])
        assert "is truncated or damaged: its zip directory is not readable" in refusal(path)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_any_damaged_byte(is_zip: bool, tmp_path: Path) -> None:
    """One byte changed, everywhere: refused, or read (a name, a weight without checksum); never another error."""
    path = tmp_path / "weights.pth"
    weights = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3, dtype=torch.bool)}
    torch.save(
        {"meta": {"numbers": np.arange(2.0)}, "state_dict": weights}, path, _use_new_zipfile_serialization=is_zip
    )
    content = bytearray(path.read_bytes())
    generator = random.Random(3)
    refused = 0
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= generator.randrange(1, 256)
        tried()
        write_anew(path, bytes(changed))
        try:
            read_checkpoint(path)
        except CheckpointError:
            refused += 1
    assert refused > len(content) // 4


def test_random_pickles(tmp_path: Path) -> None:
    """The pickle machine on thousands of mutations of a real pickle: a value or a refusal, nothing else."""
    with zipfile.ZipFile(DATA / "mini.pth") as archive:
        pickled = archive.read("mini/data.pkl")
    pickled = pickled[:900] + pickled[-1200:]  # its head, and the end with numpy arrays and placeholders
    generator = random.Random(11 if FACTOR == 1 else None)
    path = tmp_path / "weights.pth"
    for _ in range(1500 * FACTOR):
        tried()
        mutated = bytearray(pickled)
        for _ in range(generator.choice((1, 2, 5, 20))):
            at = generator.randrange(len(mutated))
            choice = generator.random()
            if choice < 0.6:
                mutated[at] = generator.randrange(256)
            elif choice < 0.8:
                del mutated[at : at + generator.randrange(1, 30)]
            else:
                start = generator.randrange(len(mutated))
                mutated[at:at] = mutated[start : start + generator.randrange(1, 60)]
        write_archive(path, bytes(mutated), {str(key): bytes(20) for key in range(3)})
        with pytest.raises(CheckpointError):  # what is left of the archive is not a whole state dict
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"\x80\x02}(u", "is truncated or damaged: its pickle wants 1 bytes at byte"),
        (b"\x80\x02}(X\x01\0\0\0au.", "is damaged: its pickle has a key without a value"),
        (b"\x80\x02}e.", "is damaged: its pickle takes up to a mark that is not there"),
        (b"\x80\x02(0N0R.", "is damaged: its pickle takes from an empty stack"),
        (b"\x80\x02h\x05.", "is damaged: its pickle asks for memo 5, which was not put"),
        (b"\x80\x02N(Ne.", "is damaged: its pickle appends to the value None"),
        (b"\x80\x02)Na.", "is damaged: its pickle appends to a tuple"),
        (b"\x80\x02]NNs.", "is damaged: its pickle sets items of a list"),
        (b"\x80\x02](\x90.", "is damaged: its pickle adds items to a list"),
        (b"\x80\x02NN\x93.", "is damaged: its pickle names a global with something that is not text"),
        (b"\x80\x02ca\nB\nNR.", "is damaged: its pickle calls a.B on the value None"),
        (b"\x80\x02(o.", "is damaged: its pickle makes an object of no class"),
        (b"\x80\x02I12x\n.", "is damaged: its pickle has '12x' for a number"),
        (b"\x80\x02I" + b"9" * 600 + b"\n.", "for a number"),
        (b"\x80\x02Fone\n.", "is damaged: its pickle does not parse at byte 7"),
        (b"\x80\x02X\x02\0\0\0\xff\xfe.", "is damaged: its pickle does not parse at byte 9"),
        (b"\x80\x02Sabc\n.", "is damaged: its pickle has a text without quotes"),
        (b"\x80\x02V" + b"x" * 5000 + b"\n.", "has a pickle with a line of more than 4096 bytes"),
        (b"\x80\x02cposix\n", "is truncated or damaged: its pickle ends within a line of text"),
        (b"\x80\x02ccollections\nOrderedDict\n](NNe\x85R.", "builds a dictionary from something that is not pairs"),
        (
            b"\x80\x02ccopyreg\n_reconstructor\n)R.",
            "is damaged: its pickle calls copyreg._reconstructor without arguments",
        ),
        (
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
            "calls torch._utils._rebuild_tensor_v2 with 0 arguments, not 4",
        ),
    ],
)
def test_malformed_pickles(data: bytes, cause: str, tmp_path: Path) -> None:
    assert cause in refusal(write_archive(tmp_path / "w.pth", data))
