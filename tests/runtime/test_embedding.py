"""Encoded images on disk: round trips, other bundles' files, damaged and hostile ones."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inter2former_onnx.errors import EmbeddingError
from inter2former_onnx.runtime import EncodedImage, Segmenter, embedding_file
from support.fake_bundle import write_fake_bundle
from support.fuzzing import fuzz
from support.tried import tried

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter(write_fake_bundle(tmp_path_factory.mktemp("embedding") / "bundle"), threads=1)


@pytest.fixture(scope="module")
def saved(segmenter: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "image.npz"
    segmenter.encode(IMAGE).save(path)
    return path


def refused(segmenter: Segmenter, path: Path) -> str:
    with pytest.raises(EmbeddingError) as caught:
        segmenter.load(path)
    text = str(caught.value)
    assert "\n" not in text and path.name in text
    return text


def test_round_trip(segmenter: Segmenter, saved: Path) -> None:
    original = segmenter.encode(IMAGE)
    loaded = EncodedImage.load(saved, segmenter)
    assert (loaded.height, loaded.width) == (40, 70)
    assert loaded.arrays.keys() == original.arrays.keys()
    for name, array in original.arrays.items():
        assert loaded.arrays[name].dtype == np.float32
        np.testing.assert_array_equal(loaded.arrays[name], array)
    np.testing.assert_array_equal(loaded.session().click(3, 4), original.session().click(3, 4))


def test_numpy_reads_it_without_pickle(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["edge0", "embed", "header"]
        assert json.loads(arrays["header"].tobytes())["width"] == 70


def test_exactly_the_given_name_and_nothing_else(segmenter: Segmenter, tmp_path: Path) -> None:
    image = segmenter.encode(IMAGE)
    image.save(tmp_path / "name without suffix")
    image.save(str(tmp_path / "name without suffix"))  # replaces
    assert [path.name for path in tmp_path.iterdir()] == ["name without suffix"]
    segmenter.load(tmp_path / "name without suffix")


def test_failed_save_keeps_the_old_file(segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image.npz"
    segmenter.encode(IMAGE).save(path)
    before = path.read_bytes()

    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(embedding_file.npy, "write_array", full_disk)
    with pytest.raises(OSError, match="No space"):
        segmenter.encode(IMAGE).save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["image.npz"]


def test_another_bundles_file(segmenter: Segmenter, tmp_path: Path) -> None:
    other = Segmenter(write_fake_bundle(tmp_path / "other", size=64), threads=1)
    other.encode(IMAGE).save(tmp_path / "other.npz")
    assert "made by another bundle" in refused(segmenter, tmp_path / "other.npz")


def test_arrays_are_read_only(segmenter: Segmenter, saved: Path) -> None:
    for image in (segmenter.encode(IMAGE), segmenter.load(saved)):
        with pytest.raises(ValueError, match="read-only"):
            image.arrays["embed"][0, 0, 0] = 1.0
        with pytest.raises(TypeError):
            image.arrays["more"] = np.zeros(1)  # type: ignore[index]


def test_no_file(segmenter: Segmenter, tmp_path: Path) -> None:
    assert "No such file" in refused(segmenter, tmp_path / "missing.npz")
    assert "cannot be read" in refused(segmenter, tmp_path)


def rewrite(saved: Path, path: Path, change: Callable[[dict[str, bytes]], Any]) -> Path:
    """A copy of a saved file with its members changed."""
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def header_with(**changes: object) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        values = json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())
        values.update(changes)
        members["header.npy"] = npy(np.frombuffer(json.dumps(values).encode(), dtype=np.uint8))

    return change


def declared(shape: str) -> bytes:
    """An .npy file that declares a shape and holds nothing."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


EMBED = np.zeros((6, 6, 1), np.float32)


