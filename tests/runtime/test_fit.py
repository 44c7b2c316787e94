"""Geometry `fit` from image to mask: bundles whose grids are rectangles, a real one and a fake one."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from inter2former_onnx import EncodedImage, Predictor, Segmenter, cli
from inter2former_onnx.errors import ArgumentError, EmbeddingError
from inter2former_onnx.export import export_bundle, verify_bundle
from inter2former_onnx.models import Inter2Former, ModelConfig, load_state_dict, read_checkpoint
from support.fake_bundle import write_fake_bundle
from support.reference import DATA, MINI_SIZE, mini_config_dict

MINI = DATA / "mini.pth"


@pytest.fixture(scope="module")
def bundle(mini_bundle_fit: Path) -> Path:
    return mini_bundle_fit


@pytest.fixture(scope="module")
def model(bundle: Path) -> Inter2Former:
    model = Inter2Former(ModelConfig.from_dict(json.loads((bundle / "manifest.json").read_text())["model"])).eval()
    load_state_dict(model, read_checkpoint(MINI), "mini.pth")
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def segmenter(bundle: Path) -> Segmenter:
    return Segmenter(bundle, threads=2)


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter(write_fake_bundle(tmp_path_factory.mktemp("fake_fit") / "bundle", mode="fit"), threads=1)


def photograph(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(x / (7 + 5 * k) + k) * np.cos(y / (11 + 3 * k)) for k in range(3)]
    return np.stack(waves, axis=2).astype(np.uint8)


def test_manifest(segmenter: Segmenter, capsys: pytest.CaptureFixture[str]) -> None:
    geometry = segmenter.manifest.geometry
    assert (geometry.mode, geometry.size, geometry.size_divisor) == ("fit", MINI_SIZE, 1)
    assert segmenter.size == MINI_SIZE
    assert segmenter.manifest.graphs["encoder"].outputs[0].shape[:2] == ("rows", "columns")
    assert cli.main(["info", str(segmenter.bundle)]) == 0
    text = capsys.readouterr().out
    assert "fit: an image of any size" in text and "at most 12 x 12" in text


@pytest.mark.parametrize(
    "height, width, grid",
    [
        (150, 200, (9, 12)),
        (200, 150, (12, 9)),
        (192, 192, (12, 12)),
        (1, 1, (12, 12)),
        (1, 300, (1, 12)),
        (5000, 20, (12, 1)),
        (191, 192, (12, 12)),
        (257, 30, (12, 2)),
    ],
)
def test_encoder_as_in_pytorch(
    segmenter: Segmenter, model: Inter2Former, height: int, width: int, grid: tuple[int, int]
) -> None:
    image = photograph(height, width)
    encoded = segmenter.encode(image)
    features = model.encode(model.preprocess(torch.from_numpy(image)))
    assert encoded.geometry.grid == grid
    expected = features.embed.permute(1, 2, 0).numpy()
    assert encoded.arrays["embed"].shape == expected.shape == (*grid, 256)
    assert np.abs(encoded.arrays["embed"] - expected).max() <= 1e-4 * np.ptp(expected)
    for name, shape in segmenter.manifest.encoded_arrays(grid).items():
        assert encoded.arrays[name].shape == shape, name


@pytest.mark.parametrize("height, width", [(150, 200), (300, 40)])
def test_bundle_is_the_model(bundle: Path, height: int, width: int) -> None:
    report = verify_bundle(bundle, MINI, photograph(height, width), clicks=3)
    assert report.ok, "\n".join(report.lines())


@pytest.mark.parametrize("height, width", [(1, 1), (1, 300), (20, 5000), (5000, 20), (192, 192), (257, 3), (150, 200)])
def test_clicks_on_awkward_images(segmenter: Segmenter, height: int, width: int) -> None:
    session = segmenter.encode(photograph(height, width)).session()
    for x, y in [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1), (width / 2, height / 2)]:
        mask = session.click(x, y)
        assert mask.shape == (height, width) and mask[int(y), int(x)]
    assert np.isfinite(session.logits).all()
    assert not session.click(0, 0, positive=False)[0, 0]
    session.undo()
    assert session.mask[0, 0]


def test_dense_mode(segmenter: Segmenter, model: Inter2Former) -> None:
    image = segmenter.encode(photograph(150, 200))
    labels = image.session().labels
    assert labels.shape == (144, 192)
    labels[:] = 1
    labels[60:90, 70:120] = 3
    labels[70:75, 80:85] = 4
    logits, box = segmenter.decode(image, labels, dense=True)
    assert box == (0, 0, 192, 144)
    features = model.encode(model.preprocess(torch.from_numpy(photograph(150, 200))))
    expected = model.decode(features, torch.from_numpy(labels), dense=True)[0].numpy()
    assert np.abs(logits - expected).max() <= 1e-3 * np.ptp(expected)


def test_labels_of_the_square_are_refused(segmenter: Segmenter) -> None:
    image = segmenter.encode(photograph(150, 200))
    with pytest.raises(ArgumentError, match=r"expected uint8 \[144, 192\], found uint8 \[192, 192\]"):
        segmenter.decode(image, np.full((192, 192), 2, dtype=np.uint8))


def test_predictor(fake: Segmenter) -> None:
    predictor = Predictor(fake)
    predictor.set_image(photograph(70, 50))  # 80 x 64 model pixels
    masks, _, low = predictor.predict([[10, 20]], [1])
    assert masks.shape == (1, 70, 50) and low.shape == (1, 20, 16)
    session = fake.encode(photograph(70, 50)).session(enforce_clicks=False, drop_islands=False)
    np.testing.assert_array_equal(masks[0], session.click(10, 20))
    again, _, _ = predictor.predict([[40, 10]], [0], mask_input=low)
    assert again.shape == masks.shape
    with pytest.raises(ArgumentError, match=r"expected float32 \[1, 20, 16\], found float32 \[1, 24, 24\]"):
        predictor.predict(mask_input=np.zeros((1, 24, 24), dtype=np.float32))


def test_saved_image(fake: Segmenter, tmp_path: Path) -> None:
    image = fake.encode(photograph(70, 50))
    image.save(tmp_path / "image.npz")
    loaded = EncodedImage.load(tmp_path / "image.npz", fake)
    assert loaded.geometry.grid == (5, 4)
    np.testing.assert_array_equal(loaded.session().click(10, 20), image.session().click(10, 20))


def test_saved_image_whose_arrays_are_of_another_size(fake: Segmenter, tmp_path: Path) -> None:
    """The header's image size says what shapes the arrays must have, before any of them is read."""
    path = tmp_path / "image.npz"
    fake.encode(photograph(70, 50)).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())
    stream = io.BytesIO()
    np.save(stream, np.frombuffer(json.dumps({**header, "height": 50, "width": 70}).encode(), dtype=np.uint8))
    members["header.npy"] = stream.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(EmbeddingError, match=r"embed: expected shape \(4, 5, 1\), found \(5, 4, 1\)"):
        fake.load(path)


