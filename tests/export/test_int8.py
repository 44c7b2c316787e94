"""The 8-bit encoder: what is exported, how close it is, what calibration does, and what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from inter2former_onnx import Segmenter
from inter2former_onnx.errors import ArgumentError, ImageError
from inter2former_onnx.export import calibration, calibration_images, export_bundle, verify_bundle
from inter2former_onnx.export.calibration import cosine, quantise_calibrated
from inter2former_onnx.export.graphs import encoder_spec
from inter2former_onnx.export.onnx_graph import trace
from inter2former_onnx.export.quantisation import linear_nodes, quantise
from inter2former_onnx.export.random_weights import initialise
from inter2former_onnx.models import Inter2Former, ModelConfig
from support.reference import DATA, mini_config_dict

MINI = DATA / "mini.pth"
OPS = {"QuantNormProjection", "QuantResidualProjection", "QuantNormMlp"}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small pictures, and a file that is none."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for index in range(3):
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        np.save(folder / f"{index}.npy", coarse.repeat(16, axis=0).repeat(16, axis=1))
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture(scope="module")
def int8_bundle(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Path:
    folder = tmp_path_factory.mktemp("int8") / "bundle"
    return export_bundle(folder, config=mini_config_dict(), checkpoint=MINI, precision="int8", calibration=photographs)


def test_bundle_says_what_it_is(int8_bundle: Path, mini_bundle: Path) -> None:
    manifest = json.loads((int8_bundle / "manifest.json").read_text())
    assert manifest["precision"] == "int8" and Segmenter(int8_bundle).manifest.precision == "int8"
    assert manifest["quantisation"]["calibration_images"] == 3
    assert manifest["quantisation"]["embedding_cosine"] > 0.999
    assert manifest["quantisation"]["float32_layers"] == []
    ops = manifest["graphs"]["encoder"]["ops"]["inter2former"]
    assert set(ops) >= OPS and not {"ResidualProjection", "NormMlp"} & set(ops)
    assert ops["NormProjection"] == 2  # the first block's, which is the decoder's and stays in float32
    before = json.loads((mini_bundle / "manifest.json").read_text())

    def encoder_bytes(described: dict[str, Any]) -> int:
        return sum(file["bytes"] for name, file in described["files"].items() if name.startswith("encoder."))

    # Three of four bytes of the linear layers' weights are gone.
    vit = 4 * (12 * 96 * 96)  # blocks of 96 channels
    assert encoder_bytes(manifest) < encoder_bytes(before) - 0.9 * 3 * vit
    assert manifest["graphs"]["decoder"]["ops"] == before["graphs"]["decoder"]["ops"]


def test_verify_tells_what_int8_changes(int8_bundle: Path, reference_image: np.ndarray) -> None:
    report = verify_bundle(int8_bundle, MINI, reference_image, clicks=5)
    assert report.precision == "int8" and 0.999 < report.cosine < 1
    assert all(difference.ok for difference in report.differences)
    assert len(report.clicks) == 5
    assert any("embedding: cosine 0.99" in line for line in report.lines())


def test_same_int8_with_stock_onnxruntime(
    int8_bundle: Path, reference_image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ops' definitions travel in the graph: no kernels needed, and the embedding is as close to the other."""
    native = Segmenter(int8_bundle).encode(reference_image).arrays["embed"]
    monkeypatch.setenv("INTER2FORMER_OPS", "portable")
    portable = Segmenter(int8_bundle).encode(reference_image).arrays["embed"]
    assert cosine(native, portable) > 0.9999


def small_model() -> Inter2Former:
    """Two blocks, random weights."""
    values = mini_config_dict()
    values["backbone"] |= {"depth": 2, "embed_dim": 32, "num_heads": 1, "out_indices": [1]}
    model = Inter2Former(ModelConfig.from_dict(values)).eval()
    initialise(model, 3)
    return model.requires_grad_(False)


