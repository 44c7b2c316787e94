"""The published ViT-B configuration at its real size, with random weights: export, photographs, clicks."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inter2former_onnx import Segmenter

MOST_MEMORY = 8 << 30  # bytes that an export may take

EXPORT = """
import sys
from inter2former_onnx.cli import main
sys.exit(main(["export", "--config", "vit_b", "--random-weights", "7", "--out", sys.argv[1]]))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported in a process of its own, whose memory the kernel accounts."""
    folder = tmp_path_factory.mktemp("vit_b") / "bundle"
    subprocess.run([sys.executable, "-c", EXPORT, str(folder)], check=True, cwd=folder.parent)
    return folder


@pytest.fixture(scope="module")
def segmenter(bundle: Path) -> Segmenter:
    return Segmenter(bundle, threads=2)


def test_export_fits_in_memory(bundle: Path) -> None:
    kilobytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # of the largest child so far
    assert kilobytes * 1024 < MOST_MEMORY
    assert (bundle / "checkpoint.pth").stat().st_size > 300e6  # the weights are there, in the published format


@pytest.mark.parametrize("height, width", [(900, 1600), (1600, 900)])
def test_photographs_and_clicks(segmenter: Segmenter, height: int, width: int) -> None:
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([rows * 255 // height, columns * 255 // width, (rows // 40 + columns // 40) % 2 * 255], axis=2)
    encoded = segmenter.encode(image.astype(np.uint8))
    assert encoded.arrays["embed"].shape == (64, 64, 256)
    assert all(np.isfinite(array).all() for array in encoded.arrays.values())
    session = encoded.session()
    for x, y, positive in ((width // 2, height // 2, True), (0, 0, False), (width - 1, height - 1, True)):
        mask = session.click(x, y, positive=positive)
        assert mask.shape == (height, width) and mask.dtype == bool
        assert mask[y, x] == positive
    assert np.isfinite(session.logits).all()
