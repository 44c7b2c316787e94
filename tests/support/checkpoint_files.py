"""Checkpoint files for tests, made opcode by opcode: what torch.save would write, and what it never would."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from inter2former_onnx.errors import CheckpointError
from inter2former_onnx.models.checkpoints import Limits, read_checkpoint


def text(value: str) -> bytes:
    """Write a BINUNICODE."""
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def number(value: int) -> bytes:
    """Write a LONG1: an integer of any sign and up to 255 bytes."""
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + len(data).to_bytes(1, "little") + data


def name(dotted: str) -> bytes:
    """Write a GLOBAL; the last part of `dotted` is the name, what is before it the module."""
    module, _, qualified = dotted.rpartition(".")
    return f"c{module}\n{qualified}\n".encode()


def items(*parts: bytes) -> bytes:
    """Write a TUPLE of values."""
    return b"(" + b"".join(parts) + b"t"


def call(dotted: str, *arguments: bytes) -> bytes:
    """Write a REDUCE of a global."""
    return name(dotted) + items(*arguments) + b"R"


def mapping(entries: Mapping[str, bytes]) -> bytes:
    """Write a dictionary."""
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def storage(key: str, numel: int, kind: str = "torch.FloatStorage") -> bytes:
    """Write a storage by its persistent id."""
    return items(text("storage"), name(kind), text(key), text("cpu"), number(numel)) + b"Q"


def tensor(
    key: str,
    numel: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int = 0,
    kind: str = "torch.FloatStorage",
) -> bytes:
    """Write a tensor on a storage, as torch.save writes it."""
    return call(
        "torch._utils._rebuild_tensor_v2",
        storage(key, numel, kind),
        number(offset),
        items(*map(number, size)),
        items(*map(number, stride)),
        b"\x89",
        call("collections.OrderedDict"),
    )


WEIGHT = tensor("0", 3, (3,), (1,))
WEIGHT_BYTES = b"\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40"  # 1, 2, 3 as float32


def whole(value: bytes) -> bytes:
    """Write a pickle of one value."""
    return b"\x80\x02" + value + b"."


def state(entry: bytes) -> bytes:
    """Write a pickle of a state dict with one entry, "w"."""
    return whole(mapping({"w": entry}))


def write_archive(
    path: Path,
    data: bytes,
    storages: Mapping[str, bytes] | None = None,
    extra: Mapping[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write the zip format: `data` as pickle, `storages` by key (the numbers of WEIGHT under "0" unless given)."""
    path.unlink(missing_ok=True)  # as in write_anew
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        for key, content in ({"0": WEIGHT_BYTES} if storages is None else storages).items():
            archive.writestr(f"archive/data/{key}", content)
        for entry, content in (extra or {}).items():
            archive.writestr(entry, content)
    return path


def legacy(value: bytes, storages: Mapping[str, bytes], element_size: int = 4) -> bytes:
    """Write the format before 1.6, with `value` as its object."""
    head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tail = [(len(data) // element_size).to_bytes(8, "little") + data for data in storages.values()]
    return b"".join([*head, whole(value), pickle.dumps(list(storages), 2), *tail])


def refusal(path: Path, limits: Limits | None = None) -> str:
    """Check that the file is refused in one line that names it, and return what the line says of it."""
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path, limits or Limits())
    message = str(caught.value)
    assert message.startswith(f"checkpoint {path} ")
    assert "\n" not in message
    return message.removeprefix(f"checkpoint {path} ")
