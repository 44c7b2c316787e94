"""A data folder as a few files: each shard holds the same share of every source, so that one alone trains well."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from ..runtime.files import write_file

INDEX = "index.json"


def write_shards(folder: Path, count: int) -> list[Path]:
    """Write a data folder's pictures and maps as `shard_1.zip`, ... in it.

    Args:
        folder: with index.json.
        count: of shards.

    Returns:
        The shards' paths.

    Raises:
        ArgumentError: fewer than one shard.
    """
    if count < 1:
        raise ArgumentError(f"--shards: expected 1 or more, found {count}")
    entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    seen: Counter[str] = Counter()
    parts: list[list[dict]] = [[] for _ in range(count)]
    for entry in entries:
        parts[seen[entry["source"]] % count].append(entry)
        seen[entry["source"]] += 1
    paths = []
    for number, part in enumerate(parts, start=1):
        paths.append(folder / f"shard_{number}.zip")
        # Pictures and maps are compressed already.
        with zipfile.ZipFile(paths[-1], "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(INDEX, json.dumps(part), zipfile.ZIP_DEFLATED)
            for name in (name for entry in part for name in (entry["image"], *entry["labels"])):
                archive.write(folder / name, name)
    return paths


def read_shards(shards: Sequence[Path], folder: Path) -> int:
    """Add shards to a data folder, which is made if need be; one that is there already changes nothing.

    Args:
        shards: that `write_shards` wrote.
        folder: to add them to.

    Returns:
        How many photographs the folder has now.

    Raises:
        ArgumentError: a file is missing or no shard, or the folder has another photograph of the same id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / INDEX
    known: dict[str, dict[str, Any]] = {}
    if path.is_file():
        try:
            known = {entry["id"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ArgumentError(f"{path} is not the index of a data folder: {error}") from None
    for shard in shards:
        try:
            with zipfile.ZipFile(shard) as archive:
                entries = {entry["id"]: entry for entry in json.loads(archive.read(INDEX))}
                for name, entry in entries.items():
                    if known.get(name, entry) != entry:
                        # The folder that was packed, most likely: its photographs stay as they are.
                        raise ArgumentError(f"{shard}: {folder} has another photograph {name!r}; use another folder")
                archive.extractall(folder, [name for name in archive.namelist() if name != INDEX])
        except ArgumentError:
            raise
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ArgumentError(f"{shard} is not a shard of a data folder: {error}") from None
        known.update(entries)
    write_file(path, lambda stream: stream.write(json.dumps(list(known.values())).encode()))
    return len(known)
