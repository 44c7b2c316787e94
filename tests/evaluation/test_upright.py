"""Pictures that EXIF turns: masks of the stored pixels are turned too, or it is said that nobody can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from inter2former_onnx import cli
from inter2former_onnx.evaluation.datasets import READERS
from inter2former_onnx.evaluation.results import read_lines
from inter2former_onnx.evaluation.targets import Target
from inter2former_onnx.evaluation.upright import read_picture, turned
from support.evaluation_data import scene
from support.fake_bundle import write_fake_bundle

TAG = 0x0112


def rotated_folder(
    root: Path, orientation: int, masks: str, height: int = 48, width: int = 64, suffix: str = ".jpg"
) -> np.ndarray:
    """A picture that is stored turned, with a mask of the "stored" or "upright" pixels; returns the upright mask."""
    image, regions = scene(3, height, width)
    stored = np.where(regions == 1, 255, 0).astype(np.uint8)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    exif = Image.Exif()
    exif[TAG] = orientation
    Image.fromarray(image).save(root / "images" / f"a{suffix}", exif=exif)
    upright = ImageOps.exif_transpose(_tagged(stored, orientation))
    mask = Image.fromarray(stored) if masks == "stored" else upright
    mask.save(root / "masks" / "a.png")
    return np.asarray(upright) > 0


def _tagged(pixels: np.ndarray, orientation: int) -> Image.Image:
    image = Image.fromarray(pixels)
    image.getexif()[TAG] = orientation
    return image


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_the_size_tells_where_a_mask_was_drawn(tmp_path: Path, orientation: int, suffix: str) -> None:
    for masks in ("stored", "upright"):
        upright = rotated_folder(tmp_path / masks, orientation, masks, suffix=suffix)
        (picture,) = READERS["folder"](tmp_path / masks)
        image, (target,), note = read_picture(picture)
        assert image.shape[:2] == (64, 48)
        np.testing.assert_array_equal(target.mask, upright)
        said = f"{picture.image}: EXIF orientation {orientation}; masks of the stored size, 64 x 48, were turned"
        assert note.startswith(said) if masks == "stored" else note == ""


@pytest.mark.parametrize("orientation", range(2, 9))
def test_where_no_size_tells_it_is_said(tmp_path: Path, orientation: int) -> None:
    side = 48 if orientation >= 5 else 64  # on its side a picture must be square for its size not to tell
    upright = rotated_folder(tmp_path, orientation, "upright", 48, side)
    (picture,) = READERS["folder"](tmp_path)
    _, (target,), note = read_picture(picture)
    np.testing.assert_array_equal(target.mask, upright)
    assert note.startswith(f"{picture.image}: EXIF orientation {orientation}, and no size tells whether its masks")


def test_an_upright_picture_needs_no_word(tmp_path: Path) -> None:
    rotated_folder(tmp_path, 1, "stored")
    assert read_picture(READERS["folder"](tmp_path)[0])[2] == ""


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_masks_turn_as_pictures_do(orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 2, (5, 7), dtype=np.uint8)
    expected = np.asarray(ImageOps.exif_transpose(_tagged(pixels, orientation)))
    np.testing.assert_array_equal(turned(pixels > 0, orientation), expected > 0)


def test_void_turns_with_its_object(tmp_path: Path) -> None:
    rotated_folder(tmp_path, 6, "stored")
    mask = tmp_path / "masks" / "a.png"
    values = np.where(np.asarray(Image.open(mask)) > 0, 1, 0).astype(np.uint8)
    values[0] = 255
    Image.fromarray(values).save(mask)
    targets: list[Target] = list(read_picture(READERS["folder"](tmp_path)[0])[1])
    void = targets[0].void
    assert void is not None and void.shape == (64, 48) and void[:, -1].all() and void.sum() == 64


def test_the_run_and_its_report_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rotated_folder(tmp_path / "data", 6, "stored", 48, 48)
    bundle = write_fake_bundle(tmp_path / "bundle")
    out = tmp_path / "out"
    command = ["eval", "--dataset", "folder", "--data", str(tmp_path / "data"), "--out", str(out), "--worst", "1"]
    for _ in range(2):  # a run that is there keeps it
        assert cli.main([*command, "--bundle", str(bundle), "--threads", "1", "--clicks", "2"]) == 0
        said = "a.jpg: EXIF orientation 6, and no size tells whether its masks are of the upright picture, as is taken"
        assert said in capsys.readouterr().err
        assert said in (out / "report.md").read_text()
    (line,) = read_lines(out)
    assert said in line["note"]


def test_pictures_of_few_bits_are_named(tmp_path: Path) -> None:
    rotated_folder(tmp_path, 1, "stored", suffix=".png")
    dark = np.linspace(0, 4095, 48 * 64).astype(np.uint16).reshape(48, 64)
    Image.fromarray(dark).save(tmp_path / "images" / "a.png")
    note = read_picture(READERS["folder"](tmp_path)[0])[2]
    assert note.endswith("a.png: of 16 bits (0 to 65535) it uses 0 to 4095, so it reads as nearly black")