def test_option_of_export(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It replaces the configuration's mode; the longer side gets all of the size where `fit` is new."""
    seen: list[ModelConfig] = []

    def stop(config: ModelConfig) -> None:
        seen.append(config)
        raise ArgumentError("stopped")

    monkeypatch.setattr("inter2former_onnx.export.bundle.Inter2Former", stop)

    def geometry_of(configured: str, *options: str) -> tuple[str, int, int]:
        values = {**mini_config_dict(), "geometry": {"mode": configured, "size": 128, "size_divisor": 32}}
        (tmp_path / "config.json").write_text(json.dumps(values))
        command = ["export", "--random-weights", "1", "--config", str(tmp_path / "config.json"), *options]
        assert cli.main([*command, "--out", str(tmp_path / "bundle")]) == ArgumentError.exit_code
        geometry = seen.pop().geometry
        return geometry.mode, geometry.size, geometry.size_divisor

    assert geometry_of("square") == ("square", 128, 32)
    assert geometry_of("square", "--geometry", "fit") == ("fit", 128, 1)
    assert geometry_of("fit", "--geometry", "fit", "--size", "96") == ("fit", 96, 32)
    assert geometry_of("fit", "--geometry", "square") == ("square", 128, 32)
    with pytest.raises(ArgumentError, match="geometry must be 'fit' or 'square', found 'round'"):
        export_bundle(tmp_path / "round", config="tiny", random_weights=1, geometry="round")  # type: ignore[arg-type]
