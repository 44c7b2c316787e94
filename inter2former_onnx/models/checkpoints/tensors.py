"""Tensors of a PyTorch pickle: first as checked descriptions; bytes are read later, and only those of the state
dict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .limits import CheckpointFault
from .names import Name, shown
from .unpickler import describe

__all__ = ["CONSTRUCTORS", "PLAIN_TYPES", "StorageRef", "TensorRef", "materialise", "storage_from_id"]

_MOST_DIMENSIONS = 64  # PyTorch's own limit
_MOST_ELEMENTS = 2**48

_STORAGE_MODULES = ("torch", "torch.cuda", "torch.storage")
_STORAGES: dict[str, torch.dtype] = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "QInt32Storage": torch.qint32,
    "QInt8Storage": torch.qint8,
    "QUInt8Storage": torch.quint8,
    "ShortStorage": torch.int16,
    "UntypedStorage": torch.uint8,
}
# Types without a storage class of their own name their dtype beside an UntypedStorage.
_NAMED_DTYPES: dict[str, torch.dtype] = {
    name: dtype for name in dir(torch) if isinstance(dtype := getattr(torch, name), torch.dtype)
}
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# What a state dict may hold: not complex numbers, quantised ones, or floats of 8 bits.
PLAIN_TYPES = frozenset(_FLOATS) | frozenset(
    dtype for name, dtype in _NAMED_DTYPES.items() if name.startswith(("bool", "int", "uint"))
)


@dataclass(frozen=True)
class StorageRef:
    """A storage: `numel` elements of `dtype`, kept under `key` in the file."""

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class TensorRef:
    """A strided view of a storage (offset and stride in elements of `dtype`), known to lie inside it."""

    storage: StorageRef
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def result_dtype(self) -> torch.dtype:
        """float32 for floats, otherwise the type as it is."""
        return torch.float32 if self.dtype in _FLOATS else self.dtype

    @property
    def result_bytes(self) -> int:
        return math.prod(self.size) * self.result_dtype.itemsize


def _count(value: object, what: str) -> int:
    if type(value) is not int or value < 0:
        raise CheckpointFault(f"is damaged: a tensor's {what} is {describe(value)}, expected a number from 0")
    return value


def storage_from_id(identity: object) -> StorageRef:
    """Read which storage a persistent id of torch.save names.

    The id is ("storage", type, key, location, number of elements, ...).
    """
    if type(identity) is not tuple or len(identity) < 5 or identity[0] != "storage":
        raise CheckpointFault(f"is damaged: its pickle has {describe(identity)} for a storage's id")
    _, kind, key, _, numel = identity[:5]
    if not isinstance(kind, Name) or kind.module not in _STORAGE_MODULES or kind.qualified not in _STORAGES:
        raise CheckpointFault(f"has a storage of the unknown type {describe(kind)}")
    if type(key) is not str:
        raise CheckpointFault(f"is damaged: a storage's key is {describe(key)}, expected a text")
    return StorageRef(key, _STORAGES[kind.qualified], _count(numel, "storage size"))


def _tensor(
    storage: object, offset: object, size: object, stride: object, dtype: torch.dtype | None = None
) -> TensorRef:
    if not isinstance(storage, StorageRef):
        raise CheckpointFault(f"is damaged: a tensor's storage is {describe(storage)}")
    if type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride) or len(size) > _MOST_DIMENSIONS:
        raise CheckpointFault(f"is damaged: a tensor's size is {describe(size)} and its stride {describe(stride)}")
    sizes = tuple(_count(value, "size") for value in size)
    strides = tuple(_count(value, "stride") for value in stride)
    start = _count(offset, "offset")
    if math.prod(max(value, 1) for value in sizes) > _MOST_ELEMENTS:
        raise CheckpointFault(f"has a tensor of size {shown(str(list(sizes)))}; refused")
    element = dtype or storage.dtype
    capacity = storage.nbytes // element.itemsize
    end = (
        start + sum((count - 1) * step for count, step in zip(sizes, strides, strict=True)) + 1
        if 0 not in sizes
        else start
    )
    if end > capacity:
        raise CheckpointFault(
            f"has a tensor of size {shown(str(list(sizes)))}, stride {shown(str(list(strides)))} and offset {start}"
            f" outside its storage {shown(storage.key)!r} of {capacity} elements"
        )
    return TensorRef(storage, element, start, sizes, strides)


def _check_arguments(arguments: tuple[Any, ...], least: int, function: str) -> None:
    if len(arguments) < least:
        raise CheckpointFault(f"is damaged: its pickle calls {function} with {len(arguments)} arguments, not {least}")


def _rebuild_tensor(arguments: tuple[Any, ...]) -> TensorRef:
    _check_arguments(arguments, 4, "torch._utils._rebuild_tensor")
    return _tensor(*arguments[:4])


def _refuse_bits(metadata: tuple[Any, ...]) -> None:
    # The only bits there are mean "stored negated" and "stored conjugated": reading past them would give wrong weights.
    if any(metadata):
        raise CheckpointFault("has a tensor stored as the negative or conjugate of its values, which is not supported")


def _rebuild_tensor_v2(arguments: tuple[Any, ...]) -> TensorRef:
    _check_arguments(arguments, 4, "torch._utils._rebuild_tensor_v2")
    _refuse_bits(arguments[6:])
    return _tensor(*arguments[:4])


def _rebuild_tensor_v3(arguments: tuple[Any, ...]) -> TensorRef:
    _check_arguments(arguments, 7, "torch._utils._rebuild_tensor_v3")
    _refuse_bits(arguments[7:])
    dtype = arguments[6]
    if not isinstance(dtype, Name) or dtype.module != "torch" or dtype.qualified not in _NAMED_DTYPES:
        raise CheckpointFault(f"has a tensor of the unknown type {describe(dtype)}")
    storage, offset, size, stride = arguments[:4]
    return _tensor(storage, offset, size, stride, _NAMED_DTYPES[dtype.qualified])


def _rebuild_parameter(arguments: tuple[Any, ...]) -> Any:
    _check_arguments(arguments, 1, "torch._utils._rebuild_parameter")
    return arguments[0]


_REBUILDERS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch.nn.parameter.Parameter": _rebuild_parameter,
}


def _rebuild_from_type(arguments: tuple[Any, ...]) -> Any:
    # (function, type, arguments, state): a tensor with attributes. Only the functions above may be the function.
    _check_arguments(arguments, 3, "torch._tensor._rebuild_from_type_v2")
    function, _, inner = arguments[:3]
    rebuild = _REBUILDERS.get(f"{function.module}.{function.qualified}") if isinstance(function, Name) else None
    if rebuild is None or type(inner) is not tuple:
        raise CheckpointFault(f"tries to call {describe(function)}; refused, nothing was executed")
    return rebuild(inner)


def _size(arguments: tuple[Any, ...]) -> Any:
    _check_arguments(arguments, 1, "torch.Size")
    return tuple(arguments[0]) if type(arguments[0]) is list else arguments[0]


CONSTRUCTORS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    **_REBUILDERS,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.Size": _size,
}


def materialise(raw: torch.Tensor, tensor: TensorRef, alone: bool) -> torch.Tensor:
    """Make a tensor of its storage's bytes.

    Args:
        raw: uint8 [nbytes], the storage's bytes.
        tensor: the view of them.
        alone: no other tensor is made of `raw`, which may then be used without a copy.

    Returns:
        The values: contiguous, floats as float32, in memory of its own.
    """
    elements = tensor.storage.nbytes // tensor.dtype.itemsize
    cut = raw[: elements * tensor.dtype.itemsize]
    flat = cut != 0 if tensor.dtype is torch.bool else cut.view(tensor.dtype)  # bytes other than 0 and 1 are no bools
    view = torch.as_strided(flat, tensor.size, tensor.stride, tensor.offset)
    result = view.to(tensor.result_dtype).contiguous()
    shares = result.untyped_storage().data_ptr() == raw.untyped_storage().data_ptr()
    if shares and (not alone or tensor.result_bytes < raw.numel()):
        return result.clone()
    return result
