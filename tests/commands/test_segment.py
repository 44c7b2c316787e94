"""`inter2former segment` and `demo`, from files to files, on a bundle of the small reference model."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inter2former_onnx.runtime
from inter2former_onnx import Segmenter, cli, errors
from inter2former_onnx.assets import DEMO_PHOTOGRAPH
from inter2former_onnx.images import read_image
from inter2former_onnx.outputs import OutputFile

HEIGHT, WIDTH = 60, 90


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A 90 x 60 part of the photograph, as PNG."""
    path = tmp_path / "photo.png"
    Image.fromarray(read_image(DEMO_PHOTOGRAPH)[100 : 100 + HEIGHT, 200 : 200 + WIDTH]).save(path)
    return path


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any use of a model fails: what is refused must be refused before it."""

    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("the model was loaded before the arguments were checked")

    monkeypatch.setattr(inter2former_onnx.runtime, "Segmenter", refuse)


def segment(*arguments: str | Path) -> int:
    return cli.main(["segment", *map(str, arguments)])


def expected_mask(bundle: Path, image: np.ndarray, *clicks: tuple[int, int, bool]) -> np.ndarray:
    session = Segmenter(bundle).encode(image).session()
    return [session.click(x, y, positive=positive) for x, y, positive in clicks][-1]


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_photograph_to_mask_and_overlay(
    mini_bundle: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, overlay = tmp_path / "mask.png", tmp_path / "overlay.jpg"
    clicks = ["--click", "40,30", "--click", "5,6,-", "--click", "60,20,+"]
    assert segment(photo, *clicks, "--out", out, "--overlay", overlay, "--bundle", mini_bundle, "--threads", "1") == 0
    stored = np.asarray(Image.open(out))
    expected = expected_mask(mini_bundle, read_image(photo), (40, 30, True), (5, 6, False), (60, 20, True))
    np.testing.assert_array_equal(stored, np.where(expected, 255, 0))
    assert Image.open(overlay).size == (WIDTH, HEIGHT)
    text = capsys.readouterr().out
    assert f"{int(expected.sum())} of {HEIGHT * WIDTH} pixels" in text and "encoded in" in text
    assert not leftovers(tmp_path)


def test_npy_in_and_out(mini_bundle: Path, photo: Path, tmp_path: Path) -> None:
    image = read_image(photo)
    np.save(tmp_path / "photo.npy", image)
    out = tmp_path / "mask.npy"
    assert segment(tmp_path / "photo.npy", "--click", "40,30", "--out", out, "--bundle", mini_bundle) == 0
    mask = np.load(out)
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, expected_mask(mini_bundle, image, (40, 30, True)))


def test_clicks_and_mask_are_in_the_upright_picture(mini_bundle: Path, photo: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.png"
    Image.open(photo).transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    results = []
    for path in (photo, turned):
        assert segment(path, "--click", "85,30", "--out", tmp_path / "mask.npy", "--bundle", mini_bundle) == 0
        results.append(np.load(tmp_path / "mask.npy"))
    assert results[1].shape == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20, 5000), (5000, 20)])
def test_unusual_sizes_and_border_clicks(mini_bundle: Path, tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "a.png"
    Image.effect_noise((width, height), 60).save(path)
    corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]
    clicks = [part for x, y in corners for part in ("--click", f"{x},{y}")]
    out, overlay = tmp_path / "m.png", tmp_path / "o.png"
    assert segment(path, *clicks, "--out", out, "--overlay", overlay, "--bundle", mini_bundle) == 0
    assert Image.open(out).size == Image.open(overlay).size == (width, height)


@pytest.mark.usefixtures("no_encoder")
@pytest.mark.parametrize("place", [f"{WIDTH},0", f"0,{HEIGHT}", "-1,0", "0,-1", "99999999999999999999,1"])
def test_a_click_outside_is_refused_first(
    photo: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mask.png"
    status = segment(photo, "--click", "1,1", f"--click={place}", "--out", out)
    assert status == errors.ClickError.exit_code
    err = capsys.readouterr().err
    assert "click 2 of 2" in err and str(photo) in err and f"{WIDTH} x {HEIGHT} pixels" in err
    assert not out.exists() and not leftovers(tmp_path)


@pytest.mark.usefixtures("no_encoder")
@pytest.mark.parametrize("place", ["-5,3", "-0.5,3", "-.5,3", "-5,3,-"])
def test_a_click_left_of_the_image_is_not_taken_for_an_option(
    photo: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(photo, "--click", place, "--out", tmp_path / "mask.png") == errors.ClickError.exit_code
    assert "click: x must be from 0 to below 90 (the image's pixels), found -" in capsys.readouterr().err


def test_a_point_is_a_click_on_the_pixel_that_contains_it(mini_bundle: Path, photo: Path, tmp_path: Path) -> None:
    for name, place in (("a.npy", "45.5,30.2"), ("b.npy", "45,30")):
        assert segment(photo, "--click", place, "--out", tmp_path / name, "--bundle", mini_bundle) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


@pytest.mark.usefixtures("no_encoder")
@pytest.mark.parametrize("option", ["--out", "--overlay"])
@pytest.mark.parametrize(
    ("place", "reason"),
    [("nowhere/m.png", "No such file or directory"), ("photo.png/m.png", "Not a directory"), ("dir.png", "not a file")],
)
def test_an_output_that_cannot_be_written_is_refused_first(
    photo: Path, tmp_path: Path, option: str, place: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dir.png").mkdir()
    other = ["--out", tmp_path / "ok.png"] if option == "--overlay" else []
    assert segment(photo, "--click", "1,1", *other, option, tmp_path / place) == errors.ArgumentError.exit_code
    err = capsys.readouterr().err
    assert str(tmp_path / place) in err and reason in err
    assert not (tmp_path / "ok.png").exists() and not leftovers(tmp_path)


@pytest.mark.usefixtures("no_encoder")
def test_a_read_only_folder_is_refused_first(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)  # permissions as such would not stop root
    assert segment(photo, "--click", "1,1", "--out", tmp_path / "m.png") == errors.ArgumentError.exit_code
    assert f"cannot write {tmp_path / 'm.png'}: Permission denied" in capsys.readouterr().err


@pytest.mark.usefixtures("no_encoder")
@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (["--out", "m.jpg"], "--out m.jpg: the file name must end in one of .png, .npy"),
        (["--out", "m"], "--out m: the file name must end in"),
        (["--out", "m.png", "--overlay", "o.tga"], "--overlay o.tga: the file name must end in"),
        (["--out", "photo.png"], "--out photo.png: the same file as the image"),
        (["--out", "m.png", "--overlay", "../here/m.png"], "--overlay ../here/m.png: the same file as --out"),
    ],
)
def test_outputs_of_a_wrong_kind_or_on_top_of_each_other(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    outputs: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Image.new("RGB", (4, 4)).save("photo.png")
    content = Path("photo.png").read_bytes()
    assert segment("photo.png", "--click", "1,1", *outputs) == errors.ArgumentError.exit_code
    assert message in capsys.readouterr().err
    assert os.listdir() == ["photo.png"] and Path("photo.png").read_bytes() == content


@pytest.mark.usefixtures("no_encoder")
def test_a_broken_image_is_one_line(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(photo.read_bytes()[:-200])
    for path in (broken, tmp_path / "missing.png"):
        assert segment(path, "--click", "1,1", "--out", tmp_path / "m.png") == errors.ImageError.exit_code
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and str(path) in err


def test_a_failure_leaves_the_earlier_result(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mask.png"
    out.write_bytes(b"earlier")
    status = segment(photo, "--click", "1,1", "--out", out, "--bundle", tmp_path / "nothing")
    assert status == errors.BundleError.exit_code
    assert str(tmp_path / "nothing") in capsys.readouterr().err
    assert out.read_bytes() == b"earlier" and not leftovers(tmp_path)


def test_output_files_have_the_usual_permissions_and_follow_links(tmp_path: Path) -> None:
    target, link = tmp_path / "target.bin", tmp_path / "link.bin"
    link.symlink_to(target)
    before = os.umask(0o027)
    try:
        with OutputFile(link) as out:
            assert not target.exists()
            out.write(lambda stream: stream.write(b"new"))
    finally:
        os.umask(before)
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_devices_and_pipes_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.ArgumentError, match="is not a file"), OutputFile(tmp_path / "pipe"):
        pass
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"earlier")

    def write(stream: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(errors.Inter2FormerError, match=r"a\.bin: No space left"), OutputFile(path) as out:
        out.write(write)
    assert os.listdir(tmp_path) == ["a.bin"] and path.read_bytes() == b"earlier"


def test_demo_writes_one_picture(mini_bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inter2former_onnx", "demo", "--bundle", str(mini_bundle)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "demo.png" in result.stdout and "encoded in" in result.stdout
    width, height = Image.open(DEMO_PHOTOGRAPH).size
    picture = Image.open(tmp_path / "demo.png")
    assert picture.size[0] > 3 * width and picture.size[1] > height


def test_info_of_a_bundle(mini_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", str(mini_bundle)]) == 0
    text = capsys.readouterr().out
    for expected in ("encoder.onnx", "prompt.onnx", "decoder.onnx", "192 x 192", "12 x 12", "float32", "HybridMoE"):
        assert expected in text
    assert "unaltered" in text


def test_info_notices_an_altered_bundle(mini_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in mini_bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    content = bytearray((copy / "prompt.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "prompt.onnx").write_bytes(content)
    assert cli.main(["info", str(copy)]) == errors.BundleError.exit_code
    assert "prompt.onnx: altered" in capsys.readouterr().err
