"""The format of a bundle: its manifest, read, checked and written, and the files it lists (docs/bundle.md)."""

from .files import check_files, side_by_side
from .manifest import (
    DECODER,
    ENCODER,
    FILE_NAME,
    GRAPHS,
    PROMPT,
    FileSpec,
    GeometrySpec,
    GraphSpec,
    Manifest,
    TensorSpec,
    bundle_id,
)
from .reading import parse_manifest, read_manifest
from .shipped import shipped_bundle

__all__ = [
    "DECODER",
    "ENCODER",
    "FILE_NAME",
    "GRAPHS",
    "PROMPT",
    "FileSpec",
    "GeometrySpec",
    "GraphSpec",
    "Manifest",
    "TensorSpec",
    "bundle_id",
    "check_files",
    "parse_manifest",
    "read_manifest",
    "shipped_bundle",
    "side_by_side",
]
