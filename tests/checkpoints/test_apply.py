"""`load_state_dict`: strict, every mismatch in one message, and nothing half done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from inter2former_onnx.errors import CheckpointError
from inter2former_onnx.models.checkpoints import load_state_dict, read_checkpoint, save_checkpoint


class Small(torch.nn.Module):
    """Three parameters and an integer buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(3, 4)
        self.gain = torch.nn.Parameter(torch.ones(2))
        self.register_buffer("steps", torch.tensor(0))


class Wide(torch.nn.Module):
    """Many parameters."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.values = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(1)) for _ in range(count)])


def good_state() -> dict[str, torch.Tensor]:
    """Values that fit Small."""
    return {
        "first.weight": torch.arange(12.0).reshape(4, 3),
        "first.bias": torch.arange(4.0),
        "gain": torch.tensor([0.5, -0.5]),
        "steps": torch.tensor(40000),
    }


def refusal(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> str:
    """The message; the model must be as it was."""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_state_dict(model, state, "w.pth")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    message = str(caught.value)
    assert message.startswith("checkpoint w.pth ") and "\n" not in message
    return message


def assert_loaded(model: torch.nn.Module) -> None:
    for key, value in model.state_dict().items():
        assert torch.equal(value, good_state()[key]), key


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("step", [False, True])
def test_loads(prefix: str, step: bool) -> None:
    model = Small()
    state = {prefix + key: value for key, value in good_state().items()}
    if step:
        state["step"] = torch.tensor(7)
    load_state_dict(model, state, "w.pth")
    assert_loaded(model)
    assert model.gain.requires_grad


@pytest.mark.parametrize("by", ["compiled", "data_parallel", "averaged", "compiled_averaged", "averaged_compiled"])
@pytest.mark.parametrize("lightning", [False, True])
def test_wrappers_of_other_trainers(by: str, lightning: bool) -> None:
    """The wrappers themselves make the keys, Lightning's module around them included."""
    from torch.optim.swa_utils import AveragedModel

    trained = Small()
    trained.load_state_dict(good_state())
    wrapped: torch.nn.Module = {
        "compiled": lambda: torch.compile(trained, backend="eager"),
        "data_parallel": lambda: torch.nn.DataParallel(trained),
        "averaged": lambda: AveragedModel(trained, use_buffers=True),
        "compiled_averaged": lambda: torch.compile(AveragedModel(trained), backend="eager"),
        "averaged_compiled": lambda: AveragedModel(torch.compile(torch.nn.DataParallel(trained), backend="eager")),
    }[by]()
    if lightning:
        module = torch.nn.Module()
        module.model = wrapped
        wrapped = module
    state = dict(wrapped.state_dict())
    assert not set(state) & set(good_state())
    model = Small()
    load_state_dict(model, state, "w.pth")
    assert_loaded(model)


@pytest.mark.parametrize("stack", ["module.model.", "model._orig_mod.module.", "_orig_mod._orig_mod.model.model."])
def test_stacks_of_prefixes(stack: str) -> None:
    model = Small()
    state = {stack + key: value for key, value in good_state().items()}
    load_state_dict(model, {**state, "n_averaged": torch.tensor(3), "step": torch.tensor(7)}, "w.pth")
    assert_loaded(model)


def test_a_compiled_part() -> None:
    model = Small()
    load_state_dict(model, {k.replace("first.", "first._orig_mod."): v for k, v in good_state().items()}, "w.pth")
    assert_loaded(model)


def test_a_prefix_of_only_some_keys_is_not_taken_off() -> None:
    """Two sets of weights in one: neither is chosen."""
    both = {f"{prefix}{key}": value for key, value in good_state().items() for prefix in ("model.", "ema.module.")}
    assert "seems to be of another model: none of its 8 keys (model.first.weight" in refusal(Small(), both)
    one = {f"model.{key}": value for key, value in good_state().items()}
    assert "1 unexpected: extra" in refusal(Small(), {**one, "model.extra": torch.zeros(1)})


def test_from_file_to_file(tmp_path: Path) -> None:
    model = Small()
    load_state_dict(model, good_state(), "memory")
    for name in ("w.pth", "w.safetensors"):
        save_checkpoint(tmp_path / name, model)
        other = Small()
        load_state_dict(other, read_checkpoint(tmp_path / name), str(tmp_path / name))
        assert_loaded(other)


def test_wrapped_model_keeps_its_prefix() -> None:
    """A model whose own keys start with `module.` takes keys that do, and not stripped ones."""
    model = torch.nn.DataParallel(Small())
    load_state_dict(model, {"module." + key: value for key, value in good_state().items()}, "w.pth")
    assert_loaded(model.module)


def test_step_that_the_model_has_is_not_ignored() -> None:
    class Counting(Small):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("step", torch.tensor(0))

    assert "1 missing: step" in refusal(Counting(), good_state())
    model = Counting()
    load_state_dict(model, {**good_state(), "step": torch.tensor(9)}, "w.pth")
    assert model.state_dict()["step"].item() == 9


def test_all_mismatches_in_one_message() -> None:
    state = good_state()
    del state["gain"]
    state["first.weight"] = torch.zeros(4, 5)
    state["first.bias"] = torch.tensor([1.0, float("nan"), float("inf"), 0.0])
    state["head.weight"] = torch.zeros(1)
    state["steps"] = torch.tensor(4.5)
    assert refusal(Small(), state) == (
        "checkpoint w.pth does not fit the model: 1 missing: gain; 1 unexpected: head.weight;"
        " 2 of another shape or type: steps (found float32, expected int64),"
        " first.weight (found [4, 5], expected [4, 3]); 1 not finite: first.bias"
    )


def test_same_number_of_elements_is_not_the_same_shape() -> None:
    """copy_ would broadcast, or take a scalar for [1]."""
    model = Wide(1)
    assert "values.0 (found [], expected [1])" in refusal(model, {"values.0": torch.tensor(1.0)})
    assert "first.weight (found [3, 4], expected [4, 3])" in refusal(
        Small(), {**good_state(), "first.weight": torch.zeros(3, 4)}
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite(value: float) -> None:
    state = good_state()
    state["first.weight"][2, 1] = value
    assert refusal(Small(), state).endswith("does not fit the model: 1 not finite: first.weight")


def test_long_lists_are_cut() -> None:
    model = Wide(300)
    state = {f"values.{index}": torch.zeros(2) for index in range(100)}
    state.update({f"other.{index}": torch.zeros(1) for index in range(50)})
    message = refusal(model, state)
    assert len(message) < 1000
    assert re.search(
        r"200 missing: values\.100, .* and 192 more; 50 unexpected: other\.0, .* and 42 more; 100 of", message
    )
    assert message.endswith("and 92 more")


def test_another_model() -> None:
    message = refusal(Small(), {f"layer{index}.conv.weight": torch.zeros(1) for index in range(9)})
    assert message == (
        "checkpoint w.pth seems to be of another model: none of its 9 keys (layer0.conv.weight, layer1.conv.weight,"
        " layer2.conv.weight and 6 more) is among this model's 4 (gain, steps, first.weight and 1 more)"
    )


def test_empty_state() -> None:
    assert "4 missing: gain, steps, first.weight, first.bias" in refusal(Small(), {})
