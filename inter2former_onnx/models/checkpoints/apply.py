"""A state dict into a model: strictly, with every mismatch in one error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch

from ...errors import CheckpointError
from ...wording import counted
from .names import shown

__all__ = ["load_state_dict"]

# Counts beside the weights: the training steps of published checkpoints, the averaged models of AveragedModel.
_COUNTS = ("step", "n_averaged")
# What wrappers put before every key, in any order and number: DataParallel, DistributedDataParallel and AveragedModel
# the one; Lightning modules, which by custom keep the network in `self.model`, the other.
_PREFIXES = ("module.", "model.")
_COMPILED = "_orig_mod."  # torch.compile's, before the keys of whatever was compiled: the model or parts of it
_MOST_LISTED = 8


def load_state_dict(model: torch.nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Copy a state dict into a model's parameters and buffers.

    Every key must be there, none more, each of the model's shape. The counts `step` and `n_averaged` beside the weights
    are ignored. Any stack of `module.`, `model.` and `_orig_mod.` before every key is taken off, the last one inside
    keys, too.

    Args:
        model: changed in place.
        state: the tensors by their names.
        source: what the message calls the checkpoint (its path).

    Raises:
        CheckpointError: keys are missing, unexpected, of another shape or kind (floats for integers), or hold NaN or
            infinity; all of them in one message, long lists cut with their counts. The model is as it was.
    """
    expected = model.state_dict()
    found = _without_prefixes(_without_counts(state, expected), expected)
    common = [key for key in expected if key in found]
    if found and expected and not common:
        raise CheckpointError(
            f"checkpoint {source} seems to be of another model: none of its {counted(len(found), 'key')}"
            f" ({_listed(list(found), 3)}) is among this model's {len(expected)} ({_listed(list(expected), 3)})"
        )
    groups = (
        ("missing", [key for key in expected if key not in found]),
        ("unexpected", [key for key in found if key not in expected]),
        ("of another shape or type", _misfits(found, expected, common)),
        ("not finite", [key for key in common if not bool(torch.isfinite(found[key]).all())]),
    )
    problems = [f"{len(keys)} {title}: {_listed(keys, _MOST_LISTED)}" for title, keys in groups if keys]
    if problems:
        raise CheckpointError(f"checkpoint {source} does not fit the model: {'; '.join(problems)}")
    model.load_state_dict({key: found[key] for key in expected}, strict=True)


def _without_prefixes(state: dict[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take off what wrappers put before every key; where nothing of the model comes to light, `state` as it was."""
    found = state
    if not any(_COMPILED in key for key in expected):
        plain = {re.sub(rf"(^|\.)({_COMPILED})+", r"\1", key): value for key, value in state.items()}
        found = _without_counts(plain, expected) if len(plain) == len(state) else state
    while found and not any(key in expected for key in found):
        prefix = next((prefix for prefix in _PREFIXES if all(key.startswith(prefix) for key in found)), None)
        if prefix is None:
            return state
        found = _without_counts({key.removeprefix(prefix): value for key, value in found.items()}, expected)
    return found


def _without_counts(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key not in _COUNTS or key in expected}


def _misfits(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], common: Sequence[str]
) -> list[str]:
    misfits = []
    for key in common:
        here, there = found[key], expected[key]
        if here.shape != there.shape:
            misfits.append(f"{key} (found {list(here.shape)}, expected {list(there.shape)})")
        elif here.is_floating_point() != there.is_floating_point():
            misfits.append(f"{key} (found {_type_name(here)}, expected {_type_name(there)})")
    return misfits


def _type_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _listed(keys: Sequence[str], most: int) -> str:
    text = ", ".join(shown(key, 200) for key in keys[:most])
    return text if len(keys) <= most else f"{text} and {len(keys) - most} more"
