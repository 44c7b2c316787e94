"""What a stopped run needs to go on exactly where it was: written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError
from ..models import Inter2Former
from ..models.checkpoints import save_checkpoint
from ..runtime.files import write_file

STATE_FILE = "state.pt"


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a run, whole or not at all.

    Raises:
        CheckpointError: the file cannot be written.
    """
    try:
        write_file(path, lambda stream: torch.save(state, stream))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path} cannot be written: {error}") from error


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Read the state that `write_state` wrote (tensors and plain values only).

    Raises:
        CheckpointError: missing or damaged.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist: nothing to resume") from None
    except Exception as error:  # torch.load fails in many ways on a damaged file
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(state, dict) or "model" not in state:
        raise CheckpointError(f"{path}: expected the state of a training run, found {type(state).__name__}")
    return state


def export_weights(path: Path, model: Inter2Former) -> None:
    """Save the model's state dict as safetensors in float16 (integers as they are), for `inter2former export`."""
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()
    }
    save_checkpoint(path, state)
