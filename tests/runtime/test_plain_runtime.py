"""docs/bundle.md is complete: a runtime that follows the page gives the masks that ours gives, to the pixel."""

from __future__ import annotations

import ast
import json
import re
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inter2former_onnx import EncodedImage, Segmenter
from inter2former_onnx.custom_ops import library
from inter2former_onnx.runtime.islands import drop_islands
from support import plain_runtime as plain
from support.fake_bundle import write_fake_bundle
from support.fuzzing import fuzz
from support.reference import MINI_SIZE, REPOSITORY, reference

SHIPPED = Path(str(resources.files("inter2former_onnx"))) / "bundle"
TOLERANCE = 1e-3
NEAR_ZERO = 1e-3  # of recorded logits: which side of 0 such a pixel falls on is not held to
LOOPS = [(True, True), (False, False), (True, False), (False, True)]  # enforce_clicks, drop_islands
# Places as shares of the width and the height.
CLICKS = [(0.4, 0.45, True), (0.7, 0.6, True), (0.55, 0.3, False), (0.0, 0.999, True), (0.41, 0.46, False)]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Discs on waves, and noise: a model finds several objects, and islands beside them."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    values = np.stack([127 + 60 * np.sin(9 * x + k) * np.cos(7 * y - k) for k in range(3)], axis=2)
    for _ in range(7):
        row, column, radius = (
            random.uniform(0, y.max() + 0.01),
            random.uniform(0, x.max() + 0.01),
            random.uniform(0.05, 0.2),
        )
        values[(y - row) ** 2 + (x - column) ** 2 < radius**2] = random.uniform(0, 255, 3)
    return np.clip(values + random.normal(0, 8, values.shape), 0, 255).astype(np.uint8)


def test_the_second_runtime_shares_no_code_with_the_first() -> None:
    imported = set()
    for node in ast.walk(ast.parse(Path(plain.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).split(".")[0])
    assert imported == {"__future__", "hashlib", "json", "pathlib", "typing", "numpy", "onnxruntime"}


@pytest.mark.parametrize("routing", ["boundary", "roi"])
def test_the_published_loop(routing: str, request: pytest.FixtureRequest, reference_image: np.ndarray) -> None:
    """The sessions recorded from the published implementation; see test_segmenter.py for what is held to."""
    folder = request.getfixturevalue("mini_bundle" if routing == "boundary" else "mini_bundle_roi")
    recorded = reference("session_exact" if routing == "boundary" else "session_roi")
    segmenter, bundle = opened(folder)
    ours = segmenter.encode(reference_image).session(enforce_clicks=False, drop_islands=False)
    session = plain.Session(bundle.encode(reference_image), enforce_clicks=False, drop_islands=False)
    as_recorded = True
    for i, (y, x, positive) in enumerate(recorded["clicks"].tolist()):
        mask = session.click(x, y, bool(positive))
        tolerance = TOLERANCE if as_recorded else 20 * TOLERANCE
        logits = recorded[f"{i}_logits_original"]
        np.testing.assert_allclose(session.original_logits(), logits, atol=tolerance)
        sure = abs(logits) > max(NEAR_ZERO, tolerance)
        np.testing.assert_array_equal(mask[sure], recorded[f"{i}_mask"][sure])
        as_recorded = as_recorded and np.array_equal(session.labels, recorded[f"{i}_label_out"])
        np.testing.assert_array_equal(mask, ours.click(x, y, bool(positive)))


def play(
    ours: EncodedImage, image: plain.Image, clicks: list[tuple[float, float, bool]], loop: tuple[bool, bool]
) -> int:
    """The same clicks in both, and one undone; returns how many masks had a pixel."""
    first, second = ours.session(loop[0], drop_islands=loop[1]), plain.Session(image, *loop)
    filled = 0
    for x, y, positive in clicks:
        point = min(x * ours.width, ours.width - 0.01), min(y * ours.height, ours.height - 0.01)
        mask = first.click(*point, positive)
        np.testing.assert_array_equal(second.click(*point, positive), mask)
        np.testing.assert_array_equal(second.labels, first.labels)
        np.testing.assert_array_equal(second.original_logits(), first.logits)
        filled += bool(mask.any())
    np.testing.assert_array_equal(second.undo(), first.undo())
    np.testing.assert_array_equal(second.labels, first.labels)
    return filled


def opened(folder: Path) -> tuple[Segmenter, plain.Bundle]:
    """A bundle in both, with portable operators."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTER2FORMER_OPS", "portable")
        segmenter = Segmenter(folder, threads=1)
        segmenter.encode(picture(20, 20))  # or the encoder would be loaded later
        return segmenter, plain.Bundle(folder)


@pytest.fixture(scope="module")
def shipped() -> tuple[Segmenter, plain.Bundle]:
    return opened(SHIPPED)


@pytest.mark.parametrize(
    "height, width, loops", [(300, 420, LOOPS), (700, 512, LOOPS[:1]), (512, 512, LOOPS[:1]), (90, 40, LOOPS[1:2])]
)
def test_the_shipped_bundle(
    shipped: tuple[Segmenter, plain.Bundle], height: int, width: int, loops: list[tuple[bool, bool]]
) -> None:
    """Reduced, enlarged, and as it is."""
    segmenter, bundle = shipped
    ours, image = segmenter.encode(picture(height, width)), bundle.encode(picture(height, width))
    assert sum(play(ours, image, CLICKS, loop) for loop in loops) > 3


def test_the_islands_are_some(shipped: tuple[Segmenter, plain.Bundle]) -> None:
    """The comparison above would say nothing about them, had the model left none."""
    image = shipped[1].encode(picture(300, 420))
    with_islands, without = plain.Session(image, False, False), plain.Session(image, False, True)
    for x, y, positive in CLICKS[:2]:
        point = x * image.width, y * image.height, positive
        if (with_islands.click(*point) != without.click(*point)).any():
            return
    pytest.fail("no island in this picture")


def test_native_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library registered as the page says, and a first click that says what it changed."""
    path = library.find()
    if path is None:
        pytest.skip("this installation has no native custom-op library")
    monkeypatch.setenv("INTER2FORMER_OPS", "native")
    pixels = picture(300, 420)
    play(Segmenter(SHIPPED, threads=1).encode(pixels), plain.Bundle(SHIPPED, path).encode(pixels), CLICKS, LOOPS[0])


@pytest.fixture(scope="module")
def fit(mini_bundle_fit: Path) -> tuple[Segmenter, plain.Bundle]:
    return opened(mini_bundle_fit)


@pytest.mark.parametrize(
    "height, width, loop", [(150, 200, LOOPS[0]), (300, 100, LOOPS[1]), (40, 192, LOOPS[2]), (30, 20, LOOPS[3])]
)
def test_geometry_fit(fit: tuple[Segmenter, plain.Bundle], height: int, width: int, loop: tuple[bool, bool]) -> None:
    ours, image = (each.encode(picture(height, width)) for each in fit)
    assert max(ours.geometry.extent) == MINI_SIZE
    assert play(ours, image, CLICKS, loop)


@pytest.fixture(scope="module", params=["boundary square", "roi square", "boundary fit"])
def fake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Segmenter, plain.Bundle]:
    """A model that costs nothing, and lacks the input `changed` as older ones do."""
    routing, mode = request.param.split()
    return opened(write_fake_bundle(tmp_path_factory.mktemp("plain") / "bundle", routing=routing, mode=mode))


