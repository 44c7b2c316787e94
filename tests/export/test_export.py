"""Exporting: what is refused before any work, what is written, and that a folder is whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from inter2former_onnx import Segmenter
from inter2former_onnx.errors import ArgumentError, BundleError, CheckpointError
from inter2former_onnx.export import bundle as bundle_module
from inter2former_onnx.export import export_bundle, verify_bundle
from inter2former_onnx.models import Inter2Former, ModelConfig, load_state_dict, read_checkpoint
from inter2former_onnx.runtime.labels import initial, region_of_interest
from support.reference import DATA, mini_config_dict, reference

MINI = DATA / "mini.pth"


def test_manifest_describes_the_files(mini_bundle: Path) -> None:
    manifest = json.loads((mini_bundle / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.name for path in mini_bundle.iterdir()} - {"manifest.json"}
    assert manifest["source"]["checkpoint"] == "mini.pth"
    for name, described in manifest["graphs"].items():
        session = ort.InferenceSession(str(mini_bundle / described["file"]), providers=["CPUExecutionProvider"])
        inputs = [*session.get_inputs(), *session.get_overridable_initializers()]
        assert {value.name: value.shape for value in inputs} == {v["name"]: v["shape"] for v in described["inputs"]}
        outputs = {value.name: value.shape for value in session.get_outputs()}
        assert outputs == {v["name"]: v["shape"] for v in described["outputs"]}, name
    config = ModelConfig.from_dict(manifest["model"])
    assert config == ModelConfig.from_dict(mini_config_dict())


def test_graphs_are_portable(mini_bundle: Path) -> None:
    """Opset 18 and IR version 9 reach back to onnxruntime 1.17; every op of ours travels with its definition."""
    for name in ("encoder", "prompt", "decoder"):
        model = onnx.load(mini_bundle / f"{name}.onnx", load_external_data=False)
        assert model.ir_version == 9
        assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18
        defined = {function.name for function in model.functions}
        assert {node.op_type for node in model.graph.node if node.domain == "inter2former"} <= defined
        assert {node.domain for node in model.graph.node} <= {"", "inter2former"}
        assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
        assert not model.metadata_props and not model.graph.metadata_props  # the exporter's notes on its own program


def test_same_bytes_in_every_process(tmp_path: Path) -> None:
    """Sets of strings are in another order in every process; nothing of that may reach the files."""
    config = tmp_path / "mini.json"
    config.write_text(json.dumps(mini_config_dict()))
    command = [sys.executable, "-m", "inter2former_onnx", "export", "--checkpoint", str(MINI), "--config", str(config)]
    # At the same time: each takes many seconds on one processor.
    processes = {
        seed: subprocess.Popen(
            [*command, "--out", str(tmp_path / seed)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        for seed in ("1", "2")
    }
    identities = []
    for seed, process in processes.items():
        said, _ = process.communicate()
        assert process.returncode == 0, said
        identities.append(json.loads((tmp_path / seed / "manifest.json").read_text())["id"])
    assert identities[0] == identities[1]


@pytest.fixture(scope="module")
def model() -> Inter2Former:
    model = Inter2Former(ModelConfig.from_dict(mini_config_dict())).eval().requires_grad_(False)
    load_state_dict(model, read_checkpoint(MINI), "mini.pth")
    return model


def exposing(path: Path, op_type: str, name: str) -> ort.InferenceSession:
    """The graph with the first output of its last node of a type as one more output."""
    graph = onnx.load(path)
    last = [node for node in graph.graph.node if node.op_type == op_type][-1]
    graph.graph.output.append(helper.make_tensor_value_info(last.output[0], TensorProto.FLOAT, None))
    path = path.with_name(f"exposing_{name}.onnx")
    onnx.save(graph, path)
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("case", ["first", "mid", "empty", "corner", "band"])
def test_decoder_against_the_reference(
    mini_bundle: Path, reference_image: np.ndarray, tmp_path: Path, case: str
) -> None:
    """Tokens after the neck, localisation and logits, each to 1e-4 of its range."""
    expected = reference("cases_exact")
    labels = expected[f"{case}_label"].reshape(192, 192).astype(np.uint8)
    segmenter = Segmenter(mini_bundle, threads=1)
    image = segmenter.encode(reference_image)
    copy = Path(shutil.copy(mini_bundle / "decoder.onnx", tmp_path))
    for data in mini_bundle.glob("decoder.onnx.data"):
        shutil.copy(data, tmp_path)
    decoder = exposing(copy, "HybridMoE", "tokens")
    region = region_of_interest(labels)
    from inter2former_onnx.runtime.graph import Graph
    from inter2former_onnx.runtime.routing import route

    part = np.ascontiguousarray(labels[region.slices])
    (prompt,) = Graph(mini_bundle, segmenter.manifest, "prompt", 1).run(["prompt"], {"labels": part})
    boundary, other = route(part, region, (12, 12), "boundary", 7)
    offset = np.array([region.top // 16, region.left // 16])
    feed = {**image.arrays, "prompt": prompt, "offset": offset, "boundary": boundary, "other": other}
    feed["changed"] = np.arange(144)
    logits, box, localisation, tokens = decoder.run(None, feed)

    def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
        assert np.abs(found - wanted).max() <= 1e-4 * np.ptp(wanted)

    assert_close(tokens.T, expected[f"{case}_neck"].reshape(256, 144))
    assert_close(localisation, expected[f"{case}_localise"].reshape(12, 12))
    left, top, right, bottom = 16 * box
    whole = expected[f"{case}_logits"].reshape(192, 192)
    assert_close(logits[:, :, 0], whole[top:bottom, left:right])
    outside = np.ones_like(whole, dtype=bool)
    outside[top:bottom, left:right] = False
    assert (whole[outside] == -100).all()


def test_encoder_against_the_reference(mini_bundle: Path, reference_image: np.ndarray) -> None:
    expected = reference("session_exact")["embed"]
    embed = Segmenter(mini_bundle).encode(reference_image).arrays["embed"]
    assert np.abs(embed.transpose(2, 0, 1) - expected).max() <= 1e-4 * np.ptp(expected)


@pytest.mark.parametrize("size", [(1, 1), (20, 5000), (300, 7), (193, 192)])
def test_encoder_takes_any_image(mini_bundle: Path, model: Inter2Former, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    embed = Segmenter(mini_bundle).encode(image).arrays["embed"]
    expected = model.encode(model.preprocess(torch.from_numpy(image))).embed.permute(1, 2, 0).numpy()
    assert np.abs(embed - expected).max() <= 1e-4 * np.ptp(expected)


def test_flat_image_has_no_nan(mini_bundle: Path) -> None:
    """No gradient anywhere: the orientation must be 180 degrees, not NaN."""
    arrays = Segmenter(mini_bundle).encode(np.full((192, 192, 3), 77, dtype=np.uint8)).arrays
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_dense_mode_covers_everything(mini_bundle: Path, model: Inter2Former, reference_image: np.ndarray) -> None:
    segmenter = Segmenter(mini_bundle)
    labels = initial(192, 192)
    labels[:] = 1
    labels[60:90, 70:120] = 3
    labels[70:75, 80:85] = 4
    logits, box = segmenter.decode(segmenter.encode(reference_image), labels, dense=True)
    assert tuple(box) == (0, 0, 192, 192)
    features = model.encode(model.preprocess(torch.from_numpy(reference_image)))
    expected = model.decode(features, torch.from_numpy(labels), dense=True)[0].numpy()
    assert np.abs(logits - expected).max() <= 1e-4 * np.ptp(expected)


def test_verify_accepts_its_checkpoint(mini_bundle: Path, reference_image: np.ndarray) -> None:
    report = verify_bundle(mini_bundle, MINI, reference_image, clicks=3)
    assert report.ok
    assert [difference.graph for difference in report.differences] == ["encoder", "prompt", "decoder"]
    assert len(report.clicks) == 3 and report.clicks[0].positive
    assert report.lines()[-1] == "the bundle computes what the checkpoint says"


def test_verify_refuses_another_checkpoint(mini_bundle: Path, reference_image: np.ndarray, tmp_path: Path) -> None:
    state = read_checkpoint(MINI)
    state["backbone.blocks.0.mlp.fc1.bias"] = state["backbone.blocks.0.mlp.fc1.bias"] + 0.5
    state["decode_head.upsamplers.3.conv.bias"] = state["decode_head.upsamplers.3.conv.bias"] + 5.0
    torch.save(state, tmp_path / "other.pth")
    report = verify_bundle(mini_bundle, tmp_path / "other.pth", reference_image, clicks=1)
    assert not report.ok
    assert any("OUT OF TOLERANCE" in line for line in report.lines())


def small_config(**backbone: Any) -> dict[str, Any]:
    """A configuration that exports in seconds."""
    values = mini_config_dict()
    values["backbone"] |= {"depth": 1, "embed_dim": 32, "num_heads": 1, "out_indices": [0], **backbone}
    return values


WIDE = small_config(embed_dim=128)


@pytest.fixture(scope="module")
def wide_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of random weights (3), most of whose bytes are weights."""
    return export_bundle(tmp_path_factory.mktemp("wide") / "bundle", config=WIDE, random_weights=3)


