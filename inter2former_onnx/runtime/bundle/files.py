"""The files that a manifest lists, compared with the disk.

Two steps: names and sizes when the bundle is opened, sha256 when a file is first read, once a process, because hashing
hundreds of megabytes takes a noticeable while.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
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
    """Check that a file is there, is a file within the bundle, and has its size. Returns its status.

    Raises:
        BundleError: it has not.
    """
    path = folder / name
    try:
        status = path.lstat()
        if path.is_symlink():
            # Within the folder it is as good as the file itself (caches lay files out like that); out of it, anything.
            if path.resolve(strict=True).parent != folder.resolve():
                raise BundleError(f"{path}: a link that leads out of the bundle; copy the file there instead")
            status = path.stat()
    except (FileNotFoundError, RuntimeError):  # RuntimeError: links in a circle (before Python 3.13)
        raise BundleError(f"{path}: missing; {FILE_NAME} lists it with {spec.bytes} bytes") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    if not path.is_file():
        raise BundleError(f"{path}: not a file")
    if status.st_size != spec.bytes:
        raise BundleError(
            f"{path}: {status.st_size} bytes where {FILE_NAME} says {spec.bytes}: truncated, or of another bundle"
        )
    return status
