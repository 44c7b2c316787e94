"""Where the tests' data lie, and the numbers recorded from the published implementation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
REPOSITORY = TESTS.parent
DATA = TESTS / "data"
MINI_SIZE = 192


def mini_config_dict(routing: str = "boundary") -> dict[str, Any]:
    """The published arguments of the reference model, with the geometry that README of the reference data states."""
    values: dict[str, Any] = json.loads((DATA / "mini_config.json").read_text())
    return {**values, "routing": routing, "geometry": {"mode": "square", "size": MINI_SIZE, "size_divisor": 64}}


def reference(name: str) -> Mapping[str, np.ndarray]:
    """The arrays of one reference file, by its stem."""
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)
