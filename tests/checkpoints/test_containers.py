"""Which state dict of a training checkpoint is read: the only one, the named one, and never one of two in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from inter2former_onnx.errors import CheckpointError
from inter2former_onnx.models.checkpoints import read_checkpoint
from support.checkpoint_files import WEIGHT, mapping, refusal, whole, write_archive


def weights(value: float, prefix: str = "") -> dict[str, torch.Tensor]:
    return {f"{prefix}a.weight": torch.full((2,), value), f"{prefix}a.bias": torch.zeros(1)}


def saved(tmp_path: Path, content: Any) -> Path:
    torch.save(content, tmp_path / "w.pth")
    return tmp_path / "w.pth"


OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
NAMED_OPTIMIZER = {"state": {"a.weight": {"exp_avg": torch.ones(2), "step": torch.tensor(1.0)}}}


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": weights(1), "optimizer": OPTIMIZER, "epoch": 3},
        {"model": weights(1), "optimizer": NAMED_OPTIMIZER, "scaler": {"scale": 1.0}},
        {"ema": {"module": weights(1), "updates": 7}},  # RT-DETR
        {"checkpoint": {"model": weights(1)}},
        {"module": weights(1), "rng": torch.get_rng_state()},  # DeepSpeed
        {"model_ema": weights(1)},
        {"state_dict": weights(1), "loss": {"running": torch.ones(1)}},  # no weights of the model
        {"generator": {"x": torch.ones(1)}, "model": weights(1)},
    ],
)
def test_the_only_one_is_read(content: dict[str, Any], tmp_path: Path) -> None:
    assert read_checkpoint(saved(tmp_path, content))["a.weight"].tolist() == [1, 1]


def test_one_under_two_names(tmp_path: Path) -> None:
    state = weights(1)
    assert read_checkpoint(saved(tmp_path, {"model": state, "state_dict": state}))["a.weight"].tolist() == [1, 1]
    again = {"model": state, "state_dict": dict(state)}  # the same tensors in two dictionaries
    assert read_checkpoint(saved(tmp_path, again))["a.weight"].tolist() == [1, 1]
    assert read_checkpoint(saved(tmp_path, {"model": state, "ema": state}), key="ema")["a.weight"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("content", "first", "second"),
    [
        ({"state_dict": weights(1), "state_dict_ema": weights(2)}, "state_dict", "state_dict_ema"),
        ({"model": weights(1), "ema": {"module": weights(2), "updates": 7}}, "model", "ema.module"),
        ({"state_dict": weights(1), "teacher": weights(2, "module.")}, "state_dict", "teacher"),
        ({"state_dict": weights(1, "model."), "callbacks": {"E": {"w": weights(2)}}}, "state_dict", "callbacks.E.w"),
        ({"model": weights(1), "net": {"x": torch.full((2,), 2.0), "y": torch.ones(1)}}, "model", "net"),
        ({**weights(1), "ema": weights(2)}, ".", "ema"),
    ],
)
def test_two_are_never_chosen_between(content: dict[str, Any], first: str, second: str, tmp_path: Path) -> None:
    path = saved(tmp_path, content)
    one = "the file's own (named .)" if first == "." else f"{first} (2 tensors)"
    assert refusal(path) == f"holds several state dicts, {one}, {second} (2 tensors): choose one with key=NAME"
    for key, value in ((first, 1), (second, 2)):
        assert next(iter(read_checkpoint(path, key=key).values())).tolist() == [value, value]


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": weights(1), "epoch": 3})
    for key in ("ema", "epoch", "."):
        with pytest.raises(CheckpointError, match=f"under '{key}'; there is state_dict \\(2 tensors\\)"):
            read_checkpoint(path, key=key)
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file(weights(1), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="is a safetensors file, which holds one state dict; there is no 'ema'"):
        read_checkpoint(tmp_path / "w.safetensors", key="ema")


def test_an_unknown_name_is_listed_and_can_be_taken(tmp_path: Path) -> None:
    path = saved(tmp_path, {"epoch": 3, "weights.v2": weights(1)})
    assert refusal(path).endswith("; tensors are under weights.v2 (2 tensors): choose with key=NAME")
    assert read_checkpoint(path, key="weights.v2")["a.weight"].tolist() == [1, 1]


def test_dictionaries_that_hold_each_other(tmp_path: Path) -> None:
    """A cycle, and one dictionary at many places: each is looked at once."""
    inner = mapping({"w": WEIGHT})
    path = write_archive(tmp_path / "w.pth", whole(mapping({"model": inner, "x": b"}q\x01(X\x01\0\0\0ah\x01u"})))
    assert read_checkpoint(path)["w"].tolist() == [1, 2, 3]
