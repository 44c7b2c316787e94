"""Image files of every kind a person has lying about, and broken ones."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inter2former_onnx.errors import ImageError
from inter2former_onnx.image_formats import READ_SUFFIXES
from inter2former_onnx.images import MAX_PIXELS, read_image, read_stretched, used_range, write_image
from support.files import write_anew
from support.tried import tried

RNG = np.random.default_rng(3)
COLOURS = RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)
GREYS = RNG.integers(0, 256, (9, 14), dtype=np.uint8)


def png_bytes(rows: np.ndarray, bit_depth: int, colour_type: int) -> bytes:
    """A PNG file made by hand: Pillow cannot write 16-bit colour. `rows`: big-endian samples [height, width, ...]."""
    height, width = rows.shape[:2]

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_png_is_read_exactly(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    result = read_image(tmp_path / "a.png")
    assert result.dtype == np.uint8 and result.flags.c_contiguous
    np.testing.assert_array_equal(result, COLOURS)


def test_the_format_is_told_by_the_content_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg", "PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), COLOURS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_exif_orientation_puts_the_image_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    # Quadrants of four plain colours survive JPEG; the stored pixels are turned so that the tag turns them back.
    upright = np.zeros((32, 64, 3), np.uint8)
    upright[:16, :32], upright[:16, 32:] = (250, 0, 0), (0, 250, 0)
    upright[16:, :32], upright[16:, 32:] = (0, 0, 250), (250, 250, 250)
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    stored.save(tmp_path / f"a.{suffix}", exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {}))
    result = read_image(tmp_path / f"a.{suffix}")
    assert result.shape == upright.shape
    assert np.abs(result.astype(int) - upright).max() < 12


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)

# A stand-in for pillow-heif, whose pictures are 3 x 2 pixels of red.
PILLOW_HEIF = """
from PIL import Image, ImageFile

class File(ImageFile.ImageFile):
    format = "HEIF"
    def _open(self):
        self._size, self._mode, self.tile = (3, 2), "RGB", []
        self.im = Image.new("RGB", (3, 2), "red").im

def register_heif_opener():
    Image.register_open("HEIF", File, lambda head: head[4:12] == b"ftypheic")
