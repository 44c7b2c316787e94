"""The file of an encoded image: an uncompressed .npz of plain arrays, and one of JSON text that says whose it is.

numpy.load is not used to read it: it believes the shapes that a file declares, and allocates them. Here every array's
header is compared with what the bundle's manifest says before a byte of data is read.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..errors import ArgumentError, EmbeddingError
from .bundle import Manifest
from .bundle.fields import Fields
from .files import write_file

FORMAT = "inter2former-embedding"
FORMAT_VERSION = 1
MAX_SOURCE = 200  # characters
_HEADER_NAME = "header"
_MAX_HEADER_BYTES = 1 << 16
_MAX_IMAGE_SIDE = 1 << 24
_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_MAX_NPY_HEADER = 1024
_NPY_HEADER = re.compile(
    # As numpy writes it. Nothing in it can match in two ways: a damaged header must not cost time without end.
    rb"\{'descr': '([<>|=][a-z][0-9]{1,2})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,12}, )*(?:[0-9]{1,12},?)?)\), \} *\n"
)


@dataclass(frozen=True)
class EmbeddingHeader:
    """Whose embedding it is: the bundle's id, the image's size in pixels, the model's geometry.

    `source` is the caller's word for what the image was (`inter2former encode`: the sha256 of its file), or empty.
    """

    bundle: str
    height: int
    width: int
    mode: str
    size: int
    size_divisor: int
    source: str = ""


def write(
    path: Path,
    manifest: Manifest,
    height: int,
    width: int,
    arrays: Mapping[str, NDArray[np.float32]],
    source: str = "",
) -> None:
    """Write an encoded image to `path`, whole or not at all.

    Args:
        path: the file.
        manifest: of the bundle that made it.
        height, width: of the image in pixels.
        arrays: the encoded image's.
        source: see EmbeddingHeader.

    Raises:
        ArgumentError: `source` is no text of at most 200 characters.
        OSError: the file cannot be written.
    """
    if not isinstance(source, str) or len(source) > MAX_SOURCE:
        raise ArgumentError(f"source: expected a text of at most {MAX_SOURCE} characters, found {source!r:.60}")
    geometry = manifest.geometry
    header = EmbeddingHeader(manifest.id, height, width, geometry.mode, geometry.size, geometry.size_divisor, source)
    text = json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(header)})
    encoded: NDArray[Any] = np.frombuffer(text.encode(), dtype=np.uint8)

    def write_archive(stream: BinaryIO) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for name, array in {_HEADER_NAME: encoded, **arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    npy.write_array(member, array, version=(1, 0), allow_pickle=False)

    write_file(path, write_archive)


def read(path: Path, manifest: Manifest) -> tuple[EmbeddingHeader, dict[str, NDArray[np.float32]]]:
    """Read the header and the arrays of an encoded image.

    Args:
        path: the file.
        manifest: of the bundle that must have made it.

    Raises:
        EmbeddingError: see EncodedImage.load.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            header = _read_header(archive, path)
            _check_origin(header, manifest, path)
            shapes = manifest.encoded_arrays(manifest.geometry.of_image(header.height, header.width).grid)
            expected = {f"{name}.npy" for name in (_HEADER_NAME, *shapes)}
            found = archive.namelist()
            if sorted(found) != sorted(expected):
                differing = sorted(expected.symmetric_difference(found)) or found
                raise EmbeddingError(f"{path}: its arrays are not this bundle's: {', '.join(differing)[:200]}")
            return header, {name: _read_array(archive, name, shape, path) for name, shape in shapes.items()}
    except OSError as error:
        raise EmbeddingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        # What zipfile and numpy raise on damaged or exotic (encrypted, strangely compressed) archives.
        reason = " ".join(str(error).split())[:200]
        raise EmbeddingError(f"{path}: not a saved encoded image, or a damaged one: {reason}") from None


