"""Click masks in a browser: a page on this machine that shows photographs and saves COCO JSON and PNGs as you work."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import AnnotationError
from .arguments import add_engine_arguments

HELP = "a page to click on: photographs -> COCO annotations"

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
    parser.add_argument(
        "--export",
        choices=_EXPORTS,
        help="write files from what is annotated so far and end, without a page: coco (run-length code and polygons), "
        "png (indexed, and one for every object), labelme",
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
    from ..annotate.photos import Gallery

    beside = args.pictures if args.pictures.is_dir() else args.pictures.parent
    out: Path = args.out if args.out is not None else beside / "annotations"
    gallery = Gallery.open(args.pictures, without=out)
    if args.export is not None:
        return _export(args.export, gallery.root, out)

    from ..annotate.server import annotation_count, bind, serve
    from ..annotate.workspace import Workspace
    from .clicking import open_segmenter

    segmenter = open_segmenter(args.bundle, args.threads)
    listening = bind(args.host, args.port)
    workspace = Workspace(segmenter, gallery, out, args.classes)
    print(f"{len(gallery.photos)} pictures in {gallery.root}; annotations in {workspace.out}")
    for line in gallery.left_out:
        print(line)
    if "random_weights" in segmenter.manifest.source:
        print("this bundle holds random weights: the page works, the masks mean nothing")
    serve(workspace, listening, args.host, browser=not args.no_browser)
    objects, pictures, folder = annotation_count(workspace)
    print(f"{objects} objects in {pictures} pictures: {folder / 'coco.json'}" if objects else "nothing is annotated")
    return 0


def _export(kind: str, pictures: Path, out: Path) -> int:
    from ..annotate import dataset, exports

    if not (out / dataset.FILE_NAME).is_file():
        raise AnnotationError(f"{out / dataset.FILE_NAME}: nothing is annotated there")
    for path in exports.export(kind, dataset.read(out, pictures, None), out, pictures):
        print(f"wrote {path}")
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 1 to 65535")
    return int(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