def embedding(model: onnx.ModelProto, image: Path) -> np.ndarray:
    with calibration._Session(model) as session:
        (embed,) = session.run(["embed"], {"image": np.load(image)})
    return np.asarray(embed)


def test_calibration_lessens_the_loss(photographs: Path) -> None:
    """Channels that are large behind a norm and small in the weights: their scale moves into the weights."""
    model = small_model()
    for block in model.backbone.blocks:
        for norm, weight in ((block.norm1, block.attn.qkv.weight), (block.norm2, block.mlp.fc1.weight)):
            norm.weight[::8] *= 50
            weight[:, ::8] /= 50
    exact = trace(encoder_spec(model))
    images = calibration_images.calibration_images(photographs)
    plain, calibrated = copy.deepcopy(exact), copy.deepcopy(exact)
    scales = 2 * len(model.config.backbone.out_indices)  # a linear layer for each scale of each output
    assert quantise(plain) == len(linear_nodes(exact)) == 6 + scales
    found = quantise_calibrated(calibrated, images)
    assert found.smoothed_layers == 4 + scales and found.images == 3
    expected = embedding(exact, images[0])
    losses = [1 - cosine(embedding(graph, images[0]), expected) for graph in (plain, calibrated)]
    assert losses[1] < losses[0] / 3


def test_sensitive_layers_stay_in_float32(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedding that can never be close enough: half of the layers go back, the worst first, and no more."""
    monkeypatch.setattr(calibration, "LEAST_COSINE", 1.1)
    exact = trace(encoder_spec(small_model()))
    graph = copy.deepcopy(exact)
    found = quantise_calibrated(graph, calibration_images.calibration_images(photographs))
    left = [node.name for node in linear_nodes(graph)]
    assert sorted(left) == found.float32_layers and len(exact.graph.node) == len(graph.graph.node)
    assert 3 <= len(left) <= 4
    held = {tensor.name: numpy_helper.to_array(tensor).dtype for tensor in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type in OPS:
            assert any(held.get(name) == np.int8 for name in node.input)


@pytest.mark.parametrize(
    "arguments, error, said",
    [
        ({"precision": "int4"}, ArgumentError, "precision must be float32 or int8, found 'int4'"),
        ({"calibration": "."}, ArgumentError, "calibration is for precision int8"),
        ({"precision": "int8", "calibration": "nowhere"}, ArgumentError, "nowhere is not a folder"),
        ({"precision": "int8", "calibration": "empty"}, ArgumentError, "no image in"),
        ({"precision": "int8", "calibration": "damaged"}, ImageError, "broken.npy"),
    ],
)
def test_refused_before_any_work(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "broken.npy").write_bytes(b"not numbers")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        export_bundle(tmp_path / "out", config=mini_config_dict(), checkpoint=MINI, **arguments)
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "damaged"}


def test_images_of_every_kind_are_taken(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    kinds = (".gif", ".jpg", ".pgm", ".ppm", ".tiff")
    for suffix in kinds:
        image.new("L", (4, 3)).save(tmp_path / f"a{suffix}")
    assert [path.suffix for path in calibration_images.calibration_images(tmp_path)] == list(kinds)


def test_images_are_picked_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_images, "MOST_IMAGES", 4)
    for index in range(10):
        np.save(tmp_path / f"{index}.npy", np.zeros((2, 2, 3), np.uint8))
    assert [path.stem for path in calibration_images.calibration_images(tmp_path)] == ["0", "2", "5", "7"]


def test_skipped_photographs_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("PIL.Image").new("RGB", (8, 8)).save(tmp_path / "a.jfif", "JPEG")
    for name in ("b.heic", "c.heic", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in calibration_images.calibration_images(tmp_path)] == ["a.jfif"]
    (line,) = caplog.messages
    assert line.startswith("calibration: skipped 2 .heic (.heic is read where pillow-heif is installed)")
