"""Bundles whose files are links: as model hubs' caches, Kubernetes mounts and stores of data versions lay them out."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inter2former_onnx.errors import BundleError
from inter2former_onnx.runtime import Segmenter
from inter2former_onnx.runtime.bundle import check_files, read_manifest, shipped_bundle
from support.files import write_anew

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")

Layout = Callable[[Path], Path]
IMAGE = np.random.default_rng(8).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def files() -> list[Path]:
    """The shipped bundle's, of which one is external data."""
    found = [path for path in shipped_bundle().iterdir() if path.is_file()]
    assert "encoder.onnx.data" in {path.name for path in found}
    return found


def hub(root: Path) -> Path:
    """A snapshot of links into one folder of blobs, named by their sums."""
    blobs, snapshot = root / "models--x" / "blobs", root / "models--x" / "snapshots" / "0123abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in files():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, blobs / digest)
        (snapshot / path.name).symlink_to(f"../../blobs/{digest}")
    return snapshot


def kubernetes(root: Path) -> Path:
    """Links through a link to a hidden folder, which is exchanged when the volume changes."""
    folder = root / "mount"
    shutil.copytree(shipped_bundle(), folder / "..2026_11_27", ignore=shutil.ignore_patterns(".cache"))
    (folder / "..data").symlink_to("..2026_11_27")
    for path in files():
        (folder / path.name).symlink_to(f"..data/{path.name}")
    return folder


def store(root: Path) -> Path:
    """Each file in a folder of its own, as DVC and git-annex do."""
    folder = root / "checkout"
    folder.mkdir()
    for path in files():
        place = root / "store" / hashlib.sha256(path.read_bytes()).hexdigest()[:4]
        place.mkdir(parents=True)
        shutil.copy(path, place / "content")
        (folder / path.name).symlink_to(place / "content")
    return folder


def data_elsewhere(root: Path) -> Path:
    """Only the weights lie on another disk."""
    folder = Path(shutil.copytree(shipped_bundle(), root / "bundle", ignore=shutil.ignore_patterns(".cache")))
    (root / "disk").mkdir()
    (folder / "encoder.onnx.data").rename(root / "disk" / "weights")
    (folder / "encoder.onnx.data").symlink_to(root / "disk" / "weights")
    return folder


def within(root: Path) -> Path:
    """Links to names beside them, and the folder itself a link."""
    folder = Path(shutil.copytree(shipped_bundle(), root / "bundle", ignore=shutil.ignore_patterns(".cache")))
    (folder / "decoder.onnx").rename(folder / "blob")
    (folder / "decoder.onnx").symlink_to("blob")
    (root / "linked").symlink_to(folder, target_is_directory=True)
    return root / "linked"


LAYOUTS = [hub, kubernetes, store, data_elsewhere, within]


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_links_are_read_wherever_they_lead(
    layout: Layout, cached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTER2FORMER_CACHE", str(tmp_path / "cache") if cached else "off")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = layout(tmp_path)
    manifest = read_manifest(folder)
    check_files(folder, manifest, manifest.files)
    expected = Segmenter(threads=1).encode(IMAGE).session().click(30, 30)
    for _ in range(2 if cached else 1):  # from the graph, and from its optimised form
        mask = Segmenter(folder, threads=1).encode(IMAGE).session().click(30, 30)
        np.testing.assert_array_equal(mask, expected)
    assert not list(tmp_path.glob("inter2former-*"))  # what was brought together is gone


@pytest.mark.parametrize("layout", [hub, store])
def test_what_a_link_leads_to_is_checked(layout: Layout, tmp_path: Path) -> None:
    """Its size when the bundle is opened, its sum when the graph is."""
    folder = layout(tmp_path)
    content = (folder / "decoder.onnx").resolve()
    whole = content.read_bytes()
    for damaged, said in (
        (whole[:-1], "decoder.onnx: .* truncated, or of another bundle"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "decoder.onnx: altered"),
    ):
        write_anew(content, damaged)
        with pytest.raises(BundleError, match=said):
            Segmenter(folder, threads=1)


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    folder = hub(tmp_path)
    path = folder / "decoder.onnx"
    for target, said in (
        ("../../blobs/gone", r"decoder\.onnx: a link to '../../blobs/gone', which is missing; manifest\.json lists it"),
        ("decoder.onnx", r"decoder\.onnx: cannot be read"),  # in a circle
        (str(tmp_path), r"decoder\.onnx: not a file"),
        ("/dev/zero", r"decoder\.onnx: not a file"),
    ):
        path.unlink()
        path.symlink_to(target)
        with pytest.raises(BundleError, match=said):
            Segmenter(folder, threads=1)
