"""Checkpoints: reading untrusted ones, applying them to a model, saving. Nothing in a checkpoint is ever executed."""

from .apply import load_state_dict
from .limits import Limits
from .reader import read_checkpoint
from .save import save_checkpoint

__all__ = ["Limits", "load_state_dict", "read_checkpoint", "save_checkpoint"]