"""


@pytest.mark.parametrize("name", ["a.heic", "a.jpg"])  # phones name them either way
def test_heic_is_read_where_pillow_heif_is_installed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HEIC)
    (tmp_path / "with").mkdir()
    (tmp_path / "with" / "pillow_heif.py").write_text(PILLOW_HEIF)
    code = (
        "import sys\n"
        "from inter2former_onnx.image_formats import READ_SUFFIXES\n"
        "from inter2former_onnx.images import read_image\n"
        "assert 'PIL' not in sys.modules and 'pillow_heif' not in sys.modules\n"
        f"print('.heic' in READ_SUFFIXES, read_image({name!r})[1, 2])"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "with"), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "True [255   0   0]\n"


def test_heic_without_pillow_heif_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inter2former_onnx.extras.find_spec", lambda name: None if name == "pillow_heif" else object())
    (tmp_path / "a.heic").write_bytes(HEIC)
    with pytest.raises(ImageError, match=r"a\.heic: a HEIC picture, which is read where pillow-heif is installed$"):
        read_image(tmp_path / "a.heic")


def test_damaged_exif_does_not_lose_the_image(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=b"Exif\0\0this is no metadata")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), COLOURS)


def test_grey(tmp_path: Path) -> None:
    Image.fromarray(GREYS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.repeat(GREYS[:, :, None], 3, axis=2))


def test_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(GREYS > 127).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[:, :, 1], np.where(GREYS > 127, 255, 0))


def test_transparency_is_composited_over_white(tmp_path: Path) -> None:
    alpha = np.full(GREYS.shape, 255, np.uint8)
    alpha[0, 0], alpha[0, 1] = 0, 51
    Image.fromarray(np.dstack([COLOURS, alpha])).save(tmp_path / "a.png")
    result = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(result[1:], COLOURS[1:])
    np.testing.assert_array_equal(result[0, 0], [255, 255, 255])
    np.testing.assert_allclose(result[0, 1], 255 + (COLOURS[0, 1].astype(float) - 255) * 51 / 255, atol=1)


def test_grey_with_alpha(tmp_path: Path) -> None:
    alpha = np.where(GREYS > 127, 255, 0).astype(np.uint8)
    Image.merge("LA", [Image.fromarray(GREYS), Image.fromarray(alpha)]).save(tmp_path / "a.png")
    expected = np.where(GREYS > 127, GREYS, 255)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.repeat(expected[:, :, None], 3, axis=2))


def test_palette_with_and_without_a_transparent_entry(tmp_path: Path) -> None:
    indices = RNG.integers(0, 4, (5, 6), dtype=np.uint8)
    palette = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "holes.png", transparency=1)
    image.save(tmp_path / "a.gif")
    np.testing.assert_array_equal(read_image(tmp_path / "plain.png"), palette[indices])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), palette[indices])
    palette[1] = 255
    np.testing.assert_array_equal(read_image(tmp_path / "holes.png"), palette[indices])


def test_a_transparent_colour_of_a_png_without_alpha(tmp_path: Path) -> None:
    pixels = COLOURS.copy()
    pixels[2, 3] = (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=(1, 2, 3))
    pixels[2, 3] = 255
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    colours = np.zeros((16, 24, 3), np.uint8)
    colours[:, :8], colours[:, 8:16], colours[:, 16:] = (255, 255, 255), (220, 30, 40), (0, 0, 0)
    Image.fromarray(colours).convert("CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    result = read_image(tmp_path / "a.jpg")
    assert np.abs(result.astype(int) - colours).max() < 12


def test_16_bit_grey_keeps_its_high_byte(tmp_path: Path) -> None:
    values = RNG.integers(0, 65536, (9, 14), dtype=np.uint16)
    values[0, :4] = (0, 255, 256, 65535)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values).save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name)[:, :, 2], values >> 8)


def test_a_16_bit_copy_of_an_8_bit_image_reads_as_that_image(tmp_path: Path) -> None:
    wide = (COLOURS.astype(np.uint16) * 257).astype(">u2")
    (tmp_path / "rgb.png").write_bytes(png_bytes(wide, 16, 2))
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.png"), COLOURS)
    opaque = np.dstack([wide, np.full(wide.shape[:2], 65535, ">u2")]).astype(">u2")
    opaque[0, 0, 3] = 0
    (tmp_path / "rgba.png").write_bytes(png_bytes(opaque, 16, 6))
    expected = COLOURS.copy()
    expected[0, 0] = 255
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), expected)


def test_wider_numbers_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 70000]], np.int32)).save(tmp_path / "int.tif")
    Image.fromarray(np.array([[0, 0.5]], np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ImageError, match=r"int\.tif: grey values from 0 to 70000"):
        read_image(tmp_path / "int.tif")
    with pytest.raises(ImageError, match=r"float\.tif: floating-point pixels"):
        read_image(tmp_path / "float.tif")


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("#ff0000", "#00ff00")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), np.broadcast_to(np.uint8([255, 0, 0]), (6, 8, 3)))


@pytest.mark.parametrize("suffix", READ_SUFFIXES)
def test_what_folders_are_searched_for_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    grey = np.full((12, 16, 3), 77, np.uint8)
    if suffix == ".npy":
        np.save(path, grey)
    elif suffix in (known := Image.registered_extensions()) and known[suffix] in Image.SAVE:
        Image.fromarray(grey).save(path)
    else:
        pytest.skip("this Pillow writes no such file")
    assert np.abs(read_image(path).astype(int) - 77).max() <= 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (20, 5000)])
def test_unusual_shapes(tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nothing\.png: no such image file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match="a folder, not an image file"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", bytes(range(256)) * 9]
)
def test_files_that_are_no_images(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.png: "):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_every_truncation_is_refused_or_harmless(tmp_path: Path, kind: str) -> None:
    """Cut anywhere, a file is refused by name or (when only trailing bytes are gone) read whole; nothing else."""
    stream = io.BytesIO()
    Image.fromarray(np.repeat(np.repeat(COLOURS, 4, 0), 4, 1)).save(stream, kind)
    content = stream.getvalue()
    path = tmp_path / "cut"
    refused = 0
    for length in range(0, len(content), max(1, len(content) // 40)):
        write_anew(path, content[:length])
        tried()
        try:
            assert read_image(path).shape == (36, 56, 3)
        except ImageError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 20


def test_damage_in_the_middle_never_escapes_as_another_exception(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    for kind in ("PNG", "JPEG", "TIFF", "GIF", "WEBP"):
        stream = io.BytesIO()
        Image.fromarray(COLOURS).save(stream, kind)
        for seed in range(60):
            damaged = bytearray(stream.getvalue())
            rng = np.random.default_rng(seed)
            for position in rng.integers(0, len(damaged), 5):
                damaged[position] = rng.integers(0, 256)
            write_anew(path, bytes(damaged))
            tried()
            try:
                result = read_image(path)
            except ImageError as error:
                assert str(path) in str(error)
            else:
                assert result.dtype == np.uint8 and result.ndim == 3 and result.shape[2] == 3


def test_a_small_file_that_claims_a_huge_image(tmp_path: Path) -> None:
    content = png_bytes(np.zeros((1, 1), np.uint8), 8, 0)
    side = 60000
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(
        ImageError, match=r"bomb\.png: too large to read, see INTER2FORMER_MAX_PIXELS .*3600000000 pixels"
    ):
        read_image(tmp_path / "bomb.png")


def test_npy_round_trip_and_layouts(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", COLOURS)
    np.save(tmp_path / "f.npy", np.asfortranarray(COLOURS))
    for name in ("c.npy", "f.npy"):
        result = read_image(tmp_path / name)
        assert type(result) is np.ndarray and result.flags.c_contiguous and result.flags.writeable
        np.testing.assert_array_equal(result, COLOURS)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (COLOURS.astype(np.float32) / 255, "float32 of shape"),
        (COLOURS.astype(np.uint16), "uint16 of shape"),
        (GREYS, r"uint8 of shape \[9, 14\]"),
        (np.zeros((3, 9, 14), np.uint8), r"uint8 of shape \[3, 9, 14\]"),
        (np.zeros((9, 14, 4), np.uint8), r"uint8 of shape \[9, 14, 4\]"),
    ],
)
def test_npy_of_another_kind_is_refused(tmp_path: Path, array: np.ndarray, found: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ImageError, match=rf"a\.npy: found {found}.*expected uint8 \[height, width, 3\]"):
        read_image(tmp_path / "a.npy")


def test_broken_npy_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, COLOURS)
    whole = path.read_bytes()
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    pickled = path.read_bytes()
    for content in (b"", b"text", whole[:60], whole[:-1], pickled):
        path.write_bytes(content)
        with pytest.raises(ImageError, match=r"a\.npy: "):
            read_image(path)


def test_an_npy_header_that_claims_a_huge_image(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 3)}
        )
        stream.write(b"\0" * 100)
    with pytest.raises(ImageError, match=r"a\.npy: "):
        read_image(path)
    # As large on disk as it says (a sparse file): refused by its pixel count.
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": (MAX_PIXELS + 1, 1, 3)}
        )
        stream.truncate(stream.tell() + (MAX_PIXELS + 1) * 3)
    with pytest.raises(ImageError, match=f"{MAX_PIXELS + 1} pixels, more than"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".npy"])
def test_a_written_mask_reads_back(tmp_path: Path, suffix: str) -> None:
    mask = GREYS > 127
    path = tmp_path / f"mask{suffix}"
    with path.open("wb") as stream:
        write_image(stream, mask, suffix)
    stored = np.load(path) if suffix == ".npy" else np.asarray(Image.open(path))
    np.testing.assert_array_equal(stored, mask if suffix == ".npy" else np.where(mask, 255, 0))
    assert stored.dtype == (np.bool_ if suffix == ".npy" else np.uint8)


def deep(suffix: str, values: np.ndarray, tmp_path: Path) -> Path:
    """A file of 16 bits a channel."""
    path = tmp_path / f"deep{suffix}"
    if suffix == ".png":
        path.write_bytes(png_bytes(values.astype(">u2"), 16, {2: 0, 3: 2}[values.ndim]))
    else:
        assert cv2.imwrite(str(path), values[:, :, ::-1] if values.ndim == 3 else values)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_12_bits_of_16_warn_and_can_be_stretched(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    values = np.linspace(40, 4095, 9 * 14).astype(np.uint16).reshape(9, 14)
    path = deep(suffix, values, tmp_path)
    np.testing.assert_array_equal(read_image(path)[:, :, 0], values >> 8)
    said = "of 16 bits (0 to 65535) it uses 40 to 4095, so it reads as nearly black; store its full range"
    assert caplog.messages == [f"{path}: {said}"]
    assert used_range(path) == (40, 4095)
    expected = np.rint((values - 40.0) * 255 / 4055)
    np.testing.assert_array_equal(read_stretched(path), np.repeat(expected[:, :, None], 3, axis=2))
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_12_bits_of_16_in_colour(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    """Pillow keeps the high byte of a colour only; the low one is asked for, except of PPM."""
    values = RNG.integers(0, 4096, (9, 14, 3)).astype(np.uint16)
    values[0, 0], values[0, 1] = 0, 4095
    path = deep(suffix, values, tmp_path)
    read_image(path)
    assert len(caplog.messages) == 1
    exact = suffix != ".ppm"
    assert used_range(path) == (0, 4095) or not exact
    difference = np.abs(read_stretched(path) - values * (255 / 4095))
    assert difference.max() <= (0.51 if exact else 24)


def test_opacity_is_no_colour_and_stays(tmp_path: Path) -> None:
    values = np.full((9, 14, 4), 65535, np.uint16)
    values[:, :, :3] = RNG.integers(0, 4096, (9, 14, 3))
    values[0, 0] = (0, 0, 0, 0)
    values[0, 1, :3] = (0, 0, 4095)
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(values.astype(">u2"), 16, 6))
    assert used_range(path) == (0, 4095)
    found = read_stretched(path)
    assert found[0, 0].tolist() == [255, 255, 255] and found[0, 1].tolist() == [0, 0, 255]


@pytest.mark.parametrize("high", [0, 8192, 65535])
def test_other_pictures_of_16_bits_are_read_as_ever(
    tmp_path: Path, high: int, caplog: pytest.LogCaptureFixture
) -> None:
    """From an eighth of the range on, and where there is nothing to stretch."""
    values = np.zeros((9, 14), np.uint16)
    values[4:] = high
    path = deep(".png", values, tmp_path)
    np.testing.assert_array_equal(read_image(path), read_stretched(path))
    assert used_range(path) == (0, high) and not caplog.messages
    colours = deep(".tif", np.dstack([values] * 3), tmp_path)
    np.testing.assert_array_equal(read_image(colours), read_stretched(colours))
    assert not caplog.messages


def test_pictures_of_8_bits_use_no_range_of_16(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(GREYS // 60).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", COLOURS)
    assert used_range(tmp_path / "a.png") is None and used_range(tmp_path / "a.npy") is None
    assert read_image(tmp_path / "a.png").max() == 4 == read_stretched(tmp_path / "a.png").max()
    assert not caplog.messages


def test_stretching_refuses_what_reading_refuses(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-5, 3], [4, 5]], np.int32)).save(tmp_path / "a.tif")
    for read in (read_image, read_stretched, used_range):
        with pytest.raises(ImageError, match="grey values from -5 to 5"):
            read(tmp_path / "a.tif")
