"""The model that ships: what is in the package, that it is the checkpoint of the repository, and what it draws."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inter2former_onnx import EncodedImage, Segmenter, cli
from inter2former_onnx.assets import DEMO_PHOTOGRAPH
from inter2former_onnx.evaluation.clicks import simulate_click
from inter2former_onnx.evaluation.metrics import iou
from inter2former_onnx.images import read_image
from inter2former_onnx.runtime.bundle import check_files
from support.reference import REPOSITORY

CHECKPOINT = REPOSITORY / "inter2former_onnx" / "training" / "weights" / "tiny.safetensors"
MOST_BYTES = 14_000_000
MOST_PARAMETERS = 6_000_000


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(threads=2)


@pytest.fixture(scope="module")
def photograph(segmenter: Segmenter) -> EncodedImage:
    return segmenter.encode(read_image(DEMO_PHOTOGRAPH))


def ellipse(x: float, y: float, width: float, height: float) -> NDArray[np.bool_]:
    """An ellipse by its centre and half axes in the photograph: bool [400, 600]."""
    rows, columns = np.ogrid[:400, :600]
    return ((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 <= 1.0


CUP = ellipse(290, 113, 117, 95)  # its rim and all within
SAUCER = ellipse(278, 222, 201, 162) | CUP


def test_it_is_small_and_whole(segmenter: Segmenter) -> None:
    manifest = segmenter.manifest
    check_files(segmenter.bundle, manifest, manifest.files)
    files = [path for path in segmenter.bundle.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"manifest.json", *manifest.files}
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert sum(graph.parameters for graph in manifest.graphs.values()) <= MOST_PARAMETERS
    assert "random_weights" not in manifest.source


def test_it_is_the_checkpoint_of_the_repository(segmenter: Segmenter) -> None:
    pytest.importorskip("torch")
    from inter2former_onnx.export import verify_bundle
    from inter2former_onnx.models import load_config

    config = load_config("tiny")
    assert segmenter.manifest.model == config.to_dict() and segmenter.manifest.click_radius == config.click_radius
    report = verify_bundle(segmenter.bundle, CHECKPOINT, read_image(DEMO_PHOTOGRAPH), clicks=3, threads=2)
    assert report.ok, "\n".join(report.lines())


@pytest.mark.parametrize(("target", "after_five"), [(CUP, 0.9), (SAUCER, 0.75)], ids=["cup", "saucer"])
def test_clicks_lead_to_the_object(photograph: EncodedImage, target: NDArray[np.bool_], after_five: float) -> None:
    """The saucer with the cup on it, of two materials, takes more clicks."""
    session = photograph.session()
    mask = np.zeros_like(target)
    overlaps = []
    for _ in range(10):
        click = simulate_click(mask, target)
        assert click is not None
        mask = session.click(*click)
        overlaps.append(iou(mask, target))
    print("IoU after each click:", " ".join(f"{overlap:.2f}" for overlap in overlaps))
    assert overlaps[4] >= after_five and overlaps[9] >= 0.9


def test_it_honours_clicks_by_itself(photograph: EncodedImage) -> None:
    """Without enforcement, on a grid of clicks that follow no object."""
    rng = np.random.default_rng(3)
    right = []
    for _ in range(8):
        session = photograph.session(enforce_clicks=False, drop_islands=False)
        for x, y in rng.uniform((20, 20), (580, 380), (5, 2)):
            positive = bool(rng.random() < 0.6) or not session.clicks
            right.append(bool(session.click(x, y, positive)[int(y), int(x)]) == positive)
    assert np.mean(right) >= 0.9


def test_dynamic_and_dense_masks_are_of_one_object(photograph: EncodedImage) -> None:
    """Nearly equal: what is drawn is normalised over the box, which in dense mode is the whole map."""
    segmenter = photograph.segmenter
    session = photograph.session()
    session.click(290, 113)
    session.click(290, 150)
    labels = session.labels
    dynamic, dense = (np.zeros(labels.shape, bool) for _ in range(2))
    for mask, whole in ((dynamic, False), (dense, True)):
        logits, box = segmenter.decode(photograph, labels, dense=whole)
        mask[box.slices] = logits > 0
    assert iou(dynamic, dense) >= 0.85


def test_commands_take_it_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(DEMO_PHOTOGRAPH, tmp_path / "photo.jpg")
    arguments = ["segment", str(tmp_path / "photo.jpg"), "--click", "290,113", "--out", str(tmp_path / "mask.npy")]
    assert cli.main(arguments) == 0
    assert 0.02 < np.load(tmp_path / "mask.npy").mean() < 0.6
    assert cli.main(["demo", "--out", str(tmp_path / "demo.png")]) == 0
    assert "random" not in capsys.readouterr().out
    assert read_image(tmp_path / "demo.png").std() > 10
    assert cli.main(["info"]) == 0
    assert "512 pixels" in capsys.readouterr().out
