"""What a frozen program needs of this package beside its modules: the model that ships, the native library, the page,
presets and the other files that are read at run time. PyInstaller runs this file and reads `datas` and `binaries`."""

from __future__ import annotations

from pathlib import Path

import inter2former_onnx
from inter2former_onnx.custom_ops import library

_PACKAGE = Path(inter2former_onnx.__file__).parent
# Modules come by themselves; sources of the kernels and the checkpoint that the model was exported from are not read.
_NOT_DATA = {".py", ".pyc", ".cpp", ".hpp", ".h", ".safetensors", ".so", ".dylib", ".dll"}


def _is_data(path: Path) -> bool:
    inside = path.relative_to(_PACKAGE).parts
    return path.is_file() and path.suffix not in _NOT_DATA and not any(part.startswith(".") for part in inside)


# (file, folder in the frozen program)
datas = [
    (str(path), str(path.parent.relative_to(_PACKAGE.parent))) for path in sorted(_PACKAGE.rglob("*")) if _is_data(path)
]
_library = library.find()
binaries = [] if _library is None else [(str(_library), "inter2former_onnx/custom_ops")]
