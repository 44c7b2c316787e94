"""The optimised encoder graph on disk: used when it is what it should be, made anew when not, never a failure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inter2former_onnx import Segmenter
from inter2former_onnx.errors import BundleError
from inter2former_onnx.runtime import graph as graph_module
from inter2former_onnx.runtime import graph_cache as module
from inter2former_onnx.runtime.files import FolderDraft
from inter2former_onnx.runtime.graph_cache import MODEL, WEIGHTS
from support.fake_bundle import write_fake_bundle

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 50, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def cache_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTER2FORMER_CACHE", "")


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_bundle(tmp_path_factory.mktemp("cache") / "bundle")


@pytest.fixture
def bundle(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "bundle"))


@pytest.fixture
def mini(mini_bundle: Path, tmp_path: Path) -> Path:
    """A bundle whose weights lie in a file of their own."""
    return Path(shutil.copytree(mini_bundle, tmp_path / "mini"))


def embedding(bundle: Path) -> np.ndarray:
    return Segmenter(bundle, threads=1).encode(IMAGE).arrays["embed"]


def entries(folder: Path) -> list[Path]:
    """All that is in a cache folder, unfinished things too."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The bundle's files that are read for loading graphs, from now on."""
    seen: list[str] = []
    check = graph_module.check_files

    def recorded(folder: Path, manifest: Any, names: list[str]) -> None:
        seen.extend(names)
        check(folder, manifest, names)

    monkeypatch.setattr(graph_module, "check_files", recorded)
    return seen


@pytest.mark.parametrize("ops", ["", "portable"])
def test_second_start_takes_the_optimised_graph(
    mini: Path, read_files: list[str], ops: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTER2FORMER_OPS", ops)
    first = embedding(mini)
    (entry,) = entries(mini / ".cache")
    assert {path.name for path in entry.iterdir()} == {MODEL, WEIGHTS, "entry.json"}
    assert "encoder.onnx" in read_files
    read_files.clear()
    np.testing.assert_array_equal(embedding(mini), first)
    assert not [name for name in read_files if name.startswith("encoder")]
    assert entries(mini / ".cache") == [entry]


def test_contents_are_compared_once_a_place(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the system vouches for the files they are not read; after a copy they are, once."""
    if not Path("/proc/sys/kernel/random/boot_id").exists():
        pytest.skip("no boot id: the contents are always compared")
    monkeypatch.setenv("INTER2FORMER_OPS", "portable")  # or the op library would be hashed too
    expected = embedding(bundle)
    hashed: list[str] = []
    sha256 = module.sha256_of
    monkeypatch.setattr(module, "sha256_of", lambda path: hashed.append(path.name) or sha256(path))
    np.testing.assert_array_equal(embedding(bundle), expected)
    assert hashed == []
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    for _ in range(2):
        np.testing.assert_array_equal(embedding(copy), expected)
    assert hashed == [MODEL]
    assert len(entries(copy / ".cache")) == 1


def flipped(path: Path) -> None:
    """One bit of a file, its times as before."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def record_of(entry: Path, **changes: object) -> None:
    path = entry / "entry.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: flipped(entry / MODEL),
        lambda entry: flipped(entry / WEIGHTS),
        lambda entry: os.truncate(entry / WEIGHTS, 1000),
        lambda entry: (entry / MODEL).unlink(),
        lambda entry: (entry / "entry.json").unlink(),
        lambda entry: (entry / "entry.json").write_text("{"),
        lambda entry: (entry / "entry.json").write_text("[]"),
        lambda entry: record_of(entry, files={}),
        lambda entry: record_of(entry, files=7),
        lambda entry: record_of(entry, key="another"),
    ],
)
def test_altered_entry_is_made_anew(mini: Path, read_files: list[str], damage: Callable[[Path], object]) -> None:
    expected = embedding(mini)
    (entry,) = entries(mini / ".cache")
    damage(entry)
    read_files.clear()
    np.testing.assert_array_equal(embedding(mini), expected)
    assert "encoder.onnx" in read_files
    read_files.clear()
    np.testing.assert_array_equal(embedding(mini), expected)
    assert "encoder.onnx" not in read_files
    assert entries(mini / ".cache") == [entry]


def test_entry_that_onnxruntime_refuses_is_made_anew(bundle: Path) -> None:
    """As whole as its record says, and still no graph."""
    expected = embedding(bundle)
    (entry,) = entries(bundle / ".cache")
    (entry / MODEL).write_bytes(b"\xff" * 99)
    record_of(entry, files={MODEL: module.sha256_of(entry / MODEL)}, stamp=None)
    np.testing.assert_array_equal(embedding(bundle), expected)
    assert entries(bundle / ".cache") == [entry] and (entry / MODEL).stat().st_size != 99


