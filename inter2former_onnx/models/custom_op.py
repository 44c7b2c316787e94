"""Custom ops in exported graphs: how a module of the paper leaves one there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..custom_ops import DOMAIN, VERSION


def emit(
    name: str,
    inputs: Sequence[Any],
    dtypes: Sequence[torch.dtype],
    shapes: Sequence[Sequence[int | torch.SymInt]],
    **attributes: int | float,
) -> tuple[Tensor, ...]:
    """Put the node `inter2former::name` into the graph that is being exported.

    Args:
        name: the op's name in the domain.
        inputs: its inputs, tensors and groups of them (see `weights`), in the order of its definition.
        dtypes, shapes: type and shape of each output.
        attributes: its attributes.

    Returns:
        Placeholders of the outputs, for the tracing to go on with.
    """
    outputs = torch.onnx.ops.symbolic_multi_out(
        f"{DOMAIN}::{name}", tuple(flatten(inputs)), dict(attributes), dtypes=dtypes, shapes=shapes, version=VERSION
    )
    return tuple(outputs)


def flatten(group: Iterable[Any]) -> Iterator[Tensor]:
    """Lay out the tensors of a group, those of the groups in it in their places."""
    for entry in group:
        if isinstance(entry, Tensor):
            yield entry
        else:
            yield from flatten(entry)


def exporting() -> bool:
    """Tell whether modules are being traced into an ONNX graph; otherwise they run their PyTorch form."""
    return torch.onnx.is_in_onnx_export()
