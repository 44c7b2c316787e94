"""The bundle that ships in the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ...errors import BundleError

_PACKAGE = __package__.partition(".")[0]


def shipped_bundle() -> Path:
    """Find the folder of the model that ships in the package.

    Raises:
        BundleError: this build has none.
    """
    folder = Path(str(resources.files(_PACKAGE) / "bundle"))
    if not folder.is_dir():
        raise BundleError("no model ships in this build of inter2former-onnx: pass bundle=, an exported one's folder")
    return folder