def test_random_weights_localise_what_is_prompted(wide_bundle: Path, tmp_path: Path) -> None:
    segmenter = Segmenter(wide_bundle)
    image = segmenter.encode(np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8))
    labels = initial(192, 192)
    _, box = segmenter.decode(image, labels)
    assert tuple(box) == (0, 0, 192, 192)  # unknown everywhere
    labels[:] = 1
    labels[48:96, 64:144] = 3
    _, (left, top, right, bottom) = segmenter.decode(image, labels)
    assert 48 <= left <= 64 and 32 <= top <= 48 and 144 <= right <= 160 and 96 <= bottom <= 112
    image = np.zeros((50, 60, 3), dtype=np.uint8)
    assert verify_bundle(wide_bundle, wide_bundle / "checkpoint.pth", image, clicks=1).ok
    again = export_bundle(tmp_path / "again", config=WIDE, random_weights=3)
    assert (again / "encoder.onnx").read_bytes() == (wide_bundle / "encoder.onnx").read_bytes()


def test_float16_storage_halves_the_files_and_rounds_the_weights(wide_bundle: Path, tmp_path: Path) -> None:
    half = export_bundle(tmp_path / "half", config=WIDE, random_weights=3, storage="float16")
    sizes = [sum(path.stat().st_size for path in folder.glob("*.onnx*")) for folder in (wide_bundle, half)]
    assert sizes[1] < 0.62 * sizes[0]
    image = np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    # Exactly as good as PyTorch with rounded weights, and nearly as PyTorch with its own.
    assert verify_bundle(half, half / "checkpoint.pth", image, clicks=2).ok
    exact, rounded = (Segmenter(folder).encode(image).arrays["embed"] for folder in (wide_bundle, half))
    assert 0 < np.abs(exact - rounded).max() < 0.02 * np.ptp(exact)


