"""Folders of result files that say which files are theirs, so that what is no longer a result can go."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..errors import AnnotationError, Inter2FormerError
from ..outputs import OutputFile
from ..picture_folder import RESULTS_FILE, results_file
from .dataset import Dataset, PictureRecord, is_storable

_MAX_LIST_BYTES = 1 << 30
_MOST_BYTES = 255 - len(".") - len(".0123abcd.tmp")  # of a file's name, which is written under a longer one first


def save(path: Path, content: bytes) -> Path:
    """Write a file in one step, and the folders above it if they are missing.

    Returns:
        `path`.

    Raises:
        Inter2FormerError, OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with OutputFile(path) as out:
        out.write(lambda stream: stream.write(content))
    return path


def same_file_key(name: str) -> str:
    """Make what is equal for names that some file system takes for one: they may differ in case or composition."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def file_name(base: str, ending: str) -> str:
    """Add an ending to a name (both may be of any length): what a file system allows, shortened with a hash if need be.

    Args:
        base: the name, perhaps with folders.
        ending: with its dot.
    """
    if len(base) - base.rfind("/") - 1 + len(ending) <= _MOST_BYTES // 4:
        return f"{base}{ending}"  # whatever its letters
    path = PurePosixPath(base)
    if len(f"{path.name}{ending}".encode()) <= _MOST_BYTES:
        return f"{base}{ending}"
    mark = f"~{_hash(base)}"
    room = _MOST_BYTES - len(f"{mark}{ending}".encode())
    cut = path.name.encode()[:room].decode(errors="ignore")
    return (path.parent / f"{cut}{mark}{ending}").as_posix()


class Names:
    """Names for the results of pictures, without an ending: each one's own, and the same whatever pictures come later.

    A picture gives its name without the ending, or with it where that is taken, or with a hash.
    """

    def __init__(self, records: Iterable[PictureRecord] = ()) -> None:
        """Note the names that pictures have; what is unusable or taken among them gets another."""
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._folders: set[str] = set()
        records = list(records)
        for record in records:
            hidden = any(part.startswith(".") for part in record.files.split("/"))
            if record.files and is_storable(record.files) and not hidden and self._is_free(record.files):
                self._take(record.name, record.files)
        for record in records:
            self.base(record.name)

    def base(self, picture: str) -> str:
        """Name a picture's results: a path without an ending, from the folder of results."""
        if picture not in self._names:
            path = PurePosixPath(picture)
            flat = f"{path.name}~{_hash(picture)}"
            choices = (path.with_suffix("").as_posix(), picture, (path.parent / flat).as_posix(), flat)
            self._take(picture, next((choice for choice in choices if self._is_free(choice)), flat))
        return self._names[picture]

    def _take(self, picture: str, base: str) -> None:
        self._names[picture] = base
        self._taken.add(same_file_key(base))
        self._folders.update(_folders(base))

    def _is_free(self, base: str) -> bool:
        key = same_file_key(base)
        if key in self._taken:
            return False
        # `a.jpg` in one folder, and pictures in a folder `a.png` beside it: no file can have a folder's name.
        if any(f"{key}{ending}" in self._folders for ending in (".png", ".json")):
            return False
        folders = [folder for folder in _folders(base) if folder.endswith((".png", ".json"))]
        return not any(folder.rpartition(".")[0] in self._taken for folder in folders)


def named(dataset: Dataset) -> Names:
    """Choose names for the results of all pictures, and note them in the dataset, so that they stay."""
    names = Names(dataset.pictures.values())
    for record in list(dataset.pictures.values()):
        if record.files != names.base(record.name):
            dataset.pictures[record.name] = replace(record, files=names.base(record.name))
    return names


class ResultFolder:
    """A folder of results: it overwrites and removes only files that its own list names.

    The list is written before the files are, so that what a killed process leaves is known too.
    """

    def __init__(self, folder: Path, before: Iterable[str] = ()) -> None:
        """Read the list.

        Args:
            folder: made with the first file.
            before: names of files that count as listed where there is no list and the files are there.

        Raises:
            AnnotationError: the list is damaged.
        """
        self.folder = folder
        self._list = folder / RESULTS_FILE
        self.is_new = not self._list.is_file()
        found = [name for name in before if (folder / name).is_file()] if self.is_new else _read(self._list)
        self._files = {same_file_key(name): name for name in found}
        self._written = set() if self.is_new else set(found)

    def announce(self, names: Iterable[str]) -> None:
        """Put files that are about to be written into the list; those that somebody else has put there are not ours.

        Raises:
            Inter2FormerError, OSError: the list cannot be written.
        """
        for name in names:
            key = same_file_key(name)
            if key not in self._files and not os.path.lexists(self.folder / name):
                self._files[key] = name
        self._save()

    def write(self, name: str, content: bytes) -> Path:
        """Write an announced file.

        Returns:
            Its path.

        Raises:
            Inter2FormerError, OSError: it cannot be written, or something is there that is not ours.
        """
        path, key = self.folder / name, same_file_key(name)
        if key == RESULTS_FILE:
            raise Inter2FormerError(f"{path}: the name of this folder's list, so no picture's result can have it")
        if key not in self._files:
            if not path.is_file() or path.stat().st_size != len(content) or path.read_bytes() != content:
                raise Inter2FormerError(
                    f"{path}: not written by `inter2former annotate`, so it is left as it is; move it away, or choose "
                    "another folder with --out"
                )
            self._files[key] = name
        save(path, content)
        before = self.folder / self._files[key]
        if before.name != path.name and before.is_file() and not before.samefile(path):
            before.unlink()  # the same name in other letters, on a system that tells them apart
        self._files[key] = name
        return path

    def keep_only(self, names: Collection[str]) -> tuple[int, list[str]]:
        """Remove the listed files that are not among `names`, and folders that are empty then.

        Returns:
            How many went, and which could not go and why, a line each.

        Raises:
            Inter2FormerError, OSError: the list cannot be written.
        """
        kept = {same_file_key(name) for name in names}
        removed, failed = 0, []
        for key in sorted(self._files.keys() - kept):
            path = self.folder / self._files[key]
            try:
                if path.is_file() and path.resolve().parent.is_relative_to(self.folder.resolve()):
                    path.unlink()
                    removed += 1
                    _remove_empty(path.parent, self.folder)
            except OSError as error:
                failed.append(f"{path}: cannot be removed ({error.strerror or error})")
                continue
            del self._files[key]
        self._save()
        return removed, failed

    def _save(self) -> None:
        files = set(self._files.values())
        if files != self._written or (self.is_new and self.folder.exists()):
            save(self._list, results_file("annotate", files))
            self._written, self.is_new = files, False


def _read(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _MAX_LIST_BYTES:
            raise ValueError("too long")
        content = json.loads(path.read_text(encoding="utf-8"))
        names = content["files"]
        if not isinstance(names, list) or not all(isinstance(name, str) and is_storable(name) for name in names):
            raise ValueError("files: expected names of files in this folder")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise AnnotationError(
            f"{path}: not the list of our files that it should be ({error}); move the folder away to have it made anew"
        ) from error
    return names


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and folder.is_relative_to(root):
        try:
            folder.rmdir()
        except OSError:
            return  # there is something in it
        folder = folder.parent


def _folders(base: str) -> list[str]:
    return [same_file_key(parent.as_posix()) for parent in PurePosixPath(base).parents if parent.name]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
