"""Bundles and encoded images mutated as a forger would: in several places, with sums that agree again."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inter2former_onnx import Segmenter
from inter2former_onnx.errors import BundleError, EmbeddingError, Inter2FormerError
from support.fake_bundle import bundle_id, write_fake_bundle
from support.files import write_anew
from support.fuzzing import fuzz
from support.tried import tried

NASTY = [
    None, True, -1, 0, 1, 7, 8191, 1 << 31, 1 << 63, -(1 << 63), 10**400, 1e308, -0.0, 0.5, "", "x", "encoder.onnx",
    "../encoder.onnx", "/etc/passwd", "manifest.json", "a" * 5000, "\0", "\u202e", "\ud800", [], {}, [[]], [0] * 999,
    {"": {}}, "fit", "square", "float32", "rows", "native",
]  # fmt: skip


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_bundle(tmp_path_factory.mktemp("files") / "bundle")


def places(value: object) -> list[tuple[object, object]]:
    """Every (container, key) of a JSON document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, child in children for place in [(value, key), *places(child)]]


STEPS = st.lists(
    st.tuples(st.sampled_from(["value", "delete", "copy", "swap", "rename"]), *[st.integers(0, 10**6)] * 2),
    min_size=1,
    max_size=6,
)


@fuzz(250)
@given(STEPS)
def test_mutated_manifests(intact: Path, steps: list[tuple[str, int, int]]) -> None:
    """Values set, deleted, copied, exchanged and renamed at several places: a bundle that works, or BundleError."""
    tried()
    document = json.loads((intact / "manifest.json").read_text())
    for kind, first, second in steps:
        found = places(document)
        if not found:
            break
        (container, key), (other, name) = found[first % len(found)], found[second % len(found)]
        if kind == "value":
            container[key] = copy.deepcopy(NASTY[second % len(NASTY)])  # type: ignore[index]
        elif kind == "delete":
            del container[key]  # type: ignore[attr-defined]
        elif kind == "copy":
            container[key] = json.loads(json.dumps(other[name]))  # type: ignore[index]
        elif kind == "swap":
            values = json.loads(json.dumps([container[key], other[name]]))  # type: ignore[index]
            container[key], other[name] = values[1], values[0]  # type: ignore[index]
        elif isinstance(container, dict):
            container[str(NASTY[second % len(NASTY)])] = container.pop(key)
    if isinstance(document.get("files"), dict):
        with contextlib.suppress(TypeError, KeyError, UnicodeEncodeError):
            document["id"] = bundle_id(document["files"])  # as a forger would
    folder = intact.parent / "mutated"
    folder.mkdir(exist_ok=True)
    for name in ("encoder.onnx", "prompt.onnx", "decoder.onnx"):
        if not (folder / name).exists():
            shutil.copy(intact / name, folder / name)
    write_anew(folder / "manifest.json", json.dumps(document).encode())
    try:
        mask = Segmenter(folder, threads=1).encode(np.zeros((30, 40, 3), np.uint8)).session().click(5, 5)
    except BundleError as error:
        assert "mutated" in str(error) and "\n" not in str(error)
    else:
        assert mask.shape == (30, 40)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5_000_000,
        '{"format": "inter2former-bundle", "format": "other"}',
        '{"format_version": ' + "1" * 5000 + "}",
        "\ufeff{}",
        "NaN",
        '"' + "\\ud800" * 10 + '"',
        "\0" * 4096,
    ],
)
def test_manifests_that_exhaust_readers(intact: Path, tmp_path: Path, text: str) -> None:
    folder = Path(shutil.copytree(intact, tmp_path / "bundle"))
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        Segmenter(folder, threads=1)
    assert len(str(caught.value)) < 2000 and "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_what_is_no_file_does_not_hang(intact: Path, tmp_path: Path) -> None:
    """A pipe or a device in a file's place would be waited for, or be read forever."""
    for number, name in enumerate(("manifest.json", "decoder.onnx")):
        folder = Path(shutil.copytree(intact, tmp_path / f"bundle{number}"))
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(BundleError, match=name):
            Segmenter(folder, threads=1)
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")
        with pytest.raises(BundleError, match=name):
            Segmenter(folder, threads=1)
        tried(2)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def segmenter(intact: Path) -> Segmenter:
    return Segmenter(intact, threads=1)


