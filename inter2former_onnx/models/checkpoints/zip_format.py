"""The zip archives that torch.save writes: NAME/data.pkl, and one entry NAME/data/KEY for each storage."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
import zlib
from typing import BinaryIO

import torch

from .limits import Budget, CheckpointFault, Limits
from .names import shown
from .tensors import CONSTRUCTORS, StorageRef, storage_from_id
from .unpickler import SafeUnpickler

__all__ = ["ZipCheckpoint"]

# What zipfile raises for archives that are not as they should be.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError)
_CHUNK = 2**22
_CLOSING = 2**17  # bytes; the closing record holds a comment of up to 65,535


class _BoundedReads(io.RawIOBase):
    """A file that bounds single reads: zipfile reads a directory at once, of whatever size the archive states."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        super().__init__()
        self._stream = stream
        self._limit = limit

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = _CLOSING  # to the end: zipfile reads only an archive's closing record so
        if size > self._limit:
            raise CheckpointFault(f"has a zip directory of {size} bytes, at most {self._limit} are read")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise zipfile.BadZipFile(f"it refers to byte {offset}")
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


class ZipCheckpoint:
    """One archive, opened and its directory checked; the pickle and the storages are read on demand.

    Every method raises CheckpointFault.

    Args:
        stream: the file, kept open by the caller.
        file_bytes: its size.
    """

    def __init__(self, stream: BinaryIO, file_bytes: int, limits: Limits) -> None:
        self._limits = limits
        self._file_bytes = file_bytes
        self._budget: Budget = limits.budget(file_bytes, "decompress")
        try:
            self._archive = zipfile.ZipFile(_BoundedReads(stream, max(limits.directory_bytes, _CHUNK)))  # type: ignore[arg-type]
        except _ZIP_ERRORS as error:
            raise CheckpointFault(
                f"is truncated or damaged: its zip directory is not readable ({shown(str(error))})"
            ) from error
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._archive.infolist():
            if entry.filename in self._entries:
                raise CheckpointFault(f"is damaged: its zip archive has two entries named {shown(entry.filename)!r}")
            self._entries[entry.filename] = entry
        self._root = self._find_root()
        byte_order = self._entries.get(self._root + "byteorder")
        if byte_order is not None and self._read(byte_order, 16).decode("latin-1") != sys.byteorder:
            raise CheckpointFault(
                f"was written on a machine of another byte order than this one's ({sys.byteorder} endian)"
            )

    def _find_root(self) -> str:
        roots = [
            name.removesuffix("data.pkl")
            for name in self._entries
            if name.endswith("/data.pkl") and name.count("/") == 1
        ]
        if len(roots) != 1:
            some = ", ".join(shown(name, 40) for name in list(self._entries)[:3]) or "nothing"
            raise CheckpointFault(
                f"is a zip archive, but not one that torch.save wrote: it has {some} and {len(roots)} entries"
                " NAME/data.pkl, expected 1"
            )
        if roots[0] + "constants.pkl" in self._entries:
            raise CheckpointFault(
                "is a TorchScript program, not a state dict; save with torch.save(model.state_dict(), path)"
            )
        return roots[0]

    def _check(self, entry: zipfile.ZipInfo, most: int) -> None:
        name = shown(entry.filename)
        if entry.file_size > most:
            raise CheckpointFault(f"has an entry {name!r} of {entry.file_size} bytes, at most {most} are read")
        if entry.flag_bits & 1:
            raise CheckpointFault(f"is encrypted (entry {name!r})")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CheckpointFault(
                f"has an entry {name!r} compressed by method {entry.compress_type}, expected stored or deflated"
            )
        is_short = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size
        if is_short or entry.header_offset + entry.compress_size > self._file_bytes:
            raise CheckpointFault(
                f"is truncated or damaged: entry {name!r} claims {entry.file_size} bytes,"
                f" {entry.compress_size} of them from byte {entry.header_offset} of {self._file_bytes}"
            )
        self._budget.spend(entry.file_size)

    def _read(self, entry: zipfile.ZipInfo, most: int) -> bytearray:
        self._check(entry, most)
        buffer = bytearray(entry.file_size)
        self._read_into(entry, memoryview(buffer))
        return buffer

    def _read_into(self, entry: zipfile.ZipInfo, target: memoryview) -> None:
        try:
            with self._archive.open(entry) as stream:
                done = 0
                while done < len(target):
                    chunk = stream.read(min(_CHUNK, len(target) - done))
                    if not chunk:
                        raise EOFError(f"{done} of {len(target)} bytes")
                    target[done : done + len(chunk)] = chunk
                    done += len(chunk)
                stream.read(1)  # at the end of an entry zipfile compares its checksum
        except _ZIP_ERRORS as error:
            raise CheckpointFault(
                f"is truncated or damaged: entry {shown(entry.filename)!r} is not readable ({shown(str(error))})"
            ) from error

    def load(self) -> object:
        """Read the pickled object, tensors as TensorRef."""
        data = self._read(self._entries[self._root + "data.pkl"], self._limits.pickle_bytes)
        return SafeUnpickler(data, CONSTRUCTORS, self._declare, self._limits.pickle_operations).load()

    def _declare(self, identity: object) -> StorageRef:
        storage = storage_from_id(identity)
        entry = self._entries.get(self._entry_name(storage))
        if entry is None:
            raise CheckpointFault(f"is damaged: it has no entry for storage {shown(storage.key)!r}")
        if entry.file_size != storage.nbytes:
            raise CheckpointFault(
                f"declares {storage.nbytes} bytes for storage {shown(storage.key)!r}, its entry has {entry.file_size}"
            )
        return storage

    def _entry_name(self, storage: StorageRef) -> str:
        return f"{self._root}data/{storage.key}"

    def read_storage(self, storage: StorageRef) -> torch.Tensor:
        """Read the bytes of a storage: uint8 [nbytes]."""
        entry = self._entries[self._entry_name(storage)]
        self._check(entry, self._limits.state_bytes)
        raw = torch.empty(storage.nbytes, dtype=torch.uint8)
        self._read_into(entry, memoryview(raw.numpy().data))
        return raw
