"""Read the state dict in a checkpoint file of any format: `read_checkpoint`.

Nothing in a checkpoint is ever executed: its pickle is read by a machine of our own (unpickler.py), which knows
tensors and dictionaries, turns unknown classes into inert placeholders and refuses calls of anything else by name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch

from ...errors import CheckpointError, MissingDependencyError
from ...extras import install_hint
from .containers import find_state_dict
from .legacy_format import LegacyCheckpoint
from .limits import DEFAULT_LIMITS, CheckpointFault, Limits
from .names import shown
from .tensors import PLAIN_TYPES, StorageRef, TensorRef, materialise
from .unpickler import PickledDict, describe
from .zip_format import ZipCheckpoint

_LONGEST_SAFETENSORS_HEADER = 100_000_000  # the format's own limit

# What people hand over by mistake: how the content starts, and what it then is.
_OTHER_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; fetch it with git lfs pull"),
    (b"<!DOCTYPE", "an HTML page, not a checkpoint; the download probably failed"),
    (b"<html", "an HTML page, not a checkpoint; the download probably failed"),
    (b"\xff\xd8\xff", "a JPEG image, not a checkpoint"),
    (b"\x89PNG", "a PNG image, not a checkpoint"),
    (b"\x1f\x8b", "gzip-compressed; decompress it first"),
    (b"\x93NUMPY", "a NumPy array, not a checkpoint"),
    (b"\x89HDF", "an HDF5 file, not a PyTorch or safetensors checkpoint"),
)
_EXPECTED = "expected a file of torch.save or safetensors"


def read_checkpoint(
    path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS, key: str | None = None
) -> dict[str, torch.Tensor]:
    """Read the state dict in a checkpoint file, told by its content and not its extension.

    Reads torch.save's zip format and the one before 1.6, and safetensors. The state dict is the file's object itself or
    what is under one of the names that training frameworks use (`state_dict`, `model`, `ema`, ...); the rest of a
    training checkpoint is ignored. Only the state dict's weights are read.

    Args:
        path: the file.
        limits: what it may cost to read it.
        key: which state dict, where the file holds several: a name, or names with dots (`ema.module`); "." stands for
            tensors beside the others, in the file's object itself.

    Returns:
        The tensors in the file's order: float16, bfloat16, float32 and float64 as float32, integers and bools as they
        are (plain numbers as 0-dimensional tensors), each contiguous and in memory of its own.

    Raises:
        CheckpointError: a file that is missing, damaged, too demanding (`limits`), not a checkpoint, that tries to call
            anything, or that holds several state dicts, none under `key`; the message names the file and the cause.
        MissingDependencyError: a safetensors file, and that package is not installed.
    """
    path = Path(path)
    try:
        with _open_regular(path) as stream:
            return _read_open(path, stream, limits, key)
    except CheckpointFault as fault:
        raise CheckpointError(f"checkpoint {path} {fault}") from fault
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror or error}") from error


@contextmanager
def _open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open the file for reading; a folder, a pipe or a device (reading which may never end) is refused."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise CheckpointFault("does not exist") from None
    except ValueError as error:  # a null character in the path
        raise CheckpointFault(f"cannot be read: {error}") from None
    if stat.S_ISDIR(mode):
        raise CheckpointFault(f"is a folder, {_EXPECTED}")
    if not stat.S_ISREG(mode):
        raise CheckpointFault(f"is not a regular file, {_EXPECTED}")
    with path.open("rb") as stream:
        yield stream


def _read_open(path: Path, stream: BinaryIO, limits: Limits, key: str | None) -> dict[str, torch.Tensor]:
    file_bytes = os.fstat(stream.fileno()).st_size
    head = stream.read(32)
    stream.seek(0)
    if not head:
        raise CheckpointFault("is an empty file")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        archive = ZipCheckpoint(stream, file_bytes, limits)
        return _read_pickled(find_state_dict(archive.load(), key), archive.read_storage, limits, file_bytes)
    # Before the pickle: the length that starts a safetensors file may well begin with a pickle's first byte.
    header_bytes = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and header_bytes <= _LONGEST_SAFETENSORS_HEADER:
        if header_bytes > limits.directory_bytes:
            raise CheckpointFault(
                f"has a safetensors header of {header_bytes} bytes, at most {limits.directory_bytes} are read"
            )
        if key is not None:
            raise CheckpointFault(f"is a safetensors file, which holds one state dict; there is no {shown(key)!r}")
        return _read_safetensors(path)
    if head.startswith(b"\x80"):
        legacy = LegacyCheckpoint(stream, file_bytes, limits)
        return _read_pickled(find_state_dict(legacy.load(), key), legacy.read_storage, limits, file_bytes)
    for start, kind in _OTHER_KINDS:
        if head.lower().startswith(start.lower()):
            raise CheckpointFault(f"is {kind}")
    raise CheckpointFault(f"is of no known format (it starts with {shown(ascii(head[:12])[1:])}), {_EXPECTED}")


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingDependencyError(
            f"checkpoint {path} is a safetensors file, and safetensors is not installed: {install_hint('export')}"
        ) from error
    try:
        state = load_file(path)
    except (SafetensorError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointFault(f"is a damaged or truncated safetensors file ({shown(str(error))})") from error
    if not state:
        raise CheckpointFault("holds no tensors")
    return {key: _plain(key, tensor) for key, tensor in state.items()}


def _plain(key: str, tensor: torch.Tensor) -> torch.Tensor:
    _check_type(key, tensor.dtype, PLAIN_TYPES)
    converted = tensor.to(torch.float32) if tensor.is_floating_point() else tensor
    # safetensors maps the file: a tensor must not change, or vanish, with the file.
    return converted.contiguous() if converted is not tensor else tensor.clone(memory_format=torch.contiguous_format)


def _check_type(key: str, dtype: torch.dtype, accepted: Collection[torch.dtype]) -> None:
    if dtype not in accepted:
        name = str(dtype).removeprefix("torch.")
        raise CheckpointFault(f"holds {shown(key)} as {name}, expected floats of 16 to 64 bits, integers or bools")


def _read_pickled(
    state: PickledDict, read_storage: Callable[[StorageRef], torch.Tensor], limits: Limits, file_bytes: int
) -> dict[str, torch.Tensor]:
    """Read the tensors of a state dict; each storage is read once, and let go before the next is read."""
    budget = limits.budget(file_bytes, "hold its tensors")
    result: dict[str, torch.Tensor] = {}
    of_storage: dict[str, list[tuple[str, TensorRef]]] = {}
    for key, entry in state.items():
        if isinstance(entry, TensorRef):
            _check_type(key, entry.dtype, PLAIN_TYPES)
            budget.spend(entry.result_bytes)
            of_storage.setdefault(entry.storage.key, []).append((key, entry))
        else:
            result[key] = _number(key, entry)
    for group in of_storage.values():
        raw = read_storage(group[0][1].storage)
        for key, entry in group:
            result[key] = materialise(raw, entry, alone=len(group) == 1)
    return {key: result[key] for key in state}


def _number(key: str, value: object) -> torch.Tensor:
    """Turn a bookkeeping number (`step`) into a 0-dimensional tensor."""
    if isinstance(value, (bool, int)) and -(2**63) <= value < 2**63:
        return torch.tensor(value)
    if isinstance(value, float):
        return torch.tensor(value, dtype=torch.float32)
    raise CheckpointFault(f"holds {describe(value)} under {shown(key)!r} of its state dict, expected a tensor")
