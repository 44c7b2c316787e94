"""What torch.compile made, kept in one file, so that a run that goes on does not compile it again."""

from __future__ import annotations

from pathlib import Path

import torch

from ..runtime.files import write_file

CACHE_FILE = "compiled.bin"


def load_compiled(path: Path) -> bool:
    """Give torch.compile what an earlier process compiled; whether the file could be used.

    The same version of torch on the same kind of machine uses it; for any other it changes nothing.
    """
    if not path.is_file() or not hasattr(torch.compiler, "load_cache_artifacts"):
        return False
    return torch.compiler.load_cache_artifacts(path.read_bytes()) is not None


def save_compiled(path: Path) -> bool:
    """Keep what torch.compile made or used in this process; whether there was anything."""
    # torch 2.6, which the package still allows, has it not.
    artifacts = torch.compiler.save_cache_artifacts() if hasattr(torch.compiler, "save_cache_artifacts") else None
    if artifacts is None:
        return False
    write_file(path, lambda stream: stream.write(artifacts[0]))
    return True
