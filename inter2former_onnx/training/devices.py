"""Where a run computes."""

from __future__ import annotations

import torch

from ..errors import ArgumentError


def choose_device(name: str) -> torch.device:
    """Choose the device of a run and set what its results depend on.

    Args:
        name: "cpu", "cuda", "cuda:1", ...; "auto" takes a GPU where there is one.

    Raises:
        ArgumentError: PyTorch does not know this device, or there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ArgumentError(f"--device {name}: {str(error).splitlines()[0]}") from None
    # The edge channels are discontinuous in the image: their convolutions must not lose bits on a GPU.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True  # sizes stay the same for a whole stage
    return device
