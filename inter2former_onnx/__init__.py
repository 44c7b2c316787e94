"""inter2former-onnx: interactive segmentation on CPUs (Inter2Former, ICCV 2025) with onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .telemetry import turn_off

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .runtime import ClickSession, EncodedImage, Predictor, Segmenter

__all__ = ["ClickSession", "EncodedImage", "Predictor", "Segmenter", "__version__"]

turn_off()  # here, because nothing of the package is imported before this


def __getattr__(name: str) -> Any:
    # Loaded on first use: `import inter2former_onnx` (and the command's --help) must not pay for onnxruntime.
    if name in ("ClickSession", "EncodedImage", "Predictor", "Segmenter"):
        from . import runtime

        return getattr(runtime, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
