"""The named groups that the PyTorch forms take (`inter2former_onnx.models.weights`), and the ops' inputs in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, get_type_hints

from torch import Tensor

from inter2former_onnx.export.quantised_layers import QuantWeights
from inter2former_onnx.models.weights import ExpertWeights, LinearWeights, NormWeights

# Groups whose tensors are called after their layer, `norm_weight`, but in an argument that is just called `weights`.
LAYERS = (NormWeights, LinearWeights, ExpertWeights, QuantWeights)


def _arguments(form: Callable[..., Any]) -> dict[str, Any]:
    return {name: kind for name, kind in get_type_hints(form).items() if name != "return"}


def _is_attribute(kind: Any) -> bool:
    return kind in (int, float)


def _tensors(name: str, kind: Any) -> Iterator[str]:
    """Name the tensors of an argument or a field of that name and type, those of groups in their places."""
    if kind is Tensor:
        yield name
        return
    assert issubclass(kind, tuple) and hasattr(kind, "_fields"), f"{name}: {kind} is no group"
    prefix = f"{name}_" if kind in LAYERS and name != "weights" else ""
    hints = get_type_hints(kind)
    for field in kind._fields:
        yield from _tensors(prefix + field, hints[field])


def names_of(form: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Name the inputs and the attributes of the op that a PyTorch form belongs to."""
    arguments = _arguments(form)
    attributes = [name for name, kind in arguments.items() if _is_attribute(kind)]
    assert list(arguments)[len(arguments) - len(attributes) :] == attributes, "attributes come last"
    return [n for name, kind in arguments.items() if name not in attributes for n in _tensors(name, kind)], attributes


def _take(kind: Any, tensors: Iterator[Tensor]) -> Any:
    if kind is Tensor:
        return next(tensors)
    hints = get_type_hints(kind)
    return kind(*(_take(hints[field], tensors) for field in kind._fields))


def grouped(form: Callable[..., Any], tensors: Iterable[Tensor]) -> list[Any]:
    """Put an op's inputs into the groups that its PyTorch form takes."""
    waiting = iter(tensors)
    arguments = [_take(kind, waiting) for kind in _arguments(form).values() if not _is_attribute(kind)]
    assert next(waiting, None) is None, "more tensors than inputs"
    return arguments
