"""Checkpoint to bundle, and proof that both compute the same."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundle import export_bundle
    from .verification import Report, verify_bundle

__all__ = ["Report", "export_bundle", "verify_bundle"]

_HOMES = {"export_bundle": "bundle", "Report": "verification", "verify_bundle": "verification"}


def __getattr__(name: str) -> Any:
    # Loaded on first use: a request that cannot be met is refused (request.py) without paying for PyTorch.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
