"""Optional packages: which of this package's extras brings them, and asking for them with that extra in the message."""

from __future__ import annotations

from importlib.util import find_spec

from .errors import MissingDependencyError

_IMAGE = ("PIL", "cv2", "tqdm")

# Extra -> the modules that are imported of what it brings, as pyproject.toml lists it. The other extras (bench, test)
# are for those who work on this package.
EXTRAS: dict[str, tuple[str, ...]] = {
    "image": _IMAGE,
    "eval": (*_IMAGE, "matplotlib", "pycocotools", "scipy"),
    "annotate": ("PIL", "starlette", "uvicorn"),
    "export": ("torch", "onnx", "onnxscript", "safetensors", "tqdm"),
    "train": (*_IMAGE, "torch", "safetensors", "matplotlib", "pycocotools"),
}


def missing(*modules: str) -> list[str]:
    """Find out which modules are not installed, without importing them.

    Args:
        modules: names of top-level modules.

    Returns:
        Those that are not there, in their order.
    """
    return [module for module in modules if find_spec(module) is None]


def require(extra: str, *modules: str) -> None:
    """Refuse to go on without an extra.

    Args:
        extra: one of EXTRAS.
        modules: those of its modules that are needed, where it is not all of them.

    Raises:
        MissingDependencyError: one of them is not installed; the message says how to install the extra.
    """
    absent = missing(*(modules or EXTRAS[extra]))
    if absent:
        raise MissingDependencyError(f"this needs {', '.join(absent)}, not installed here: {install_hint(extra)}")


def install_hint(extra: str) -> str:
    """Say how an extra is installed: from a clone or a wheel, as no index has the package."""
    return f"pip install '.[{extra}]' in a clone of the source, or pip install 'FILE.whl[{extra}]'"
