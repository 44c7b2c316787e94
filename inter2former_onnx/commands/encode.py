"""Encode a folder of images, once and for all clicks: PHOTO becomes PHOTO.npz, which `Segmenter.load` reads.

Images of subfolders go to subfolders of the same names. A file that is there already, whole, of this bundle and of
this image, is not made again, so an interrupted run goes on where it was. An image that cannot be read does not stop
the rest.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, EmbeddingError, ImageError, Inter2FormerError
from ..image_formats import READ_SUFFIXES
from ..picture_folder import find_pictures
from ..wording import printable
from .arguments import add_engine_arguments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tqdm import tqdm

    from ..runtime.bundle import Manifest

HELP = "a folder of images -> a folder of encoded images"

EXIT_SOME_FAILED = 13
_ABANDONED_SECONDS = 3600  # an unfinished file of this age was left by a killed process


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    kinds = ", ".join(READ_SUFFIXES)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help=f"images: {kinds} (.npy: uint8, RGB)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the encoded images")
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return its exit status."""
    from ..extras import missing, require
    from .clicking import open_segmenter

    images = _images(args.folder)
    if any(image.suffix.lower() != ".npy" for image in images):
        require("image", "PIL")
    _make_folder(args.out)
    _tidy(args.out)
    segmenter = open_segmenter(args.bundle, args.threads)
    job = _Job(args.folder, args.out, segmenter.manifest)
    encoded = 0
    with nullcontext() if missing("tqdm") else _bar(len(images)) as bar:
        for image in segmenter.encode_many(job.pixels(images)):
            target, source = job.waiting.popleft()
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                image.save(target, source)
            except OSError as error:
                # The next image would meet the same full or missing disk.
                raise Inter2FormerError(f"cannot write {target}: {error.strerror or error}") from error
            encoded += 1
            if bar is not None:
                bar.update(encoded + job.there + len(job.failed) - bar.n)
    for line in job.failed:
        print(f"failed: {printable(line)}", file=sys.stderr)
    print(f"{args.out}: {encoded} encoded, {job.there} there already, {len(job.failed)} failed")
    return EXIT_SOME_FAILED if job.failed else 0


def _bar(total: int) -> tqdm[Path]:
    from ..progress import progress

    return progress((), "encode", total=total)


class _Job:
    """What is known of the images so far. `pixels` runs in another thread than the rest, one image ahead."""

    def __init__(self, folder: Path, out: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.out = out
        self.manifest = manifest
        self.waiting: deque[tuple[Path, str]] = deque()  # target and source of the images on their way
        self.there = 0
        self.failed: list[str] = []

    def pixels(self, images: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
        """Yield the images that are to be encoded: uint8 [height, width, 3]."""
        from ..images import read_image
        from ..runtime.embedding_file import holds
        from ..runtime.files import sha256_of

        for path in images:
            target = self.out / path.parent.relative_to(self.folder) / f"{path.name}.npz"
            try:
                source = f"sha256 {sha256_of(path)}"
                if target.exists() and holds(target, self.manifest, source):
                    self.there += 1
                    continue
                pixels = read_image(path)
            except EmbeddingError as error:
                self.failed.append(f"{path}: its place is taken, and will not be written over: {error}")
                continue
            except (ImageError, OSError) as error:
                self.failed.append(str(error) if isinstance(error, ImageError) else f"{path}: {error.strerror}")
                continue
            self.waiting.append((target, source))
            yield pixels


def _images(folder: Path) -> list[Path]:
    """List the image files of a folder and its subfolders by their names, and say what was left out."""
    if not folder.is_dir():
        raise ImageError(f"{folder}: expected a folder of images, found {'a file' if folder.exists() else 'nothing'}")
    found = find_pictures(folder)
    if not found.names:
        raise ImageError("; ".join((f"{folder}: holds no image ({', '.join(READ_SUFFIXES)})", *found.left_out)))
    for line in found.left_out:
        print(line, file=sys.stderr)
    return [folder / name for name in found.names]


def _make_folder(out: Path) -> None:
    """Refuse before the work what could not be written after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".{time.time_ns()}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ArgumentError(f"cannot write to --out {out}: {error.strerror or error}") from error


def _tidy(out: Path) -> None:
    """Remove what a killed run left behind. The names are those of files.FileDraft."""
    for path in out.rglob(".*.npz.*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()
        except OSError:
            pass  # another process's, or gone
