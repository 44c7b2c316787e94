"""The PyTorch form of Inter2Former: one building block a file, named as in the paper."""

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
