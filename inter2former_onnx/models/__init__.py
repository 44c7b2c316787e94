"""The PyTorch form of Inter2Former: one building block a file, named as in the paper."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoints import load_state_dict, read_checkpoint, save_checkpoint
    from .configuration import ModelConfig, load_config
    from .inter2former import ImageFeatures, Inter2Former

__all__ = [
    "ImageFeatures",
    "Inter2Former",
    "ModelConfig",
    "load_config",
    "load_state_dict",
    "read_checkpoint",
    "save_checkpoint",
]

_HOMES = {
    "checkpoints": ("load_state_dict", "read_checkpoint", "save_checkpoint"),
    "configuration": ("ModelConfig", "load_config"),
    "inter2former": ("ImageFeatures", "Inter2Former"),
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: a configuration is read, and refused, without paying for PyTorch.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