def test_another_version_machine_or_bundle_has_another_entry(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding(bundle)
    monkeypatch.setattr(module.ort, "__version__", "99.0")
    embedding(bundle)
    assert len(entries(bundle / ".cache")) == 2
    monkeypatch.setattr(module, "_machine", lambda: "another")
    embedding(bundle)
    assert len(entries(bundle / ".cache")) == 3
    monkeypatch.setattr(graph_module, "SESSION_CONFIG", {"session.intra_op.allow_spinning": "0"})
    embedding(bundle)
    assert len(entries(bundle / ".cache")) == 4
    other = write_fake_bundle(tmp_path / "other", size=64)
    shutil.copytree(bundle / ".cache", other / ".cache")
    embedding(other)
    assert len(entries(other / ".cache")) == 5


def test_places(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTER2FORMER_CACHE", "off")
    embedding(bundle)
    assert not (bundle / ".cache").exists()
    monkeypatch.setenv("INTER2FORMER_CACHE", str(tmp_path / "elsewhere"))
    embedding(bundle)
    assert not (bundle / ".cache").exists()
    assert len(entries(tmp_path / "elsewhere")) == 1
    # A bundle that cannot be written to.
    monkeypatch.setenv("INTER2FORMER_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)
    embedding(bundle)
    assert not (bundle / ".cache").exists()
    (folder,) = entries(tmp_path / "home" / "inter2former-onnx")
    assert len(entries(folder)) == 1 and Segmenter(bundle).manifest.id.startswith(folder.name)
    # The bundle that ships in the package: uninstalling must leave nothing.
    monkeypatch.undo()
    monkeypatch.setenv("INTER2FORMER_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home2"))
    monkeypatch.setattr(module, "__file__", str(tmp_path / "runtime" / "graph_cache.py"))
    embedding(bundle)
    assert not (bundle / ".cache").exists()
    assert len(entries(tmp_path / "home2" / "inter2former-onnx")) == 1


def draft_that_goes(place: Path) -> FolderDraft:
    draft = FolderDraft(place)
    draft.path.rmdir()
    return draft


def test_no_place_is_no_failure(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = embedding(bundle)
    shutil.rmtree(bundle / ".cache")
    (bundle / ".cache").write_text("a file")
    np.testing.assert_array_equal(embedding(bundle), expected)
    (bundle / ".cache").unlink()
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 100, 0))  # type: ignore[attr-defined]
        np.testing.assert_array_equal(embedding(bundle), expected)
    assert entries(bundle / ".cache") == []
    # The disk fills up, or goes, while the entry is written.
    with monkeypatch.context() as gone:
        gone.setattr(module, "FolderDraft", draft_that_goes)
        np.testing.assert_array_equal(embedding(bundle), expected)
    assert entries(bundle / ".cache") == []


def test_altered_bundle_is_refused_before_anything_is_kept(bundle: Path) -> None:
    flipped(bundle / "encoder.onnx")
    with pytest.raises(BundleError, match=r"encoder\.onnx: altered"):
        embedding(bundle)
    assert entries(bundle / ".cache") == []


def test_what_nobody_uses_is_removed(bundle: Path) -> None:
    folder = bundle / ".cache"
    old, recent = time.time() - 40 * 24 * 3600, time.time() - 24 * 3600
    for name, age in (("encoder-old", old), ("encoder-recent", recent), (".encoder-killed", old)):
        (folder / name).mkdir(parents=True)
        (folder / name / "entry.json").write_text("{}")
        os.utime(folder / name / "entry.json", (age, age))
        os.utime(folder / name, (age, age))
    (folder / ".encoder-running").mkdir()
    embedding(bundle)
    names = [path.name for path in entries(folder)]
    assert "encoder-recent" in names and ".encoder-running" in names and len(names) == 3


def test_processes_that_race(bundle: Path, tmp_path: Path) -> None:
    expected = embedding(bundle)
    shutil.rmtree(bundle / ".cache")
    np.save(tmp_path / "image.npy", IMAGE)
    code = (
        "import sys, numpy as np\n"
        "from inter2former_onnx import Segmenter\n"
        "image = Segmenter(sys.argv[1], threads=1).encode(np.load('image.npy'))\n"
        "np.save(sys.argv[2], image.arrays['embed'])"
    )
    command = [sys.executable, "-c", code, str(bundle)]
    running = [subprocess.Popen([*command, f"{index}.npy"], cwd=tmp_path) for index in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    for index in range(3):
        np.testing.assert_array_equal(np.load(tmp_path / f"{index}.npy"), expected)
    assert len(entries(bundle / ".cache")) == 1


def test_threads_that_race_over_an_altered_entry(bundle: Path) -> None:
    expected = embedding(bundle)
    (entry,) = entries(bundle / ".cache")
    flipped(entry / MODEL)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: embedding(bundle), range(8)):
            np.testing.assert_array_equal(found, expected)
    assert entries(bundle / ".cache") == [entry]


def test_clicks_need_no_encoder(bundle: Path, tmp_path: Path, read_files: list[str]) -> None:
    Segmenter(bundle, threads=1).encode(IMAGE).save(tmp_path / "image.npz")
    read_files.clear()
    segmenter = Segmenter(bundle, threads=1)
    assert segmenter.load(tmp_path / "image.npz").session().click(10, 20).any()
    assert sorted(set(read_files)) == ["decoder.onnx", "prompt.onnx"]
    assert segmenter._encoder.graph._session is None
