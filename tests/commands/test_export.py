"""`inter2former export` and `verify`, from a checkpoint on disk to an exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inter2former_onnx import Segmenter, cli, errors
from inter2former_onnx.commands.verify import EXIT_OUT_OF_TOLERANCE
from inter2former_onnx.export import export_bundle
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--random-weights", "1", "--config", "vit_b", "--size", "100"], "size must be a positive multiple of 16"),
        (["--random-weights", "1", "--config", "huge"], "huge"),
        (["--checkpoint", "nothing.pth", "--config", "vit_b"], "checkpoint nothing.pth does not exist"),
        (["--random-weights", "1", "--config", "vit_b", "--out", "there"], "choose another folder or pass --overwrite"),
        (["--random-weights", "1", "--config", "vit_b", "--calibration", "there"], "calibration is for precision int8"),
        (["--random-weights", "1", "--config", "vit_b", "--key", "ema"], "key 'ema' chooses in a checkpoint"),
        (
            ["--random-weights", "1", "--config", "vit_b", "--precision", "int8", "--calibration", "there"],
            "calibration: no image in there",
        ),
    ],
)
def test_refusals_do_not_import_pytorch(arguments: list[str], message: str, tmp_path: Path) -> None:
    """They come at once, and where no PyTorch is installed, too."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "notes.txt").write_text("mine")
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from inter2former_onnx import cli\n"
        "sys.exit(cli.main(['export', '--out', 'new', *sys.argv[1:]]))"
    )
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert result.returncode in range(2, 10)


def test_what_to_pass_is_said_to_whom_it_concerns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A command's user is told the option, a Python caller the argument."""
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(errors.BundleError, match=r"exists; choose another folder or pass overwrite=True$"):
        export_bundle(tmp_path, config="vit_b", random_weights=1)
    command = ["export", "--random-weights", "1", "--config", "vit_b", "--out", str(tmp_path)]
    assert cli.main(command) == errors.BundleError.exit_code
    assert capsys.readouterr().err.endswith("exists; choose another folder or pass --overwrite\n")


def test_a_checkpoint_with_several_state_dicts(
    tmp_path: Path, mini_bundle: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused until --key says which; the bundle's manifest keeps the answer, and verify needs the same."""
    state = dict(read_checkpoint(DATA / "mini.pth"))
    other = {key: -value if value.is_floating_point() else value for key, value in state.items()}
    averaged = {f"module._orig_mod.{key}": value for key, value in state.items()} | {"n_averaged": torch.tensor(5)}
    torch.save({"model": other, "ema": averaged}, tmp_path / "two.pth")
    verify = ["verify", str(mini_bundle), "--checkpoint", str(tmp_path / "two.pth"), "--clicks", "1"]
    assert cli.main([*verify, "--image", str(photo)]) == errors.CheckpointError.exit_code
    said = capsys.readouterr().err
    assert "holds several state dicts, model (227 tensors), ema (228 tensors): choose one with --key NAME" in said
    assert cli.main([*verify, "--image", str(photo), "--key", "ema"]) == 0
    out = tmp_path / "bundle"
    export = ["export", "--checkpoint", str(tmp_path / "two.pth"), "--config", str(config_file(tmp_path))]
    assert cli.main([*export, "--out", str(out), "--key", "ema"]) == 0
    assert Segmenter(out).manifest.source["key"] == "ema"