@pytest.fixture(scope="module")
def saved(segmenter: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "image.npz"
    segmenter.encode(np.arange(40 * 50 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 50, 3)).save(path)
    return path


NAMES = ["header.npy", "embed.npy", "../embed.npy", "embed.npy/", "EMBED.npy", "x" * 60000, "\u0661.npy"]


@fuzz(250)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "insert", "cut", "digits", "rename", "twice", "compress", "drop"]),
            st.integers(0, 10**6),
            st.binary(min_size=1, max_size=30),
        ),
        min_size=1,
        max_size=4,
    )
)
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_mutated_embeddings(
    segmenter: Segmenter, saved: Path, tmp_path: Path, steps: list[tuple[str, int, bytes]]
) -> None:
    """Members of the archive mutated and their checksums computed anew: an image that can be clicked, or a refusal."""
    tried()
    entries = [(name, data, zipfile.ZIP_STORED) for name, data in members(saved).items()]
    for kind, number, noise in steps:
        if not entries:
            break
        index = number % len(entries)
        name, data, method = entries[index]
        at = number % (min(len(data), 400) + 1)  # headers are where it hurts
        if kind == "write":
            data = data[:at] + noise + data[at + len(noise) :]
        elif kind == "insert":
            data = data[:at] + noise + data[at:]
        elif kind == "cut":
            data = data[:at]
        elif kind == "digits":
            digits = [place for place in range(len(data[:400])) if data[place : place + 1].isdigit()]
            if digits:
                place = digits[number % len(digits)]
                data = data[:place] + b"9" * (1 + number % 14) + data[place + 1 :]
        elif kind == "rename":
            name = NAMES[number % len(NAMES)]
        elif kind == "compress":
            method = zipfile.ZIP_DEFLATED
        entries[index] = (name, data, method)
        if kind == "twice":
            entries.append(entries[index])
        if kind == "drop":
            del entries[index]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data, method in entries:
            archive.writestr(name, data, method)
    path = tmp_path / "mutated.npz"
    write_anew(path, stream.getvalue())
    try:
        image = segmenter.load(path)
    except EmbeddingError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return
    try:
        mask = image.session().click(0, 0)
    except Inter2FormerError:
        return
    assert mask.shape == (image.height, image.width)


def test_embeddings_that_expand(segmenter: Segmenter, saved: Path, tmp_path: Path) -> None:
    """A zip bomb in an array's place, and a header that claims an image of terabytes: no memory is spent."""
    entries = members(saved)
    values = json.loads(np.load(io.BytesIO(entries["header.npy"])).tobytes())
    stream = io.BytesIO()
    np.save(stream, np.frombuffer(json.dumps({**values, "height": 1 << 24, "width": 1 << 24}).encode(), np.uint8))
    tracemalloc.start()
    try:
        for name, data, method in (
            ("embed.npy", bytes(200 << 20), zipfile.ZIP_DEFLATED),
            ("header.npy", bytes(200 << 20), zipfile.ZIP_DEFLATED),
            ("header.npy", stream.getvalue(), zipfile.ZIP_STORED),
        ):
            path = tmp_path / "bomb.npz"
            with zipfile.ZipFile(path, "w") as archive:
                for key, value in {**entries, name: data}.items():
                    archive.writestr(key, value, method if key == name else zipfile.ZIP_STORED)
            del data
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            try:
                image = segmenter.load(path)  # a claimed size changes no array in geometry `square`
                assert (image.height, image.width) == (1 << 24, 1 << 24)
            except EmbeddingError as error:
                assert str(path) in str(error)
            assert tracemalloc.get_traced_memory()[1] - before < 300 << 20
            tried()
    finally:
        tracemalloc.stop()


def test_header_of_many_digits_is_refused_at_once(segmenter: Segmenter, saved: Path, tmp_path: Path) -> None:
    """An expression that could match digits in many ways would try them all, for years."""
    path = tmp_path / "digits.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members(saved).items():
            shape = data.index(b"'shape': (") + len(b"'shape': (")
            archive.writestr(name, data[:shape] + b"1" * 40 + data[shape + 40 :] if name == "embed.npy" else data)
    with pytest.raises(EmbeddingError, match="does not begin like"):
        segmenter.load(path)
