"""Many images: `Segmenter.encode_many` and `inter2former encode`."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inter2former_onnx import EncodedImage, Segmenter, cli, errors
from inter2former_onnx.commands.encode import EXIT_SOME_FAILED
from inter2former_onnx.errors import ArgumentError, ImageError
from support.fake_bundle import edit_manifest, write_fake_bundle


@pytest.fixture(scope="module", params=["square", "fit"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_bundle(tmp_path_factory.mktemp("many") / "bundle", mode=request.param)


@pytest.fixture(scope="module")
def segmenter(bundle: Path) -> Segmenter:
    return Segmenter(bundle, threads=1)


def picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (40 + index, 70, 3), dtype=np.uint8)


def assert_same(found: EncodedImage, expected: EncodedImage) -> None:
    assert (found.height, found.width) == (expected.height, expected.width)
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_in_order(segmenter: Segmenter) -> None:
    encoded = list(segmenter.encode_many(picture(index) for index in range(5)))
    assert len(encoded) == 5
    for index, image in enumerate(encoded):
        assert_same(image, segmenter.encode(picture(index)))
    assert list(segmenter.encode_many([])) == []
    assert len(list(segmenter.encode_many([picture(1)]))) == 1


def test_fetches_one_image_ahead_and_no_more(segmenter: Segmenter) -> None:
    fetched: list[int] = []
    threads: set[int] = set()

    def images() -> Iterator[np.ndarray]:
        for index in range(6):
            fetched.append(index)
            threads.add(threading.get_ident())
            yield picture(index)

    stream = segmenter.encode_many(images())
    assert fetched == []
    for index, _ in enumerate(stream):
        deadline = time.monotonic() + 10
        while len(fetched) < min(index + 2, 6) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.005)
        assert len(fetched) == min(index + 2, 6)
    assert threading.get_ident() not in threads


def test_may_be_left_early(segmenter: Segmenter) -> None:
    blocked = threading.Event()

    def images() -> Iterator[np.ndarray]:
        yield picture(0)
        blocked.wait(20)  # a camera that has nothing yet
        yield picture(1)

    stream = segmenter.encode_many(images())
    next(stream)
    start = time.monotonic()
    stream.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 10
    blocked.set()


@pytest.mark.parametrize("wrong", [None, np.zeros((3, 4)), "photo.jpg"])
def test_a_wrong_image_ends_the_series_in_its_turn(segmenter: Segmenter, wrong: Any) -> None:
    stream = segmenter.encode_many([picture(0), wrong, picture(2)])
    assert_same(next(stream), segmenter.encode(picture(0)))
    with pytest.raises(ImageError, match="expected a uint8 array"):
        next(stream)
    assert list(stream) == []


def test_a_failing_source_fails_in_its_turn(segmenter: Segmenter) -> None:
    def images() -> Iterator[np.ndarray]:
        yield picture(0)
        raise KeyError("camera")

    stream = segmenter.encode_many(images())
    next(stream)
    with pytest.raises(KeyError, match="camera"):
        next(stream)


def test_source_of_a_saved_image(segmenter: Segmenter, tmp_path: Path) -> None:
    from inter2former_onnx.runtime.embedding_file import holds

    image, path = segmenter.encode(picture(0)), tmp_path / "image.npz"
    assert not holds(path, segmenter.manifest, "camera 1")
    image.save(path, "camera 1")
    assert_same(segmenter.load(path), image)
    assert holds(path, segmenter.manifest, "camera 1") and not holds(path, segmenter.manifest, "camera 2")
    path.write_bytes(path.read_bytes()[:-50])
    assert not holds(path, segmenter.manifest, "camera 1")
    for wrong in ("x" * 201, 7):
        with pytest.raises(ArgumentError, match="source: expected a text of at most 200 characters"):
            image.save(path, wrong)  # type: ignore[arg-type]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    for name, index in (("a.png", 1), ("b.JPG", 2), ("trip/a.png", 3)):
        Image.fromarray(picture(index)).save(folder / name)
    np.save(folder / "c.npy", picture(4))
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden.png").write_bytes(b"x")
    return folder


def encode(folder: Path, out: Path, bundle: Path) -> int:
    return cli.main(["encode", str(folder), "--out", str(out), "--bundle", str(bundle), "--threads", "1"])


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_folder_to_folder_and_again(
    photos: Path, bundle: Path, segmenter: Segmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "embeddings"
    assert encode(photos, out, bundle) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{out}: 4 encoded, 0 there already, 0 failed\n" and captured.err == ""
    assert files(out) == ["a.png.npz", "b.JPG.npz", "c.npy.npz", "trip/a.png.npz"]
    assert_same(segmenter.load(out / "trip" / "a.png.npz"), segmenter.encode(picture(3)))
    assert_same(segmenter.load(out / "c.npy.npz"), segmenter.encode(picture(4)))

    times = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    (out / "b.JPG.npz").write_bytes((out / "b.JPG.npz").read_bytes()[:1000])  # copied in part, say
    (out / "c.npy.npz").unlink()
    Image.fromarray(picture(5)).save(photos / "a.png")  # another image of that name
    assert encode(photos, out, bundle) == 0
    assert "3 encoded, 1 there already, 0 failed" in capsys.readouterr().out
    assert (out / "trip" / "a.png.npz").stat().st_mtime_ns == times["trip/a.png.npz"]
    assert segmenter.load(out / "a.png.npz").height == 45
    segmenter.load(out / "b.JPG.npz")


def test_pictures_of_every_kind_are_taken(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    kinds = (".avif", ".gif", ".jfif", ".jp2", ".pgm", ".ppm", ".tif")
    for suffix in kinds:
        Image.fromarray(picture(1)).convert("L").save(folder / f"a{suffix}")
    assert encode(folder, tmp_path / "out", bundle) == 0
    assert files(tmp_path / "out") == [f"a{suffix}.npz" for suffix in kinds]


def test_skipped_pictures_are_counted_by_kind(
    photos: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("x.HEIC", "y.heic", "trip/z.dng", ".hidden.heic"):
        (photos / name).write_bytes(b"x")
    assert encode(photos, tmp_path / "out", bundle) == 0
    assert capsys.readouterr().err == "skipped 2 .heic, 1 .dng (.heic is read where pillow-heif is installed)\n"
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "x.heic").write_bytes(b"x")
    assert encode(tmp_path / "phone", tmp_path / "out", bundle) == errors.ImageError.exit_code
    assert "holds no image (" in (said := capsys.readouterr().err) and "; skipped 1 .heic" in said


def test_links_and_own_results(bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same pictures as `annotate` takes: links to files, no walk through links, no masks of ours."""
    (photos / "linked.png").symlink_to(photos / "a.png")
    (photos / "round").symlink_to(photos)
    (photos / "annotations" / "masks").mkdir(parents=True)
    (photos / "annotations" / "coco.json").write_text('{"info": {"description": "annotated with inter2former annotate"')
    Image.fromarray(picture(1)).save(photos / "annotations" / "masks" / "a.png")
    assert encode(photos, tmp_path / "out", bundle) == 0
    assert files(tmp_path / "out") == ["a.png.npz", "b.JPG.npz", "c.npy.npz", "linked.png.npz", "trip/a.png.npz"]
    assert capsys.readouterr().err.splitlines() == [
        "1 link left out, to folders or to nothing: round",
        "1 folder of this program's results left out: annotations/masks",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    np.save(folder / "caf\udce9.npy", picture(1))
    (folder / "\x1b[2J\udce9.png").write_bytes(b"no image")
    assert encode(folder, tmp_path / "out", bundle) == EXIT_SOME_FAILED
    assert files(tmp_path / "out") == ["caf\udce9.npy.npz"]
    said = capsys.readouterr()
    assert r"\x1b[2J\xe9.png" in said.err and "\x1b" not in said.err and "1 encoded" in said.out


def test_another_bundle_makes_them_anew(
    photos: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode(photos, tmp_path / "out", bundle) == 0
    other = write_fake_bundle(tmp_path / "other", size=64)
    assert encode(photos, tmp_path / "out", other) == 0
    assert "4 encoded, 0 there already" in capsys.readouterr().out
    Segmenter(other, threads=1).load(tmp_path / "out" / "a.png.npz")


def test_failed_images_do_not_stop_the_rest(
    photos: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.jpg").write_bytes((photos / "b.JPG").read_bytes()[:200])
    np.save(photos / "floats.npy", np.zeros((4, 5, 3)))
    out = tmp_path / "out"
    out.mkdir()
    np.savez(out / "a.png.npz", precious=np.arange(3))
    for encoded, there in ((3, 0), (0, 3)):
        assert encode(photos, out, bundle) == EXIT_SOME_FAILED
        captured = capsys.readouterr()
        assert captured.out == f"{out}: {encoded} encoded, {there} there already, 3 failed\n"
        lines = captured.err.splitlines()
        assert len(lines) == 3 and all(line.startswith("failed: ") for line in lines)
        assert "a.png: its place is taken, and will not be written over" in lines[0]
        assert "broken.jpg" in lines[1] and "floats.npy" in lines[2]
    assert np.load(out / "a.png.npz")["precious"].tolist() == [0, 1, 2]
    assert files(out) == ["a.png.npz", "b.JPG.npz", "c.npy.npz", "trip/a.png.npz"]


def test_refused_before_any_work(
    photos: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for folder, out, error, said in [
        (tmp_path / "missing", tmp_path / "out", errors.ImageError, "expected a folder of images, found nothing"),
        (tmp_path / "file", tmp_path / "out", errors.ImageError, "found a file"),
        (tmp_path / "empty", tmp_path / "out", errors.ImageError, "holds no image"),
        (photos, tmp_path / "file" / "out", errors.ArgumentError, "cannot write to --out"),
        (photos, tmp_path / "file", errors.ArgumentError, "cannot write to --out"),
    ]:
        assert encode(folder, out, bundle) == error.exit_code
        text = capsys.readouterr().err
        assert said in text and text.count("\n") == 1
    assert encode(photos, tmp_path / "out", tmp_path / "no bundle") == errors.BundleError.exit_code
    assert not files(tmp_path / "out")


def test_disk_that_gives_out_stops_the_run(
    photos: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: EncodedImage, path: Path, source: str = "") -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EncodedImage, "save", full)
    assert encode(photos, tmp_path / "out", bundle) == errors.Inter2FormerError.exit_code
    assert "a.png.npz: No space left on device" in capsys.readouterr().err


def test_what_a_killed_run_left_is_removed(photos: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name, age in ((".a.png.npz.0123456789abcdef.tmp", 7200), (".b.JPG.npz.0123456789abcdef.tmp", 10)):
        (out / name).write_bytes(b"x")
        os.utime(out / name, (time.time() - age,) * 2)
    assert encode(photos, out, bundle) == 0
    assert not (out / ".a.png.npz.0123456789abcdef.tmp").exists()
    assert (out / ".b.JPG.npz.0123456789abcdef.tmp").exists()  # it may be another process's, at work


def test_a_graph_that_fails_is_no_image_failure(
    photos: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would fail for every image."""
    import shutil

    damaged = Path(shutil.copytree(bundle, tmp_path / "damaged"))
    (damaged / "encoder.onnx").write_bytes(b"\0" * (damaged / "encoder.onnx").stat().st_size)
    edit_manifest(damaged, routing="roi")
    assert encode(photos, tmp_path / "out", damaged) == errors.BundleError.exit_code
    assert "altered" in capsys.readouterr().err
