"""Which names a checkpoint's pickle may call, decided from the spelling alone (nothing is ever imported).

A pickle names things as (module, qualified name) and may ask to call them. The reader never calls anything foreign: a
call either runs a few lines of our own (rebuilding a tensor, an OrderedDict), or yields an inert placeholder, or is
refused. What is refused and what becomes a placeholder is one rule:

1. `INERT_CALLS` become placeholders: constructors of plain data that real training checkpoints hold (numpy arrays,
   dates, paths).
2. Anything else of Python's standard library is refused: nothing there belongs in a checkpoint, and what attacks use is
   there.
3. Elsewhere a class becomes a placeholder and a function is refused. A class is told by its spelling: every part of its
   qualified name is an identifier that, leading underscores aside, starts with a capital (`HistoryBuffer`,
   `Outer._Inner`; not `run`, `Model.load`, `make.<locals>.Thing`).

Merely naming something, without calling it, is harmless here and allowed. The rule decides how a file is judged, not
whether it can do harm: even a file that passes cannot run code, for there is no code path from a name to an import.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

__all__ = ["INERT_CALLS", "Name", "may_be_placeholder", "shown"]


def shown(text: str, limit: int = 100) -> str:
    """Make `text` from a file fit for one line of a message: control characters escaped, cut at `limit` characters."""
    clean = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text[:limit])
    return clean if len(text) <= limit else clean + "..."


@dataclass(frozen=True)
class Name:
    """What a pickle calls a global: two pieces of text, and nothing behind them."""

    module: str
    qualified: str

    def __str__(self) -> str:
        return shown(f"{self.module}.{self.qualified}")


def _dotted(module: str, names: str) -> set[str]:
    return {f"{module}.{name}" for name in names.split()}


# Python 2 called it __builtin__ and copy_reg, and protocol 2 (torch.save's) still writes those names.
INERT_CALLS: frozenset[str] = frozenset(
    _dotted("builtins", "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple")
    | _dotted(
        "__builtin__",
        "bool bytearray bytes complex dict float frozenset int list long object set slice str tuple unicode xrange",
    )
    | _dotted("_codecs", "encode")  # protocol 2 spells bytes as _codecs.encode(text, "latin1")
    | _dotted("collections", "ChainMap Counter UserDict UserList deque")
    | _dotted("datetime", "date datetime time timedelta timezone")
    | _dotted("pathlib", "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath")
    | _dotted("pathlib._local", "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath")
    | _dotted("argparse", "Namespace")
    | _dotted("types", "SimpleNamespace")
    | _dotted("decimal", "Decimal")
    | _dotted("fractions", "Fraction")
    | _dotted("uuid", "UUID")
    | _dotted("random", "Random")
    | _dotted("numpy", "dtype ndarray bool_ float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64")
    | _dotted("numpy.core.multiarray", "_reconstruct scalar")
    | _dotted("numpy._core.multiarray", "_reconstruct scalar")
    | _dotted("numpy.core.numeric", "_frombuffer")
    | _dotted("numpy._core.numeric", "_frombuffer")
    | _dotted("numpy.random._pickle", "__randomstate_ctor __generator_ctor __bit_generator_ctor")
    | _dotted("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence")
    | _dotted("torch", "device dtype")
    # Tensors of kinds no state dict of ours has (sparse, quantised, without data): refused where a weight should be.
    | _dotted(
        "torch._utils",
        "_rebuild_sparse_tensor _rebuild_nested_tensor _rebuild_qtensor _rebuild_meta_tensor_no_storage"
        " _rebuild_wrapper_subclass _rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor",
    )
    | _dotted("torch.serialization", "_get_layout")
)

# Modules of other Python versions than the one that reads; the running one lists its own.
_OTHER_VERSIONS = (
    *("__builtin__", "asynchat", "asyncore", "cgi", "commands", "copy_reg", "crypt", "distutils", "exceptions", "imp"),
    *("lib2to3", "new", "nis", "nt", "pipes", "popen2", "posix", "smtpd", "spwd", "telnetlib", "thread", "urllib2"),
)
_STANDARD_LIBRARY = sys.stdlib_module_names.union(_OTHER_VERSIONS)


def _is_class_like(qualified: str) -> bool:
    parts = qualified.split(".")
    return all(part.isidentifier() and part.lstrip("_")[:1].isupper() for part in parts)


def may_be_placeholder(name: Name) -> bool:
    """Tell whether a call of `name` may become an inert placeholder (the rule above); otherwise the file is refused."""
    if f"{name.module}.{name.qualified}" in INERT_CALLS:
        return True
    if name.module.split(".", 1)[0] in _STANDARD_LIBRARY:
        return False
    return _is_class_like(name.qualified)
