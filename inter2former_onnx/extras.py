"""Optional packages: asked for by name, with the extra that brings them in the message."""

from __future__ import annotations

from importlib.util import find_spec

from .errors import MissingDependencyError


def missing(*modules: str) -> list[str]:
    """Those of the named top-level modules that are not installed (found without importing them)."""
    return [module for module in modules if find_spec(module) is None]


def require(extra: str, *modules: str) -> None:
    """Raises MissingDependencyError naming this package's `extra` when one of `modules` is not installed."""
    absent = missing(*modules)
    if absent:
        raise MissingDependencyError(
            f"this needs {', '.join(absent)}, not installed here: pip install 'inter2former-onnx[{extra}]'"
        )
