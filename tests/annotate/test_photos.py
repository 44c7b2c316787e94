"""Pictures for the annotation page: which are offered, and that the browser sees what the model sees."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inter2former_onnx.annotate import photos as module
from inter2former_onnx.annotate.photos import Gallery, Photo
from inter2former_onnx.errors import ImageError

PIXELS = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def write(path: Path, mode: str = "RGB", **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, PIXELS)
    else:
        Image.fromarray(PIXELS).convert(mode).save(path, **options)
    return path


def test_pictures_of_a_folder_in_the_order_people_count(tmp_path: Path) -> None:
    for name in ("b10.png", "b9.PNG", "a.jpg", "sub/c.webp", ".hidden/d.png", ".e.png", "out/masks/f.png"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    gallery = Gallery.open(tmp_path, without=tmp_path / "out")
    assert [photo.name for photo in gallery.photos] == ["a.jpg", "b9.PNG", "b10.png", "sub/c.webp"]


def test_skipped_pictures_are_counted_by_kind(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jfif", "c.gif", "sub/d.JPG"):
        write(tmp_path / name)
    for name in ("e.heic", "f.NEF", "sub/g.heic", "notes.txt", ".h.heic"):
        (tmp_path / name).write_bytes(b"x")
    gallery = Gallery.open(tmp_path)
    assert [photo.name for photo in gallery.photos] == ["a.jpg", "b.jfif", "c.gif", "sub/d.JPG"]
    (line,) = gallery.left_out
    assert line.startswith("skipped 2 .heic, 1 .nef")


def test_one_photograph(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png")
    write(tmp_path / "b.png")
    gallery = Gallery.open(path)
    assert gallery.root == tmp_path.resolve() and [photo.name for photo in gallery.photos] == ["a.png"]


def test_links_are_followed_or_told(tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere" / "x.png")
    inside = write(tmp_path / "pictures" / "a.png")
    (tmp_path / "pictures" / "out.png").symlink_to(elsewhere)
    (tmp_path / "pictures" / "in.png").symlink_to(inside)
    (tmp_path / "pictures" / "nowhere.png").symlink_to(tmp_path / "missing.png")
    (tmp_path / "pictures" / "round.png").symlink_to(tmp_path / "pictures" / "round.png")
    (tmp_path / "pictures" / "folder").symlink_to(tmp_path)
    gallery = Gallery.open(tmp_path / "pictures")
    assert [photo.name for photo in gallery.photos] == ["a.png", "in.png", "out.png"]
    for photo in gallery.photos:
        assert photo.size() == (30, 20)
        np.testing.assert_array_equal(photo.pixels(), PIXELS)
    assert gallery.left_out == ("3 links left out, to folders or to nothing: folder, nowhere.png, round.png",)


def test_a_folder_that_became_a_link_leads_nowhere(tmp_path: Path) -> None:
    write(tmp_path / "pictures" / "sub" / "a.png")
    write(tmp_path / "elsewhere" / "a.png")
    (photo,) = Gallery.open(tmp_path / "pictures").photos
    (tmp_path / "pictures" / "sub").rename(tmp_path / "old")
    (tmp_path / "pictures" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ImageError, match="no longer a file"):
        photo.pixels()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_cannot_be_stored_are_told(tmp_path: Path) -> None:
    names = ["caf\udce9.png", "c:1.png", "C:\\x.png", "a\\..\\b.png", "good.png", "ü\n\x1b[31m.png"]
    for name in names:
        write(tmp_path / name)
    gallery = Gallery.open(tmp_path)
    assert [photo.name for photo in gallery.photos] == ["good.png", "ü\n\x1b[31m.png"]
    (said,) = gallery.left_out
    assert said.startswith("4 pictures left out, the name is not UTF-8, or reads as a path")
    assert all(name in said for name in (r"caf\xe9.png", "c:1.png", "C:\\x.png"))
    with pytest.raises(ImageError, match="not UTF-8"):
        Gallery.open(tmp_path / names[0])


@pytest.mark.parametrize("name", ["../secret.png", "sub/../../secret.png", "a.png/x.png"])
def test_a_photo_never_leads_out(tmp_path: Path, name: str) -> None:
    write(tmp_path / "secret.png")
    write(tmp_path / "pictures" / "a.png")
    with pytest.raises(ImageError, match="no longer a file"):
        Photo((tmp_path / "pictures").resolve(), name).pixels()


@pytest.mark.parametrize(
    "name, said", [("missing", "no such photograph"), (".", "no pictures"), ("a.txt", "not an image")]
)
def test_nothing_to_annotate(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ImageError, match=said):
        Gallery.open(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_the_browser_sees_upright_pictures(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == ".webp" else {}
    write(tmp_path / f"a{suffix}", exif=exif, **options)
    photo = Photo(tmp_path.resolve(), f"a{suffix}")
    pixels = photo.pixels()
    content, kind = photo.for_browser()
    with Image.open(io.BytesIO(content)) as shown:
        assert kind == f"image/{shown.format.lower()}"  # type: ignore[union-attr]
        assert shown.getexif().get(0x0112, 1) == 1  # or the browser would turn it once more
        np.testing.assert_array_equal(np.asarray(shown.convert("RGB")), pixels)
    assert photo.size() == (pixels.shape[1], pixels.shape[0])


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "LA", "1", "I;16"])
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_every_kind_is_shown_as_it_is_read(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if mode == "I;16":
        Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
        write(tmp_path / "a.npy")
    elif mode == "RGBA":
        Image.fromarray(np.dstack((PIXELS, PIXELS[:, :, 0]))).save(tmp_path / "a.png")
        write(tmp_path / "a.npy")
    else:
        write(path, mode)
    photo = Photo(tmp_path.resolve(), path.name)
    content, kind = photo.for_browser()
    assert kind == "image/png"
    with Image.open(io.BytesIO(content)) as shown:
        np.testing.assert_array_equal(np.asarray(shown.convert("RGB")), photo.pixels())
    small, kind = photo.thumbnail()
    assert kind == "image/jpeg" and Image.open(io.BytesIO(small)).size == (30, 20)


def test_a_jpeg_that_lies_on_its_side(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    large = np.kron(PIXELS, np.ones((40, 40, 1), np.uint8))
    Image.fromarray(large).save(tmp_path / "a.jpg", exif=exif, quality=95)
    photo = Photo(tmp_path.resolve(), "a.jpg")
    content, kind = photo.for_browser()
    assert kind == "image/jpeg" and photo.size() == (800, 1200)
    shown = np.asarray(Image.open(io.BytesIO(content))).astype(int)
    assert abs(shown - photo.pixels()).mean() < 8  # encoded a second time
    assert Image.open(io.BytesIO(photo.thumbnail()[0])).size == (160, 240)


def test_files_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.png")
    photo = Photo(tmp_path.resolve(), "a.png")
    monkeypatch.setenv("INTER2FORMER_MAX_PIXELS", "599")
    with pytest.raises(ImageError, match="more than the 599"):
        photo.size()
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 10)
    with pytest.raises(ImageError, match="more than the 10"):
        photo.for_browser()


@pytest.mark.parametrize("colour", [False, True])
def test_12_bits_of_16_are_shown_by_their_range(tmp_path: Path, colour: bool) -> None:
    values = np.linspace(0, 4095, 20 * 30).astype(np.uint16).reshape(20, 30)
    cv2 = pytest.importorskip("cv2")
    assert cv2.imwrite(str(tmp_path / "a.png"), np.dstack([values] * 3) if colour else values)
    photo = Photo(tmp_path, "a.png")
    expected = np.repeat(np.rint(values * (255 / 4095))[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(photo.pixels(), expected)
    shown = Image.open(io.BytesIO(photo.for_browser()[0]))
    np.testing.assert_array_equal(np.asarray(shown.convert("RGB")), expected)
    assert np.asarray(Image.open(io.BytesIO(photo.thumbnail()[0]))).max() > 240
    assert photo.note() == "of 16 bits (0 to 65535) it uses 0 to 4095, and is shown by that range"
    assert Photo(tmp_path, write(tmp_path / "b.png").name).note() == ""
