"""Click masks in a browser: a page on this machine that shows photographs and saves COCO JSON and PNGs as you work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AnnotationError, ArgumentError, Inter2FormerError
from ..wording import counted, printable
from .arguments import add_engine_arguments

if TYPE_CHECKING:
    from ..annotate.photos import Gallery

HELP = "a page to click on: photographs -> COCO annotations"

EXIT_SOME_FAILED = Inter2FormerError.exit_code  # a result could not be written; each was named
_EXPORTS = ("coco", "png", "labelme")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    parser.add_argument("pictures", type=Path, metavar="PHOTO_OR_FOLDER", help="what to annotate")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="the folder of the annotations, gone on with if it is there (default: annotations/ beside the pictures)",
    )
    parser.add_argument(
        "--classes", type=_names, default=[], metavar="NAME,NAME", help="class names to begin with (more in the page)"
    )
    task = parser.add_mutually_exclusive_group()
    task.add_argument(
        "--export",
        choices=_EXPORTS,
        help="write files from what is annotated so far and end, without a page: coco (run-length code and polygons), "
        "png (indexed, and one for every object), labelme",
    )
    parser.add_argument(
        "--attach",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="give the annotations of a picture that is missing to another file (one that was only renamed is found by "
        "its content)",
    )
    task.add_argument(
        "--merge-conflicts",
        action="store_true",
        help="put the annotations of conflict files into coco.json, picture by picture, and end: nothing is lost, what "
        "differs is kept as two objects",
    )
    add_engine_arguments(parser)
    parser.add_argument(
        "--port", type=_port, metavar="N", help="port of the page (default: 8675, or any if that is taken)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="listen for other machines too: whoever knows the printed address can see the pictures and change "
        "annotations, and nothing is encrypted (default: 127.0.0.1, this machine only)",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the page's address, do not open it")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return its exit status."""
    from ..extras import require

    require("annotate")
    from ..annotate.conflicts import conflict_files
    from ..annotate.dataset import FILE_NAME
    from ..annotate.lock import FolderLock
    from ..annotate.photos import Gallery

    beside = args.pictures if args.pictures.is_dir() else args.pictures.parent
    out: Path = args.out if args.out is not None else beside / "annotations"
    gallery = Gallery.open(args.pictures, without=out)
    if args.merge_conflicts and args.attach:
        raise ArgumentError("--attach: goes with the page or --export, not with --merge-conflicts")
    if args.merge_conflicts or args.export is not None:
        if not (out / FILE_NAME).is_file() and not (args.merge_conflicts and conflict_files(out)):
            raise AnnotationError(f"{out / FILE_NAME}: nothing is annotated there")
        lock = FolderLock(out)
        try:
            return _merge(gallery, out) if args.merge_conflicts else _export(args.export, gallery, out, args.attach)
        finally:
            lock.release()

    from ..annotate.server import annotation_count, bind, page_address, serve
    from ..annotate.workspace import Workspace
    from .clicking import open_segmenter

    segmenter = open_segmenter(args.bundle, args.threads)
    listening = bind(args.host, args.port)
    workspace = Workspace(segmenter, gallery, out, args.classes, args.attach, page_address(listening, args.host))
    print(
        f"{counted(len(gallery.photos), 'picture')} in {printable(gallery.root)}; annotations in "
        f"{printable(workspace.out)}"
    )
    for line in workspace.notices:
        print(line)
    if "random_weights" in segmenter.manifest.source:
        print("this bundle holds random weights: the page works, the masks mean nothing")
    serve(workspace, listening, args.host, browser=not args.no_browser)
    objects, pictures, folder = annotation_count(workspace)
    print(
        f"{counted(objects, 'object')} in {counted(pictures, 'picture')}: {printable(folder / FILE_NAME)}"
        if objects
        else "nothing is annotated"
    )
    return 0


def _export(kind: str, gallery: Gallery, out: Path, attach: Sequence[str]) -> int:
    from ..annotate import dataset, exports
    from ..annotate.conflicts import conflict_notice
    from ..annotate.missing import attach_missing, missing_pictures
    from ..annotate.saver import save_now

    content = dataset.read(out, gallery.root, None)
    attached = attach_missing(content, gallery, attach)
    missing = missing_pictures(content, gallery.root)
    for line in (*attached.lines, *filter(None, [conflict_notice(out)])):
        print(line)
    if attached.names:
        save_now(out, content, attached.names, missing)
    done = exports.export(kind, content, out, gallery.root, missing)
    for path in done.written:
        print(f"wrote {printable(path)}")
    if done.removed:
        print(f"removed {counted(done.removed, 'file')} of earlier exports, which nothing annotated gives any more")
    return _failed(done.failed, "written")


def _merge(gallery: Gallery, out: Path) -> int:
    from ..annotate.conflicts import merge_conflicts, put_away
    from ..annotate.missing import missing_pictures
    from ..annotate.saver import save_now

    merge = merge_conflicts(out, gallery.root)
    if merge.merged:
        save_now(out, merge.dataset, merge.changed, missing_pictures(merge.dataset, gallery.root))
    for line in merge.lines:
        print(line)
    for path, place in zip(merge.merged, put_away(merge.merged), strict=True):
        print(f"merged {printable(path)}, kept as {place.name}")
    if not merge.merged and not merge.failed:
        print("there are no conflict files")
    return _failed(merge.failed, "merged")


def _failed(lines: Sequence[str], what: str) -> int:
    """Tell at the end what failed; the exit status for it."""
    for line in lines:
        print(f"failed: {printable(line)}", file=sys.stderr)
    if lines:
        print(f"{counted(len(lines), 'file')} could not be {what}", file=sys.stderr)
    return EXIT_SOME_FAILED if lines else 0


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 1 to 65535")
    return int(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