class Bomb:
    """Unpickling it would raise AssertionError; the test is that nothing does."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize(
    "change, part",
    [
        (lambda m: m.pop("embed.npy"), "embed.npy"),
        (lambda m: m.pop("header.npy"), "header.npy is missing"),
        (lambda m: m.update({"more.npy": npy(EMBED)}), "more.npy"),
        (lambda m: m.update({"embed.npy": npy(EMBED[:5])}), "embed: expected shape (6, 6, 1), found (5, 6, 1)"),
        (lambda m: m.update({"embed.npy": npy(EMBED.astype("f2"))}), "embed: expected <f4 in C order, found <f2"),
        (lambda m: m.update({"embed.npy": npy(EMBED.astype(">f4"))}), "found >f4"),
        (lambda m: m.update({"embed.npy": npy(np.asfortranarray(np.zeros((6, 6, 2), "f4")))}), "Fortran"),
        (lambda m: m.update({"embed.npy": npy(np.array([Bomb()], dtype=object))}), "embed"),
        (lambda m: m.update({"embed.npy": pickle.dumps(Bomb())}), "does not begin like an .npy array"),
        (lambda m: m.update({"embed.npy": b""}), "does not begin like"),
        (lambda m: m.update({"embed.npy": declared("(6, 6, 1)")}), "truncated: embed holds 0 of 144 bytes"),
        (lambda m: m.update({"embed.npy": declared("(99999999999, 99999999999)")}), "expected shape"),
        (lambda m: m.update({"embed.npy": declared("(-1,)")}), "does not begin like"),
        (lambda m: m.update({"embed.npy": declared("(__import__('os').getcwd(),)")}), "does not begin like"),
        (lambda m: m.update({"embed.npy": npy(EMBED) + b"x" * 20_000}), "bytes where at most"),
        (lambda m: m.update({"header.npy": npy(np.zeros(3, np.uint8))}), "its header is not JSON"),
        (lambda m: m.update({"header.npy": npy(np.frombuffer(b"[]", np.uint8))}), "does not say"),
        (lambda m: m.update({"header.npy": npy(np.zeros(1 << 17, np.uint8))}), "bytes where at most"),
        (header_with(format_version=2), "made by a newer inter2former-onnx"),
        (header_with(format="other"), "does not say 'inter2former-embedding'"),
        (header_with(height=0), "height: expected a whole number"),
        (header_with(width=1 << 40), "width: expected a whole number"),
        (header_with(bundle="0" * 64), "made by another bundle (000000000000"),
        (header_with(size=128), "made for geometry"),
    ],
)
def test_hostile_files(
    segmenter: Segmenter, saved: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], Any], part: str
) -> None:
    assert part in refused(segmenter, rewrite(saved, tmp_path / "hostile.npz", change))


def test_compressed_members_are_refused(segmenter: Segmenter, saved: Path, tmp_path: Path) -> None:
    with np.load(saved) as arrays:
        np.savez_compressed(tmp_path / "small.npz", **dict(arrays))
    assert "compressed" in refused(segmenter, tmp_path / "small.npz")


def test_duplicate_members_are_refused(segmenter: Segmenter, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.npz"
    path.write_bytes(saved.read_bytes())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("embed.npy", npy(EMBED))
    assert "embed.npy" in refused(segmenter, path)


def test_altered_data_fails_its_checksum(segmenter: Segmenter, saved: Path, tmp_path: Path) -> None:
    data = bytearray(saved.read_bytes())
    start = data.index(b"\x93NUMPY", data.index(b"embed.npy"))
    data[start + 200] ^= 0x40
    (tmp_path / "altered.npz").write_bytes(data)
    assert "damaged" in refused(segmenter, tmp_path / "altered.npz")


@fuzz(300)
@given(st.integers(0, 10**9), st.binary(min_size=1, max_size=40), st.sampled_from(["cut", "write", "insert"]))
def test_any_damage_is_refused_or_harmless(
    segmenter: Segmenter, saved: Path, tmp_path: Path, position: int, noise: bytes, kind: str
) -> None:
    tried()
    data = saved.read_bytes()
    position %= len(data)
    after = {"cut": b"", "write": noise + data[position + len(noise) :], "insert": noise + data[position:]}[kind]
    path = tmp_path / "noise.npz"
    path.write_bytes(data[:position] + after)
    original = segmenter.load(saved)
    try:
        loaded = segmenter.load(path)
    except EmbeddingError as error:
        assert "noise.npz" in str(error)
    else:  # the damage hit what carries no meaning, such as a time stamp
        for name, array in original.arrays.items():
            np.testing.assert_array_equal(loaded.arrays[name], array)
