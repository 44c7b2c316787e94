"""Tensors, storages and archive directories that say what is not so: refused, and no such memory is asked for."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from inter2former_onnx.models.checkpoints import read_checkpoint
from support.checkpoint_files import (
    WEIGHT,
    WEIGHT_BYTES,
    call,
    items,
    legacy,
    mapping,
    name,
    number,
    refusal,
    state,
    storage,
    tensor,
    text,
    whole,
    write_archive,
)

HUGE = 2**50


@pytest.mark.parametrize(
    ("entry", "cause"),
    [
        (tensor("0", HUGE, (3,), (1,)), "declares 4503599627370496 bytes for storage '0', its entry has 12"),
        (tensor("0", 4, (3,), (1,)), "declares 16 bytes for storage '0', its entry has 12"),
        (tensor("0", 2, (2,), (1,)), "declares 8 bytes for storage '0', its entry has 12"),
        (tensor("0", -3, (3,), (1,)), "a tensor's storage size is the value -3, expected a number from 0"),
        (tensor("7", 3, (3,), (1,)), "it has no entry for storage '7'"),
        (tensor("0", 3, (4,), (1,)), "has a tensor of size [4], stride [1] and offset 0 outside its storage '0' of 3"),
        (tensor("0", 3, (3,), (1,), offset=1), "stride [1] and offset 1 outside its storage"),
        (tensor("0", 3, (2,), (3,)), "stride [3] and offset 0 outside its storage"),
        (tensor("0", 3, (), (), offset=3), "size [], stride [] and offset 3 outside its storage"),
        (tensor("0", 3, (0,), (1,), offset=4), "offset 4 outside its storage"),
        (tensor("0", 3, (2,), (2**62,)), "outside its storage"),
        (tensor("0", 3, (3,), (-1,)), "a tensor's stride is the value -1"),
        (tensor("0", 3, (3,), (1,), offset=-1), "a tensor's offset is the value -1"),
        (tensor("0", 3, (-1,), (1,)), "a tensor's size is the value -1"),
        (tensor("0", 3, (3,), (1, 1)), "a tensor's size is a tuple and its stride a tuple"),
        (tensor("0", 3, (1,) * 65, (1,) * 65), "a tensor's size is a tuple"),
        (tensor("0", 3, (2**40, 2**40), (0, 0)), "has a tensor of size [1099511627776, 1099511627776]; refused"),
        (tensor("0", 3, (0, 2**62), (1, 1)), "has a tensor of size [0, 4611686018427387904]; refused"),
        (tensor("0", 3, (2**33,), (0,)), "asks for more than 167"),
        (
            tensor("0", 6, (6,), (1,), kind="torch.HalfStorage")
            + b"0"
            + call(
                "torch._utils._rebuild_tensor_v3",
                storage("0", 12, "torch.storage.UntypedStorage"),
                number(0),
                items(number(4)),
                items(number(1)),
                b"\x89",
                b"N",
                name("torch.float32"),
            ),
            "has a tensor of size [4], stride [1] and offset 0 outside its storage '0' of 3",
        ),
        (
            call(
                "torch._utils._rebuild_tensor_v3",
                storage("0", 3),
                number(0),
                items(),
                items(),
                b"\x89",
                b"N",
                name("os.system"),
            ),
            "has a tensor of the unknown type os.system",
        ),
        (call("torch._utils._rebuild_tensor", name("a.B"), number(0), items(), items()), "a tensor's storage is a.B"),
        (call("torch._utils._rebuild_tensor", storage("0", 3), b"\x88", items(), items()), "offset is the value True"),
    ],
)
def test_tensors_that_do_not_fit_their_storage(entry: bytes, cause: str, tmp_path: Path) -> None:
    assert cause in refusal(write_archive(tmp_path / "w.pth", state(entry)))


def test_old_format_storages_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    good = legacy(mapping({"w": WEIGHT}), {"0": WEIGHT_BYTES})
    path.write_bytes(good)
    assert torch.equal(read_checkpoint(path)["w"], torch.tensor([1.0, 2.0, 3.0]))
    for content, cause in (
        (
            legacy(mapping({"w": tensor("0", HUGE, (3,), (1,))}), {"0": WEIGHT_BYTES}),
            "storage '0' is declared with 1125899906842624 elements and has 3",
        ),
        (
            good[:-20] + HUGE.to_bytes(8, "little") + WEIGHT_BYTES,
            "is declared with 3 elements and has 1125899906842624",
        ),
        (good.replace(pickle.dumps(["0"], 2), pickle.dumps(None, 2)), "its list of storages is the value None"),
        (good[:-1], "is truncated: storage '0' ends at byte"),
        (legacy(mapping({"w": WEIGHT}), {}), "is damaged: it has no data for storage '0'"),
        (legacy(mapping({"w": WEIGHT}), {"0": WEIGHT_BYTES, "9": b""}), "has one that is not declared, or one twice"),
        (
            legacy(
                mapping({"w": WEIGHT, "x": tensor("0", 6, (1,), (1,), kind="torch.HalfStorage")}), {"0": WEIGHT_BYTES}
            ),
            "storage '0' is declared with two types or sizes",
        ),
        (good.replace(b"M\xe9\x03.", b"M\xe8\x03.", 1), "old format in version the value 1000, expected 1001"),
        (
            legacy(
                mapping(
                    {
                        "w": items(
                            text("storage"),
                            name("torch.FloatStorage"),
                            text("0"),
                            text("cpu"),
                            number(3),
                            items(text("1"), number(0), number(1)),
                        )
                        + b"Q"
                    }
                ),
                {"0": WEIGHT_BYTES},
            ),
            "has storages that are views of others",
        ),
    ):
        path.write_bytes(content)
        assert cause in refusal(path), cause


def patched(path: Path, target: Path, entry: str, field: int, value: int, size: int) -> Path:
    """A copy of an archive with one field of an entry's record in the central directory changed."""
    content = bytearray(path.read_bytes())
    at = content.rindex(entry.encode()) - 46  # the directory's record starts 46 bytes before the name
    assert content[at : at + 4] == b"PK\x01\x02"
    content[at + field : at + field + size] = value.to_bytes(size, "little")
    target.write_bytes(content)
    return target


def test_archive_directories_that_lie(tmp_path: Path) -> None:
    good = write_archive(tmp_path / "good.pth", state(WEIGHT))
    entry = "archive/data/0"
    for field, value, size, cause in (
        (8, 1, 2, "is encrypted (entry 'archive/data/0')"),
        (10, 12, 2, "has an entry 'archive/data/0' compressed by method 12, expected stored or deflated"),
        (24, 2**31, 4, "declares 12 bytes for storage '0', its entry has 2147483648"),
        (20, 2**31, 4, "is truncated or damaged: entry 'archive/data/0' claims 12 bytes, 2147483648 of them from"),
        (42, 2**31, 4, "is truncated or damaged"),
        (16, 1, 4, "is truncated or damaged: entry 'archive/data/0' is not readable (Bad CRC-32"),
        (10, 8, 2, "is truncated or damaged: entry 'archive/data/0' is not readable"),
    ):
        message = refusal(patched(good, tmp_path / "bad.pth", entry, field, value, size))
        assert cause in message, (cause, message)


def test_two_entries_of_one_name(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "w.pth", state(WEIGHT))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data.pkl", whole(b"N"))
    assert "is damaged: its zip archive has two entries named 'archive/data.pkl'" in refusal(path)
