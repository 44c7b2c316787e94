"""Damaged, lying, exhausting and mistaken files: one line that names the file and the cause, before memory is spent."""

from __future__ import annotations

import io
import os
import pickle
import random
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from inter2former_onnx.errors import CheckpointError
from inter2former_onnx.models.checkpoints import Limits, read_checkpoint
from support.checkpoint_files import (
    WEIGHT,
    WEIGHT_BYTES,
    call,
    items,
    legacy,
    mapping,
    name,
    number,
    storage,
    tensor,
    text,
    whole,
    write_archive,
)
from support.fuzzing import FACTOR
from support.reference import DATA
from support.tried import tried

MIB = 2**20


def refusal(path: Path, limits: Limits | None = None) -> str:
    """The message of the refusal, less the file's name it must start with."""
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path, limits or Limits())
    message = str(caught.value)
    assert message.startswith(f"checkpoint {path} ")
    assert "\n" not in message
    return message.removeprefix(f"checkpoint {path} ")


def state(entry: bytes) -> bytes:
    return whole(mapping({"w": entry}))


# Files that are something else


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
        ({1: torch.ones(1), "w": torch.ones(1)}, "has a state dict with 1 keys that are not short texts"),
        ({"w" * 5000: torch.ones(1)}, "has a state dict with 1 keys that are not short texts"),
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


# Truncation and damage


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
        path.write_bytes(whole_file[:length])
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
        path.write_bytes(changed)
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


# Tensors and storages that lie


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


# Exhaustion


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


def test_large_archive_directory(tmp_path: Path) -> None:
    """100 entries with names of 50,000 characters: a directory of 5 MB."""
    path = write_archive(tmp_path / "w.pth", state(WEIGHT), extra={f"{i:050000}": b"" for i in range(100)})
    assert "has a zip directory of 50" in refusal(path, Limits(directory_bytes=4 * MIB))
    assert list(read_checkpoint(path)) == ["w"]