SIDES = st.integers(1, 260)
PLACES = st.tuples(st.floats(0, 0.9999), st.floats(0, 0.9999), st.booleans())


@fuzz(40)
@given(SIDES, SIDES, st.lists(PLACES, min_size=1, max_size=4), st.tuples(st.booleans(), st.booleans()))
def test_any_image_and_any_clicks(
    fake: tuple[Segmenter, plain.Bundle], height: int, width: int, clicks: list[Any], loop: tuple[bool, bool]
) -> None:
    segmenter, bundle = fake
    pixels = picture(height, width)
    play(segmenter.encode(pixels), bundle.encode(pixels), clicks, loop)


def test_a_saved_image(fake: tuple[Segmenter, plain.Bundle], tmp_path: Path) -> None:
    """The archive is what the page says, so numpy alone reads it."""
    segmenter, bundle = fake
    ours = segmenter.encode(picture(70, 50))
    ours.save(tmp_path / "image.npz", source="a picture")
    play(ours, bundle.load(tmp_path / "image.npz"), CLICKS, LOOPS[0])
    with zipfile.ZipFile(tmp_path / "image.npz") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        header = json.loads(archive.read("header.npy").partition(b"\n")[2])
        for name, array in ours.arrays.items():
            start = "{" + f"'descr': '<f4', 'fortran_order': False, 'shape': {array.shape}, " + "}"
            assert archive.read(f"{name}.npy")[10:].startswith(start.encode())
    page = (REPOSITORY / "docs" / "bundle.md").read_text(encoding="utf-8").split("The header:\n")[1]
    assert set(header) == {
        name for line in page.splitlines() for name in re.findall(r"`(\w+)`", line.partition(" | ")[0])
    }


@fuzz(100)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30), st.floats(-1.5, 0.5))
def test_any_islands(seed: int, height: int, width: int, level: float) -> None:
    """Maps of many pieces of all means: what a model's own maps seldom are."""
    random = np.random.default_rng(seed)
    logits = (random.normal(level, 1, (height, width)) * random.choice([1, 3], (height, width))).astype(np.float32)
    clicked = random.random((height, width)) < 0.05
    expected, _ = drop_islands(logits, logits > 0, clicked)
    plain.drop_islands(logits, clicked)
    np.testing.assert_array_equal(logits, expected)


def test_what_is_refused(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "bundle")
    session = plain.Session(plain.Bundle(folder).encode(picture(20, 30)))
    for x, y in [(-1, 0), (30, 0), (0, 20), (float("nan"), 0)]:
        with pytest.raises(ValueError, match="a click beside the image"):
            session.click(x, y)
    path = folder / "decoder.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="is not what the manifest lists"):
        plain.Bundle(folder)
