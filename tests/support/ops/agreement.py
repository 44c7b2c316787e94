"""Holding the forms of an op to each other: oracle, PyTorch form and the op in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from support.ops.arrays import Case, Inputs
from support.ops.comparison import assert_close
from support.ops.groups import grouped
from support.ops.registry import OPS
from support.ops.sessions import run_op


def _outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


def oracle(name: str, inputs: Inputs, attributes: Mapping[str, int | float]) -> list[np.ndarray]:
    """Compute the outputs by the oracle, in float64."""
    exact = [array.astype(np.float64) if array.dtype == np.float32 else array for array in inputs]
    return _outputs(OPS[name].oracle(*exact, **attributes))


def torch_form(name: str, inputs: Inputs, attributes: Mapping[str, int | float]) -> list[np.ndarray]:
    """Compute the outputs by the PyTorch form."""
    with torch.no_grad():
        form = OPS[name].torch_form
        result = form(*grouped(form, (torch.from_numpy(array) for array in inputs)), **attributes)
    return [tensor.numpy() for tensor in _outputs(result)]


def assert_forms_agree(name: str, case: Case, tolerance: float = 2e-5) -> None:
    """Check that PyTorch form, onnxscript function in onnxruntime, and oracle give the same."""
    inputs, attributes = case
    expected = oracle(name, inputs, attributes)
    from_torch = torch_form(name, inputs, attributes)
    portable = run_op(name, inputs, attributes)
    assert_close(from_torch, expected, tolerance, f"{name}: PyTorch form against oracle")
    assert_close(portable, expected, tolerance, f"{name}: onnxscript function against oracle")
    assert_close(portable, from_torch, 2 * tolerance, f"{name}: onnxscript function against PyTorch form")
