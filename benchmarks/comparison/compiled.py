"""Our PyTorch modules under torch.compile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from inter2former_onnx.models import ImageFeatures, Inter2Former

Encode = Callable[[Tensor], ImageFeatures]
Decode = Callable[[ImageFeatures, Tensor], tuple[Tensor, Any]]


def compiled(model: Inter2Former) -> tuple[Encode, Decode]:
    """Wrap the model's `encode` and `decode` so that calls compile them.

    Box and tokens have another size at every click, so the decoder's shapes are compiled as variables, once for all.
    """
    # Parts on which the compiler fails run eagerly: with torch 2.13 some of the decoder with variable shapes do.
    torch._dynamo.config.suppress_errors = True  # type: ignore[attr-defined]
    # It would tell pages about each.
    torch._logging.set_logs(all=logging.CRITICAL)
    return torch.compile(model.encode), torch.compile(model.decode, dynamic=True)