def holds(path: Path, manifest: Manifest, source: str) -> bool:
    """Tell whether a file is whole and holds what a bundle made of an image. Its arrays are not read.

    Args:
        path: the file.
        manifest: of the bundle.
        source: the image, as `write` was told.

    Raises:
        EmbeddingError: it is a whole file of another kind (one that should not be replaced).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            try:
                header = _read_header(archive, path)
            except EmbeddingError:
                if archive.testzip() is not None:
                    return False  # damaged: it may have been one of ours
                raise
            # That the list of members at a zip file's end is there says that the file is not cut short.
            shapes = manifest.encoded_arrays(manifest.geometry.of_image(header.height, header.width).grid)
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            whole = all(sizes.get(f"{name}.npy", 0) > 4 * math.prod(shape) for name, shape in shapes.items())
            return header.bundle == manifest.id and header.source == source and whole
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError):
        return False


def _read_header(archive: zipfile.ZipFile, path: Path) -> EmbeddingHeader:
    with _open(archive, _HEADER_NAME, _MAX_HEADER_BYTES, path) as stream:
        shape = _read_npy_header(stream, np.dtype(np.uint8), _HEADER_NAME, path)
        text = stream.read(_MAX_HEADER_BYTES)
    if shape != (len(text),):
        raise EmbeddingError(f"{path}: damaged: {_HEADER_NAME} holds {len(text)} bytes, declares shape {shape}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise EmbeddingError(f"{path}: not a saved encoded image: its header is not JSON") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise EmbeddingError(f"{path}: not a saved encoded image: its header does not say {FORMAT!r}")
    fields = Fields(values, f"{path}: header", EmbeddingError)
    version = fields.integer("format_version", 1, 1 << 31)
    if version > FORMAT_VERSION:
        raise EmbeddingError(
            f"{path}: made by a newer inter2former-onnx (embedding format {version}; this one reads up to "
            f"{FORMAT_VERSION}): encode the image again or upgrade"
        )
    return EmbeddingHeader(
        bundle=fields.string("bundle"),
        height=fields.integer("height", 1, _MAX_IMAGE_SIDE),
        width=fields.integer("width", 1, _MAX_IMAGE_SIDE),
        mode=fields.string("mode"),
        size=fields.integer("size", 1, _MAX_IMAGE_SIDE),
        size_divisor=fields.integer("size_divisor", 1, _MAX_IMAGE_SIDE),
        source=fields.string("source") if values.get("source") else "",
    )


def _check_origin(header: EmbeddingHeader, manifest: Manifest, path: Path) -> None:
    if header.bundle != manifest.id:
        raise EmbeddingError(
            f"{path}: made by another bundle ({header.bundle[:12]}..., this one is {manifest.id[:12]}...): "
            "encode the image again"
        )
    geometry = manifest.geometry
    found = (header.mode, header.size, header.size_divisor)
    expected = (geometry.mode, geometry.size, geometry.size_divisor)
    if found != expected:
        raise EmbeddingError(f"{path}: made for geometry {found}, this bundle's is {expected}")


def _read_array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], path: Path) -> NDArray[np.float32]:
    dtype = np.dtype("<f4")
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    with _open(archive, name, size + _MAX_NPY_HEADER, path) as stream:
        found = _read_npy_header(stream, dtype, name, path)
        if found != shape:
            raise EmbeddingError(f"{path}: {name}: expected shape {shape}, found {found}")
        array = np.empty(shape, dtype=np.float32)
        view = memoryview(array.data).cast("B")
        filled = 0
        while filled < size:
            chunk = stream.read(min(size - filled, 1 << 20))
            if not chunk:
                raise EmbeddingError(f"{path}: truncated: {name} holds {filled} of {size} bytes")
            view[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        stream.read(1)  # the end: lets zipfile compare the checksum
    return array


def _open(archive: zipfile.ZipFile, name: str, limit: int, path: Path) -> IO[bytes]:
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise EmbeddingError(f"{path}: not a saved encoded image, or a damaged one: {name}.npy is missing") from None
    if info.compress_type != zipfile.ZIP_STORED:
        raise EmbeddingError(f"{path}: {name}: compressed, which EncodedImage.save never does")
    if info.file_size > limit:
        raise EmbeddingError(f"{path}: {name}: {info.file_size} bytes where at most {limit} are expected")
    return archive.open(info)


def _read_npy_header(stream: IO[bytes], dtype: np.dtype, name: str, path: Path) -> tuple[int, ...]:
    """The declared shape; the declared dtype must be `dtype`, the order C, and all of it as numpy writes it."""
    start = stream.read(len(_NPY_MAGIC) + 2)
    length = int.from_bytes(start[len(_NPY_MAGIC) :], "little")
    text = stream.read(length) if start.startswith(_NPY_MAGIC) and length <= _MAX_NPY_HEADER else b""
    match = _NPY_HEADER.fullmatch(text)
    if match is None:
        raise EmbeddingError(f"{path}: {name}: damaged: does not begin like an .npy array of numbers")
    descr, fortran, sizes = (part.decode() for part in match.groups())
    if descr != dtype.str or fortran == "True":
        order = " in Fortran order" if fortran == "True" else ""
        raise EmbeddingError(f"{path}: {name}: expected {dtype.str} in C order, found {descr}{order}")
    return tuple(int(size) for size in sizes.replace(" ", "").split(",") if size)
