"""Files that would exhaust memory, stack or time: read within bounds, or refused before anything is spent."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch

from inter2former_onnx.models.checkpoints import Limits, read_checkpoint
from support.checkpoint_files import (
    WEIGHT,
    WEIGHT_BYTES,
    call,
    items,
    legacy,
    mapping,
    name,
    refusal,
    state,
    tensor,
    text,
    whole,
    write_archive,
)

MIB = 2**20


@pytest.mark.parametrize(
    "nested",
    [b"]" * 300_000 + b"a" * 299_999, b")" + b"\x85" * 300_000, b"}" * 200_000 + b"0" * 200_000 + b"N"],
    ids=["lists", "tuples", "stack"],
)
def test_absurd_nesting(nested: bytes, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "w.pth", whole(mapping({"meta": nested, "state_dict": mapping({"w": WEIGHT})})))
    assert torch.equal(read_checkpoint(path)["w"], torch.tensor([1.0, 2.0, 3.0]))


def test_absurd_nesting_of_dictionaries(tmp_path: Path) -> None:
    """As the value itself: 200,000 deep, and let go without running out of stack."""
    nested = b"}" + (b"X\x01\0\0\0k" + b"}") * 200_000 + b"s" * 200_000
    path = write_archive(tmp_path / "w.pth", whole(nested))
    assert "holds no state dict: no tensors among k, nor under" in refusal(path)


def doubling(levels: int, double: bytes) -> bytes:
    """A value that refers twice to one that refers twice to one ...: 2^levels leaves to whoever walks it."""
    return b")q\x010" + (double + b"q\x010") * levels + b"h\x01"


@pytest.mark.parametrize("where", ["value", "key", "list", "pairs"])
def test_memo_bombs(where: str, tmp_path: Path) -> None:
    """Hashing, comparing or walking such a value would take for ever; nothing here does."""
    bomb = doubling(200, b"h\x01h\x01\x86")
    meta = {
        "value": bomb,
        "key": b"}" + bomb + b"Ns",
        "list": doubling(200, b"](h\x01h\x01e"),
        "pairs": call("collections.OrderedDict", b"](" + items(bomb, b"N") + b"e"),
    }[where]
    path = write_archive(tmp_path / "w.pth", whole(mapping({"meta": meta, "state_dict": mapping({"w": WEIGHT})})))
    assert torch.equal(read_checkpoint(path)["w"], torch.tensor([1.0, 2.0, 3.0]))


def test_one_list_for_many_dictionaries(tmp_path: Path) -> None:
    """A list in the memo, given again and again to OrderedDict: 90 million entries if they were not counted."""
    pairs = b"](" + b"".join(items(text(f"k{i}"), b"N") for i in range(3000)) + b"eq\x01"
    many = pairs + name("collections.OrderedDict") + b"q\x02" + b"h\x02(h\x01tR0" * 30_000
    assert "has a pickle of more than 2000000 operations" in refusal(write_archive(tmp_path / "w.pth", whole(many)))


@pytest.mark.parametrize(
    "opcodes",
    [
        b"\x8b" + (2**31 - 1).to_bytes(4, "little"),  # LONG4
        b"X" + (2**32 - 1).to_bytes(4, "little"),  # BINUNICODE
        b"\x8d" + (2**62).to_bytes(8, "little"),  # BINUNICODE8
        b"\x8e" + (2**62).to_bytes(8, "little"),  # BINBYTES8
        b"\x96" + (2**62).to_bytes(8, "little"),  # BYTEARRAY8
        b"B" + (2**32 - 1).to_bytes(4, "little"),  # BINBYTES
        b"T" + (2**31).to_bytes(4, "little"),  # BINSTRING
    ],
)
def test_giant_declared_sizes(opcodes: bytes, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "w.pth", state(opcodes + b"x" * 100))
    tracemalloc.start()
    message = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "its pickle wants" in message or "has a pickle with a number of 2147483647 bytes" in message
    assert peak < 8 * MIB


def test_memo_index_is_no_size(tmp_path: Path) -> None:
    """Python's own unpickler makes an array of twice the index."""
    entry = WEIGHT + b"r\xff\xff\xff\xff" + b"0" + b"j\xff\xff\xff\xff"
    tracemalloc.start()
    found = read_checkpoint(write_archive(tmp_path / "w.pth", state(entry)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(found) == ["w"] and peak < 8 * MIB


def test_too_many_operations(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "w.pth", whole(b"N0" * 600 + mapping({"w": WEIGHT})))
    assert "has a pickle of more than 1000 operations" in refusal(path, Limits(pickle_operations=1000))
    assert list(read_checkpoint(path, Limits(pickle_operations=1300))) == ["w"]


def test_zip_bombs(tmp_path: Path) -> None:
    """40 MB of zeros in 40 KB, as the pickle and as a storage."""
    zeros = bytes(40 * MIB)
    bombs = [
        write_archive(tmp_path / "pickle.pth", zeros, compression=zipfile.ZIP_DEFLATED),
        write_archive(
            tmp_path / "storage.pth",
            state(tensor("0", 10 * MIB, (1,), (1,))),
            {"0": zeros},
            compression=zipfile.ZIP_DEFLATED,
        ),
    ]
    for path in bombs:
        assert path.stat().st_size < 50_000
        tracemalloc.start()
        message = refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert "asks for more than 17" in message and "bytes to decompress" in message
        assert peak < 8 * MIB


def test_pickle_larger_than_allowed(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "w.pth", whole(mapping({"meta": text("x" * 9000), "w": WEIGHT})))
    assert "has an entry 'archive/data.pkl' of 9" in refusal(path, Limits(pickle_bytes=8000))
    value = mapping({"meta": text("x" * 9 * MIB), "state_dict": mapping({"w": WEIGHT})})
    path.write_bytes(legacy(value, {"0": WEIGHT_BYTES}))
    assert "has pickles of more than 1048576 bytes" in refusal(path, Limits(pickle_bytes=MIB))
    assert list(read_checkpoint(path)) == ["w"]


def test_few_bytes_shown_many_times(tmp_path: Path) -> None:
    """One storage of 400 KB under 300 keys: 120 MB that the file does not have."""
    data = whole(mapping({f"w{i}": tensor("0", 100_000, (100_000,), (1,)) for i in range(300)}))
    path = write_archive(tmp_path / "w.pth", data, {"0": bytes(400_000)})
    assert "bytes to hold its tensors, with" in refusal(path)


def test_more_weights_than_allowed(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "w.pth", state(WEIGHT))
    assert "asks for more than 100 bytes to decompress, with" in refusal(path, Limits(state_bytes=100))
    path.write_bytes(legacy(mapping({"w": WEIGHT}), {"0": WEIGHT_BYTES}))
    assert "asks for more than 11 bytes to hold its tensors, with" in refusal(path, Limits(state_bytes=11))


def test_large_archive_directory(tmp_path: Path) -> None:
    """100 entries with names of 50,000 characters: a directory of 5 MB."""
    path = write_archive(tmp_path / "w.pth", state(WEIGHT), extra={f"{i:050000}": b"" for i in range(100)})
    assert "has a zip directory of 50" in refusal(path, Limits(directory_bytes=4 * MIB))
    assert list(read_checkpoint(path)) == ["w"]
