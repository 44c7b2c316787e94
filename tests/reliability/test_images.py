"""A corpus of odd image files through the reader and the command line, and the limit on an image's size."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inter2former_onnx import cli
from inter2former_onnx.errors import ArgumentError, ImageError
from inter2former_onnx.images import read_image
from support.fake_bundle import write_fake_bundle
from support.files import write_anew
from support.fuzzing import fuzz
from support.tried import tried

SIZE = (21, 13)  # width, height


def picture(mode: str) -> Image.Image:
    width, height = SIZE
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 12, y * 19, (x + y) * 7], axis=2).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(mode: str, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture(mode).save(stream, kind, **options)
    return stream.getvalue()


def animation(kind: str) -> bytes:
    stream = io.BytesIO()
    frames = [picture("RGB"), picture("RGB").rotate(180), picture("RGB").resize((5, 5)).resize(SIZE)]
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:], duration=10)
    return stream.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A PNG of some bytes whose header says that size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


READ = {
    "cmyk.jpg": encoded("CMYK", "JPEG"),
    "cmyk.tif": encoded("CMYK", "TIFF"),
    "ycbcr.jpg": encoded("RGB", "JPEG", subsampling=2),
    "lab.tif": encoded("LAB", "TIFF"),
    "palette.png": encoded("P", "PNG"),
    "palette.gif": encoded("P", "GIF"),
    "palette.bmp": encoded("P", "BMP"),
    "one-bit.png": encoded("1", "PNG"),
    "one-bit.tif": encoded("1", "TIFF"),
    "fax.tif": encoded("1", "TIFF", compression="group4"),
    "grey-alpha.png": encoded("LA", "PNG"),
    "alpha.webp": encoded("RGBA", "WEBP"),
    "animated.gif": animation("GIF"),
    "animated.png": animation("PNG"),
    "animated.webp": animation("WEBP"),
    "pages.tif": animation("TIFF"),
    "progressive.jpg": encoded("RGB", "JPEG", progressive=True),
    "a-png.jpg": encoded("RGB", "PNG"),
    "a-jpeg.png": encoded("RGB", "JPEG"),
    "without-suffix": encoded("RGB", "PNG"),
    "more-behind.png": encoded("RGB", "PNG") + b"trailing" * 99,
    "portable.ppm": encoded("RGB", "PPM"),
    "icon.ico": encoded("RGB", "ICO", sizes=[SIZE]),
}
REFUSED = {
    "empty.jpg": b"",
    "one-byte.png": b"\x89",
    "text.png": b"this is text",
    "page.jpg": b"<!DOCTYPE html><img src=x>",
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
    "zip.png": b"PK\x05\x06" + bytes(18),
    "program.jpg": b"\x7fELF" + bytes(200),
    "not-numpy.npy": encoded("RGB", "PNG"),
    "bomb.png": claiming(60_000, 60_000),
    "line.png": claiming(2**31 - 1, 1),
    "no-pixels.png": claiming(0, 7),
    "cut.png": encoded("RGB", "PNG")[:-80],
    "cut.jpg": encoded("RGB", "JPEG")[:300],
    "float.tif": encoded("F", "TIFF"),
}


@pytest.mark.parametrize("name", READ)
def test_odd_files_give_a_picture(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(READ[name])
    found = read_image(tmp_path / name)
    assert found.shape == (SIZE[1], SIZE[0], 3) and found.dtype == np.uint8 and found.flags.c_contiguous
    if "one-bit" not in name and "fax" not in name and name != "lab.tif":
        # Colours suffer from palettes, printing inks and lossy compression, but the picture is the same.
        rgb = np.asarray(picture("RGB" if "grey" not in name else "L").convert("RGB")).astype(int)
        assert np.abs(found - rgb).mean() < 25


@pytest.mark.parametrize("name", REFUSED)
def test_other_files_are_refused_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    path.write_bytes(REFUSED[name])
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    bundle = write_fake_bundle(tmp_path / "bundle")
    out = tmp_path / "out.png"
    assert cli.main(["segment", str(path), "--bundle", str(bundle), "--click", "1,1", "--out", str(out)]) == 8
    said = capsys.readouterr().err
    assert said.startswith(f"inter2former: error: {path}: ") and said.count("\n") == 1
    assert not out.exists()


def test_the_limit_is_adjustable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower, and (what Pillow would refuse by itself) higher; anything but a number is said to be none."""
    path, count = tmp_path / "a.png", SIZE[0] * SIZE[1]
    path.write_bytes(encoded("RGB", "PNG"))
    np.save(tmp_path / "a.npy", np.asarray(picture("RGB")))
    for place in (path, tmp_path / "a.npy"):
        monkeypatch.setenv("INTER2FORMER_MAX_PIXELS", str(count - 1))
        with pytest.raises(ImageError, match=rf"21 x 13 pixels, more than the {count - 1} that are read"):
            read_image(place)
        monkeypatch.setenv("INTER2FORMER_MAX_PIXELS", str(count))
        assert read_image(place).shape == (13, 21, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's limit, restored afterwards
    assert read_image(path).shape == (13, 21, 3)
    for text in ("0", "-5", "1e9", "many", "9" * 40, " 7"):
        monkeypatch.setenv("INTER2FORMER_MAX_PIXELS", text)
        with pytest.raises(ArgumentError, match="INTER2FORMER_MAX_PIXELS=.*: expected a whole number of pixels"):
            read_image(path)


FILES = sorted({**READ, **{name: REFUSED[name] for name in ("bomb.png", "cut.jpg", "float.tif")}})


@fuzz(300)
@given(
    st.sampled_from(FILES), st.integers(0, 10**9), st.binary(max_size=24), st.sampled_from(["cut", "write", "insert"])
)
def test_any_damage_gives_a_picture_or_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, position: int, noise: bytes, kind: str
) -> None:
    """Mutations of the whole corpus, with a limit that keeps what they claim small."""
    monkeypatch.setenv("INTER2FORMER_MAX_PIXELS", "1000000")
    tried()
    data = {**READ, **REFUSED}[name]
    position %= len(data) + 1
    after = {"cut": b"", "write": noise + data[position + len(noise) :], "insert": noise + data[position:]}[kind]
    path = tmp_path / f"mutated{Path(name).suffix}"
    write_anew(path, data[:position] + after)
    try:
        found = read_image(path)
    except ImageError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3 and found.size <= 3_000_000
