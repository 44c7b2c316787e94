"""`save_checkpoint`: the published layout, whole or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

from inter2former_onnx.errors import ArgumentError, CheckpointError, MissingDependencyError
from inter2former_onnx.models.checkpoints import read_checkpoint, save_checkpoint


def sample() -> dict[str, torch.Tensor]:
    """Types, views and shared memory."""
    base = torch.arange(24.0).reshape(4, 6)
    return {
        "plain": base,
        "same": base,
        "view": base[1:2],
        "transposed": base.t(),
        "half": base.half(),
        "brain": base.bfloat16(),
        "step": torch.tensor(5),
    }


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".safetensors"])
def test_round_trip(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    save_checkpoint(path, sample())
    found = read_checkpoint(path)
    assert set(found) == set(sample())
    for key, value in sample().items():
        assert torch.equal(found[key], value.to(found[key].dtype)), key
    assert os.listdir(tmp_path) == [path.name]


def test_layout_for_others(tmp_path: Path) -> None:
    """What PyTorch and safetensors themselves see; types as given, a view without the storage it is of."""
    save_checkpoint(tmp_path / "w.pth", sample())
    loaded = torch.load(tmp_path / "w.pth", weights_only=True)
    assert list(loaded) == ["state_dict"] and list(loaded["state_dict"]) == list(sample())
    assert loaded["state_dict"]["half"].dtype == torch.float16
    assert loaded["state_dict"]["view"].untyped_storage().nbytes() == 24
    load_file = pytest.importorskip("safetensors.torch").load_file
    save_checkpoint(tmp_path / "w.safetensors", sample())
    flat = load_file(tmp_path / "w.safetensors")
    assert set(flat) == set(sample()) and flat["brain"].dtype == torch.bfloat16


def test_module_and_device_of_grad(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 3)
    save_checkpoint(tmp_path / "w.pth", model)
    found = read_checkpoint(tmp_path / "w.pth")
    assert torch.equal(found["weight"], model.weight.detach()) and not found["weight"].requires_grad


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_file_mode_follows_the_umask(suffix: str, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save_checkpoint(tmp_path / f"w{suffix}", sample())
    finally:
        os.umask(before)
    assert (tmp_path / f"w{suffix}").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_failed_write_leaves_the_old_file(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"w{suffix}"
    save_checkpoint(path, {"w": torch.ones(3)})

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CheckpointError, match=r"w\.\w+ cannot be written: No space left on device"):
        save_checkpoint(path, {"w": torch.zeros(3)})
    assert torch.equal(read_checkpoint(path)["w"], torch.ones(3))
    assert os.listdir(tmp_path) == [path.name]


def test_interruption_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted in the middle of writing, as by a key press."""
    path = tmp_path / "w.pth"
    save_checkpoint(path, {"w": torch.ones(3)})

    def interrupted(value: object, stream: object) -> None:
        stream.write(b"half a file")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"w": torch.zeros(3)})
    assert torch.equal(read_checkpoint(path)["w"], torch.ones(3))
    assert os.listdir(tmp_path) == [path.name]


def test_bad_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match=r"has the extension '\.onnx', expected one of \.pth, .*\.safetensors"):
        save_checkpoint(tmp_path / "w.onnx", sample())
    with pytest.raises(ArgumentError, match=r"w\.pth holds a int under 'step', expected a tensor"):
        save_checkpoint(tmp_path / "w.pth", {"step": 5})  # type: ignore[dict-item]
    with pytest.raises(CheckpointError, match=r"missing.w\.pth cannot be written: No such file or directory"):
        save_checkpoint(tmp_path / "missing" / "w.pth", sample())
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingDependencyError, match=r"w\.safetensors: writing it needs .*'\.\[export\]'"):
        save_checkpoint(tmp_path / "w.safetensors", sample())
    assert os.listdir(tmp_path) == []