@pytest.mark.parametrize(
    "arguments, error, said",
    [
        ({}, ArgumentError, "either a checkpoint or a seed"),
        ({"checkpoint": MINI, "random_weights": 1}, ArgumentError, "either a checkpoint or a seed"),
        ({"checkpoint": MINI, "size": 100}, ArgumentError, "size must be a positive multiple of 16, found 100"),
        ({"checkpoint": MINI, "storage": "int4"}, ArgumentError, "storage: expected one of float32, float16"),
        ({"checkpoint": MINI, "config": "vit_b"}, CheckpointError, "mini.pth"),
        ({"checkpoint": "missing.pth"}, CheckpointError, "missing.pth"),
    ],
)
def test_refused(tmp_path: Path, arguments: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        export_bundle(tmp_path / "out", **{"config": mini_config_dict(), **arguments})
    assert not list(tmp_path.iterdir())


def test_existing_folders(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_bytes(b"precious")
    for overwrite in (False, True):
        with pytest.raises(BundleError, match="holiday"):
            export_bundle(tmp_path / "holiday", config=small_config(), random_weights=1, overwrite=overwrite)
    assert (tmp_path / "holiday" / "photo.jpg").read_bytes() == b"precious"
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="file"):
        export_bundle(tmp_path / "file" / "bundle", config=small_config(), random_weights=1)


def test_interrupted_export_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "bundle"
    old.mkdir()
    (old / "manifest.json").write_text("{}")
    trace = bundle_module.trace
    calls = 0

    def interrupted(spec: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return trace(spec)

    monkeypatch.setattr(bundle_module, "trace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_bundle(old, config=small_config(), random_weights=1, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert [path.name for path in old.iterdir()] == ["manifest.json"]
    monkeypatch.undo()
    export_bundle(old, config=small_config(), random_weights=1, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert Segmenter(old).size == 192


def test_what_killed_exports_left_is_removed(tmp_path: Path) -> None:
    """Unfinished folders only, and no recent ones: another process may be at work in those."""
    out = tmp_path / "a [b]"
    for name, content, age in [
        (".a [b].abcdefgh", "encoder.onnx", 2 * 24 * 3600),
        (".a [b].whole123", "manifest.json", 2 * 24 * 3600),
        (".a [b].recent12", "encoder.onnx", 10),
        (".other.abcdefgh", "encoder.onnx", 2 * 24 * 3600),
    ]:
        (tmp_path / name).mkdir()
        (tmp_path / name / content).write_text("")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    bundle_module._tidy(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a [b].recent12", ".a [b].whole123", ".other.abcdefgh"]
