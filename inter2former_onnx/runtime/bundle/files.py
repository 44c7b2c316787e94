"""The files that a manifest lists, compared with the disk.

Two steps: names and sizes when the bundle is opened, sha256 when a file is first read, once a process, because hashing
hundreds of megabytes takes a noticeable while.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import BundleError
from ..files import sha256_of
from .manifest import FILE_NAME, FileSpec, Manifest


def check_files(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Compare files with the sha256 in the manifest.

    A file that this process read for this before is not read again while its modification time and size are the same.

    Args:
        folder: the bundle's.
        manifest: the bundle's.
        names: of files that the manifest lists.

    Raises:
        BundleError: a file is missing, unreadable, of another size, or altered.
    """
    for name in names:
        spec = manifest.files[name]
        status = check_size(folder, name, spec)
        path = folder / name
        key = (str(path.resolve()), status.st_mtime_ns, status.st_size)
        digest = _digests.get(key)
        if digest is None:
            digest = _digests[key] = _sha256(path)
        if digest != spec.sha256:
            raise BundleError(
                f"{path}: altered: its sha256 is {digest[:12]}..., {FILE_NAME} says {spec.sha256[:12]}...; "
                "export or copy the bundle again"
            )


_digests: dict[tuple[str, int, int], str] = {}


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None


def check_size(folder: Path, name: str, spec: FileSpec) -> os.stat_result:
    """Check that a file is there, is a plain file, and has its size. Returns its status.

    It may be a link, wherever that leads, as in the caches of model hubs: what is read is compared with its sum.

    Raises:
        BundleError: it has not.
    """
    path = folder / name
    try:
        status = path.stat()
    except FileNotFoundError:
        lost = f"a link to {os.readlink(path)!r}, which is " if path.is_symlink() else ""
        raise BundleError(f"{path}: {lost}missing; {FILE_NAME} lists it with {spec.bytes} bytes") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    if not path.is_file():
        raise BundleError(f"{path}: not a file")
    if status.st_size != spec.bytes:
        raise BundleError(
            f"{path}: {status.st_size} bytes where {FILE_NAME} says {spec.bytes}: truncated, or of another bundle"
        )
    return status


@contextmanager
def side_by_side(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Give a folder in which the files of a graph lie together, for as long as it takes to open the graph.

    onnxruntime follows links, but takes a graph's data from the graph's own folder only. That is the bundle's, or the
    one that all links lead to; where they lead to several, a temporary one holds the files under their names.

    Args:
        folder: the bundle's.
        names: of the files.

    Raises:
        BundleError: the files cannot be brought together.
    """
    real = {name: Path(os.path.realpath(folder / name)) for name in names}
    if len({path.parent for path in real.values()}) < 2:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="inter2former-", ignore_cleanup_errors=True) as together:
        for name, path in real.items():
            try:
                os.link(path, Path(together) / name)
            except OSError:  # on another disk, or somebody else's
                try:
                    shutil.copyfile(path, Path(together) / name)
                except OSError as error:
                    text = f"{folder / name}: cannot be copied to {together}, beside its graph: {error.strerror}"
                    raise BundleError(text) from None
        yield Path(together)
