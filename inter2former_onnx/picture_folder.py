"""Which pictures a folder holds: one reading for all commands.

* Pictures of subfolders belong to it. Files and folders whose names begin with a dot do not.
* Links to files are followed, wherever they lead. Links to folders are not, so no walk is endless; these and links to
  nothing are told.
* Folders of this program's own results are told and not looked into: their masks are not photographs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .image_formats import READ_SUFFIXES, skipped_kinds
from .wording import counted, listed

# In a folder of results: says whose they are and, where results come and go, lists them.
RESULTS_FILE = ".inter2former.json"
# Folders of results beside the COCO file of an annotation folder, which says so at its beginning. Older versions marked
# none.
ANNOTATION_FOLDERS = ("masks", "objects", "labelme")
COCO_FILE, COCO_DESCRIPTION = "coco.json", "annotated with inter2former annotate"
_BEGINNING = 200


@dataclass(frozen=True)
class PictureFolder:
    """The pictures of a folder.

    Attributes:
        root: the folder, without links in its path.
        names: of the pictures, their paths from `root` with slashes, in the order of their names.
        left_out: what was passed over and could have been meant, a line for each reason.
    """

    root: Path
    names: tuple[str, ...]
    left_out: tuple[str, ...]


def find_pictures(folder: Path, without: Path | None = None) -> PictureFolder:
    """List the pictures of a folder and of the folders in it.

    Args:
        folder: where to look; it may be a link.
        without: a folder in it that is passed over without a word.
    """
    root = folder.resolve()
    if os.path.isfile(root / RESULTS_FILE):
        return PictureFolder(root, (), ("it holds results of this program, not photographs",))
    silent = without.resolve() if without is not None else None
    names: list[str] = []
    links: list[str] = []
    results: list[str] = []
    unreadable: list[str] = []
    others: list[str] = []

    def note(error: OSError) -> None:
        unreadable.append(f"{_name(Path(error.filename), root)} ({error.strerror})")

    for here, folders, files in os.walk(root, onerror=note):
        place = Path(here)
        entered = []
        for name in folders:
            path = place / name
            if name.startswith(".") or path == silent:
                continue
            if _is_link(path):
                links.append(_name(path, root))
            elif is_results_folder(path):
                results.append(_name(path, root))
            else:
                entered.append(name)
        folders[:] = entered
        for name in files:
            path = place / name
            if name.startswith("."):
                continue
            if path.suffix.lower() not in READ_SUFFIXES:
                others.append(name)
                continue
            if os.path.isfile(path):
                names.append(_name(path, root))
            elif _is_link(path):
                links.append(_name(path, root))
    skipped = skipped_kinds(others)
    left_out = [skipped] if skipped else []
    if links:
        left_out.append(f"{counted(len(links), 'link')} left out, to folders or to nothing: {listed(sorted(links))}")
    if results:
        what = counted(len(results), "folder")
        left_out.append(f"{what} of this program's results left out: {listed(sorted(results))}")
    if unreadable:
        left_out.append(f"{counted(len(unreadable), 'folder')} cannot be read: {listed(sorted(unreadable))}")
    return PictureFolder(root, tuple(sorted(names, key=lambda name: name.split("/"))), tuple(left_out))


def is_results_folder(folder: Path) -> bool:
    """Tell whether a folder holds results of this program: masks, drawings. Photographs beside a COCO file are none."""
    if os.path.isfile(folder / RESULTS_FILE):
        return True
    if folder.name not in ANNOTATION_FOLDERS:
        return False
    try:
        with open(folder.parent / COCO_FILE, "rb") as stream:
            return COCO_DESCRIPTION.encode() in stream.read(_BEGINNING)
    except OSError:
        return False


def results_file(command: str, files: Iterable[str] = ()) -> bytes:
    """Write the content of RESULTS_FILE.

    Args:
        command: that writes the results.
        files: paths of the results, from the folder with slashes.
    """
    content: dict[str, Any] = {"written_by": f"inter2former {command}", "files": sorted(files)}
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")


def make_results_folder(folder: Path, command: str) -> None:
    """Make a folder for results if it is missing; one that was there may be somebody's pictures, and stays unmarked.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RESULTS_FILE).write_bytes(results_file(command))


def _is_link(path: Path) -> bool:
    is_junction = getattr(os.path, "isjunction", None)  # Windows, from Python 3.12 on
    return os.path.islink(path) or bool(is_junction is not None and is_junction(path))


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
