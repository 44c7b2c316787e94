"""Writing a checkpoint in the published layout, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from ...errors import ArgumentError, CheckpointError, MissingDependencyError
from ...extras import install_hint
from ...runtime.files import FileDraft

__all__ = ["save_checkpoint"]

_PICKLED = (".pth", ".pt", ".ckpt")


def save_checkpoint(path: str | os.PathLike[str], model_or_state: torch.nn.Module | Mapping[str, torch.Tensor]) -> None:
    """Write a model's weights, or a state dict, whole or not at all, over a file that may be there.

    Args:
        path: the file. With the suffix .pth, .pt or .ckpt torch.save writes `{"state_dict": ...}`; with .safetensors
            the bare tensors are written.
        model_or_state: what to write; types stay as they are.

    Raises:
        ArgumentError: another suffix, or values that are no tensors.
        MissingDependencyError: .safetensors without that package.
        CheckpointError: the file cannot be written.
    """
    path = Path(path)
    state = model_or_state.state_dict() if isinstance(model_or_state, torch.nn.Module) else model_or_state
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise ArgumentError(
                f"state dict for {path} holds a {type(value).__name__} under {key!r}, expected a tensor"
            )
    # Each in memory of its own: a view would take its whole storage along, and safetensors takes no shared memory.
    tensors = {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    write = _writer(path, tensors)
    try:
        with FileDraft(path) as draft:
            write(draft.path)
            draft.commit()
    except (OSError, RuntimeError) as error:  # RuntimeError: what torch.save makes of a full disk
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise CheckpointError(f"checkpoint {path} cannot be written: {reason}") from error


def _writer(path: Path, tensors: dict[str, torch.Tensor]) -> Callable[[Path], None]:
    if path.suffix in _PICKLED:

        def write_pickled(target: Path) -> None:
            with target.open("wb") as stream:
                torch.save({"state_dict": tensors}, stream)

        return write_pickled
    if path.suffix != ".safetensors":
        known = ", ".join((*_PICKLED, ".safetensors"))
        raise ArgumentError(f"checkpoint {path} has the extension {path.suffix!r}, expected one of {known}")
    try:
        from safetensors import SafetensorError
        from safetensors.torch import save_file
    except ImportError as error:
        raise MissingDependencyError(
            f"checkpoint {path}: writing it needs safetensors: {install_hint('export')}"
        ) from error

    def write_safetensors(target: Path) -> None:
        try:
            save_file(tensors, target, metadata={"format": "pt"})
        except SafetensorError as error:
            raise OSError(str(error)) from error

    return write_safetensors
