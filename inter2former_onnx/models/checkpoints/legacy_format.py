"""The format torch.save wrote before 1.6: five pickles in a row (magic number, version, system, object, storage keys),
then the storages, each as its number of elements (int64) and its bytes, little endian.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import torch

from .limits import Budget, CheckpointFault, Limits
from .names import shown
from .tensors import CONSTRUCTORS, StorageRef, storage_from_id
from .unpickler import PickleTruncated, SafeUnpickler, describe

__all__ = ["LegacyCheckpoint"]

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_FIRST_WINDOW = 2**20


class LegacyCheckpoint:
    """One file of the old format; `load` first, then `read_storage` as needed.

    Every method raises CheckpointFault.

    Args:
        stream: the file, kept open by the caller.
        file_bytes: its size.
    """

    def __init__(self, stream: BinaryIO, file_bytes: int, limits: Limits) -> None:
        self._stream = stream
        self._file_bytes = file_bytes
        self._limits = limits
        self._budget: Budget = limits.budget(file_bytes, "read")
        self._declared: dict[str, StorageRef] = {}
        self._offsets: dict[str, int] = {}

    def load(self) -> object:
        """Read the pickled object, tensors as TensorRef."""
        # Where the pickles end is known only after reading them: try with the file's head, and more of it if that is
        # too short.
        window = _FIRST_WINDOW
        while True:
            self._stream.seek(0)
            data = self._stream.read(window)
            try:
                return self._parse(data)
            except PickleTruncated as fault:
                if len(data) < window:
                    raise
                if window >= self._limits.pickle_bytes:
                    raise CheckpointFault(f"has pickles of more than {window} bytes; refused") from fault
                window = min(8 * window, self._limits.pickle_bytes)

    def _parse(self, data: bytes) -> object:
        self._declared = {}
        magic, position = self._unpickle(data, 0)
        if magic != _MAGIC:
            raise CheckpointFault(
                f"is a pickle, but not one that torch.save wrote (it starts with {describe(magic)});"
                " save with torch.save(model.state_dict(), path)"
            )
        version, position = self._unpickle(data, position)
        if version != _VERSION:
            raise CheckpointFault(f"is of torch.save's old format in version {describe(version)}, expected {_VERSION}")
        _, position = self._unpickle(data, position)
        value, position = self._unpickle(data, position)
        keys, position = self._unpickle(data, position)
        self._offsets = self._locate(keys, position)
        return value

    def _unpickle(self, data: bytes, start: int) -> tuple[Any, int]:
        machine = SafeUnpickler(data, CONSTRUCTORS, self._declare, self._limits.pickle_operations, start)
        return machine.load(), machine.position

    def _declare(self, identity: object) -> StorageRef:
        storage = storage_from_id(identity)
        if isinstance(identity, tuple) and len(identity) > 5 and identity[5] is not None:
            raise CheckpointFault(
                "has storages that are views of others (PyTorch before 0.4); save it again with a newer PyTorch"
            )
        if self._declared.setdefault(storage.key, storage) != storage:
            raise CheckpointFault(f"is damaged: storage {shown(storage.key)!r} is declared with two types or sizes")
        return storage

    def _locate(self, keys: object, position: int) -> dict[str, int]:
        """Find where each storage's bytes start; the sizes in the file must be those declared in the pickle."""
        if type(keys) is not list:
            raise CheckpointFault(f"is damaged: its list of storages is {describe(keys)}")
        offsets: dict[str, int] = {}
        for key in keys:
            storage = self._declared.get(key) if type(key) is str else None
            if storage is None or key in offsets:
                raise CheckpointFault("is damaged: its list of storages has one that is not declared, or one twice")
            self._stream.seek(position)
            numel = int.from_bytes(self._stream.read(8), "little")
            if numel != storage.numel:
                raise CheckpointFault(
                    f"is truncated or damaged: storage {shown(key)!r} is declared with {storage.numel} elements"
                    f" and has {numel}"
                )
            offsets[key] = position + 8
            position += 8 + storage.nbytes
            if position > self._file_bytes:
                raise CheckpointFault(
                    f"is truncated: storage {shown(key)!r} ends at byte {position}, the file at byte {self._file_bytes}"
                )
        return offsets

    def read_storage(self, storage: StorageRef) -> torch.Tensor:
        """Read the bytes of a storage: uint8 [nbytes]."""
        if storage.key not in self._offsets:
            raise CheckpointFault(f"is damaged: it has no data for storage {shown(storage.key)!r}")
        self._budget.spend(storage.nbytes)
        raw = torch.empty(storage.nbytes, dtype=torch.uint8)
        self._stream.seek(self._offsets[storage.key])
        if self._stream.readinto(memoryview(raw.numpy().data)) != storage.nbytes:  # type: ignore[attr-defined]
            raise CheckpointFault(f"is truncated within storage {shown(storage.key)!r}")
        return raw
