"""Custom ops in exported graphs: how a module of the paper leaves one there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..custom_ops import DOMAIN, VERSION


def emit(
    name: str,
    inputs: Sequence[Tensor],
    dtypes: Sequence[torch.dtype],
    shapes: Sequence[Sequence[int | torch.SymInt]],
    **attributes: int | float,
) -> tuple[Tensor, ...]:
    """Put the node `inter2former::name` into the graph that is being exported.

    Args:
        name: the op's name in the domain.
        inputs: its inputs, in order.
        dtypes, shapes: type and shape of each output.
        attributes: its attributes.

    Returns:
        Placeholders of the outputs, for the tracing to go on with.
    """
    outputs = torch.onnx.ops.symbolic_multi_out(
        f"{DOMAIN}::{name}", inputs, dict(attributes), dtypes=dtypes, shapes=shapes, version=VERSION
    )
    return tuple(outputs)


def exporting() -> bool:
    """Tell whether modules are being traced into an ONNX graph; otherwise they run their PyTorch form."""
    return torch.onnx.is_in_onnx_export()
