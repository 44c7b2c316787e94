"""For PyInstaller, which asks the entry point `pyinstaller40` of every installed package where its hooks are."""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Name the folder of hook-inter2former_onnx.py."""
    return [str(Path(__file__).parent)]
