"""`inter2former export` and `verify`, from a checkpoint on disk to an exit status."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inter2former_onnx import Segmenter, cli, errors
from inter2former_onnx.commands.verify import EXIT_OUT_OF_TOLERANCE
from inter2former_onnx.models import read_checkpoint
from support.reference import DATA, MINI_SIZE, mini_config_dict


@pytest.fixture
def photo(tmp_path: Path, reference_image: np.ndarray) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(reference_image).save(path)
    return path


def config_file(folder: Path) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(mini_config_dict()))
    return path


def test_random_weights_become_a_bundle_that_is_verified(
    tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way by commands alone, at a size other than the configuration's."""
    out = tmp_path / "bundle"
    export = ["export", "--random-weights", "3", "--config", str(config_file(tmp_path)), "--out", str(out)]
    assert cli.main([*export, "--size", "128"]) == 0
    assert str(out) in capsys.readouterr().out
    segmenter = Segmenter(out)
    assert segmenter.size == 128 != MINI_SIZE
    assert segmenter.manifest.source == {"random_weights": 3}

    verify = ["verify", str(out), "--checkpoint", str(out / "checkpoint.pth"), "--clicks", "2"]
    assert cli.main([*verify, "--image", str(photo)]) == 0
    text = capsys.readouterr().out
    assert "click 2" in text and "click 3" not in text and "encoder" in text and "decoder" in text

    assert cli.main(["info", str(out)]) == 0
    assert "random weights, seed 3" in capsys.readouterr().out

    # It is there now: refused without --overwrite, before any work.
    assert cli.main(export) == errors.BundleError.exit_code
    assert "--overwrite" in capsys.readouterr().err
    assert segmenter.manifest.id == Segmenter(out).manifest.id


def test_verify_uses_the_photograph_in_the_package(mini_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", str(mini_bundle), "--checkpoint", str(DATA / "mini.pth"), "--clicks", "1"]) == 0
    assert "click 1" in capsys.readouterr().out


def test_verify_notices_other_weights(
    mini_bundle: Path, tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = dict(read_checkpoint(DATA / "mini.pth"))
    name = next(name for name in state if name.startswith("decode_head") and name.endswith("conv.weight"))
    state[name] = -state[name]
    torch.save({"state_dict": state}, tmp_path / "other.pth")
    command = ["verify", str(mini_bundle), "--checkpoint", str(tmp_path / "other.pth"), "--clicks", "1"]
    assert cli.main([*command, "--image", str(photo)]) == EXIT_OUT_OF_TOLERANCE
    assert "OUT OF TOLERANCE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--checkpoint", "nothing.pth", "--config", "vit_b"], errors.CheckpointError, "nothing.pth"),
        (["--random-weights", "1", "--config", "huge"], errors.ConfigError, "vit_b"),
        (["--random-weights", "1", "--config", "vit_b", "--size", "100"], errors.ArgumentError, "multiple of 16"),
    ],
)
def test_unusable_input_is_refused_by_name(
    arguments: list[str],
    error: type[errors.Inter2FormerError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", *arguments, "--out", "bundle"]) == error.exit_code
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
