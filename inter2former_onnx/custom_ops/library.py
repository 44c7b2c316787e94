"""The native custom-op library: finding and registering it.

The library is optional. Without it onnxruntime runs the function bodies that travel inside the model, so every bundle
works either way; with it the native kernels take their place. Environment variables:

INTER2FORMER_OPS          `native` (fail without the library) or `portable` (never use it); unset: native if possible
INTER2FORMER_ISA          instruction set of the kernels: `baseline`, `avx2`, `avx512` or `neon`; unset: the best one
INTER2FORMER_OPS_LIBRARY  path of the library, for development builds

Only the standard library is imported here.
"""

from __future__ import annotations

import ctypes
import logging
import os
import struct
import sys
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from ..errors import OpsLibraryError

OpsMode = Literal["native", "portable"]

_LOG = logging.getLogger(__name__)
_MODE_VARIABLE = "INTER2FORMER_OPS"
_ISA_VARIABLE = "INTER2FORMER_ISA"
_PATH_VARIABLE = "INTER2FORMER_OPS_LIBRARY"


def _file_name() -> str:
    """Give the library's file name on this platform."""
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    return "libinter2former_ops" + suffix


def find() -> Path | None:
    """Find the library.

    In an editable install the compiled file lies in site-packages and the sources elsewhere, so the package's resources
    are asked rather than `__file__`.

    Returns:
        Its path, or None if this installation has none.

    Raises:
        OpsLibraryError: INTER2FORMER_OPS_LIBRARY is set and names no file.
    """
    override = os.environ.get(_PATH_VARIABLE)
    if override:
        path = Path(override)
        if not path.is_file():
            raise OpsLibraryError(f"{_PATH_VARIABLE}={override}: no such file, expected the native custom-op library")
        return path.resolve()
    found = resources.files(__package__).joinpath(_file_name())
    return Path(str(found)) if found.is_file() else None


def wanted_mode() -> OpsMode | None:
    """Read what INTER2FORMER_OPS asks for.

    Returns:
        None if it is unset or empty.

    Raises:
        OpsLibraryError: the variable has another value than `native` or `portable`.
    """
    value = os.environ.get(_MODE_VARIABLE, "")
    if value == "":
        return None
    if value == "native":
        return "native"
    if value == "portable":
        return "portable"
    raise OpsLibraryError(f"{_MODE_VARIABLE}={value}: expected 'native' or 'portable'")


def register(session_options: Any) -> OpsMode:
    """Register the native kernels where wanted and possible.

    A library that is there but cannot be used (too old an onnxruntime, say) is logged as a warning unless it was
    demanded, by INTER2FORMER_OPS=native or by naming an instruction set.

    Args:
        session_options: an onnxruntime.SessionOptions, changed in place.

    Returns:
        `native` if sessions made with these options use the native kernels, else `portable`.

    Raises:
        OpsLibraryError: INTER2FORMER_OPS has an unknown value, INTER2FORMER_OPS_LIBRARY names no file, or the native
            kernels were demanded and there is no library, it cannot be loaded or registered, or it lacks the
            instruction set in INTER2FORMER_ISA. The message names path and cause.
    """
    mode = wanted_mode()
    if mode == "portable":
        return "portable"
    path = find()
    if path is None:
        if mode == "native":
            raise OpsLibraryError(
                f"{_MODE_VARIABLE}=native: this installation has no native custom-op library ({_file_name()}); "
                "install with a C++ compiler at hand, or unset the variable to use the portable operators"
            )
        return "portable"
    try:
        _require_whole(path)
        session_options.register_custom_ops_library(str(path))
    except Exception as error:
        # onnxruntime raises classes of its own extension module, which this file must not import.
        message = f"{path}: the native custom-op library cannot be used: {error}"
        if mode == "native" or os.environ.get(_ISA_VARIABLE):
            raise OpsLibraryError(message) from error
        _LOG.warning("%s; using the portable operators", message)
        return "portable"
    return "native"


def _require_whole(path: Path) -> None:
    """Refuse a file of Linux's format that is cut short, as a full disk or a broken copy leaves it.

    The system's loader would map what is not there, and the process die of SIGBUS at the first touch. Other systems'
    loaders look for themselves, as Linux's does at everything else.

    Raises:
        OSError: the file is cut short.
    """
    with path.open("rb") as stream:
        header = stream.read(64)
        if len(header) < 64 or not header.startswith(b"\x7fELF\x02\x01"):  # 64 bits, little-endian
            return
        (table,) = struct.unpack_from("<Q", header, 32)
        entry, count = struct.unpack_from("<HH", header, 54)
        size = stream.seek(0, os.SEEK_END)
        if entry < 56 or table + entry * count > size:
            raise OSError("truncated or damaged: its segment table is not whole")
        stream.seek(table)
        segments = stream.read(entry * count)
    for start in range(0, len(segments), entry):
        offset, _, _, length = struct.unpack_from("<4Q", segments, start + 8)
        if offset + length > size:
            raise OSError(f"truncated: {size} bytes, of which a segment needs {offset + length}")


def instruction_set() -> str | None:
    """Ask the library for the instruction set that the native kernels would use now.

    Returns:
        Its name; None if there is no library.

    Raises:
        OpsLibraryError: the library cannot be loaded, or INTER2FORMER_ISA names an instruction set that it or this
            machine lacks, or INTER2FORMER_OPS_LIBRARY names no file.
    """
    path = find()
    if path is None:
        return None
    try:
        _require_whole(path)
        library = ctypes.CDLL(str(path))
        query = library.inter2former_instruction_set
    except (OSError, AttributeError) as error:
        raise OpsLibraryError(f"{path}: the native custom-op library cannot be loaded: {error}") from error
    query.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    query.restype = ctypes.c_int
    text = ctypes.create_string_buffer(512)
    if query(text, len(text)) != 0:
        raise OpsLibraryError(f"{path}: {text.value.decode(errors='replace')}")
    return text.value.decode()
