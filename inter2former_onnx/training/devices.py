"""Where a run computes."""

from __future__ import annotations

import torch


def choose_device(name: str) -> torch.device:
    """Choose the device of a run and set what its results depend on.

    Args:
        name: "cpu", "cuda", "cuda:1", ...; "auto" takes a GPU where there is one.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    # The edge channels are discontinuous in the image: their convolutions must not lose bits on a GPU.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True  # sizes stay the same for a whole stage
    return torch.device(name)
