"""The runtime on the reference checkpoint's bundles: recorded sessions, awkward images, many threads."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from inter2former_onnx import EncodedImage, Segmenter
from inter2former_onnx.errors import ArgumentError, BundleError, EmbeddingError, ImageError, OpsLibraryError
from inter2former_onnx.models import Inter2Former, ModelConfig, load_state_dict, read_checkpoint
from inter2former_onnx.runtime import labels as label_rules
from inter2former_onnx.runtime.bundle import shipped as module
from support.fake_bundle import bundle_id, edit_manifest, write_fake_bundle
from support.reference import DATA, MINI_SIZE, mini_config_dict, reference

NEAR_ZERO = 1e-3  # of recorded logits: which side of 0 such a pixel falls on is not held to
TOLERANCE = 1e-3
CASES = ("first", "mid", "empty", "corner", "band")


@pytest.fixture(scope="module")
def segmenter(mini_bundle: Path) -> Segmenter:
    return Segmenter(mini_bundle, threads=2)


@pytest.fixture(scope="module")
def encoded(segmenter: Segmenter, reference_image: np.ndarray) -> EncodedImage:
    return segmenter.encode(reference_image)


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_bundle(tmp_path_factory.mktemp("segmenter") / "bundle")


def photograph(height: int, width: int) -> np.ndarray:
    """Smooth, so that a model has something to hold on to."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(x / (7 + 5 * k) + k) * np.cos(y / (11 + 3 * k)) for k in range(3)]
    return np.stack(waves, axis=2).astype(np.uint8)


@pytest.mark.parametrize("routing", ["boundary", "roi"])
def test_replays_the_recorded_session(
    routing: str, request: pytest.FixtureRequest, reference_image: np.ndarray
) -> None:
    bundle = request.getfixturevalue("mini_bundle" if routing == "boundary" else "mini_bundle_roi")
    recorded = reference("session_exact" if routing == "boundary" else "session_roi")
    session = Segmenter(bundle, threads=2).encode(reference_image).session(enforce_clicks=False, drop_islands=False)
    sure_labels = np.ones((MINI_SIZE, MINI_SIZE), dtype=bool)
    as_recorded = True
    for i, (y, x, positive) in enumerate(recorded["clicks"].tolist()):
        mask = session.click(x, y, bool(positive))
        logits = recorded[f"{i}_logits_original"]
        # One pixel whose logit is zero to the last digits can fall on the other side, and all later ones move a little.
        tolerance = TOLERANCE if as_recorded else 20 * TOLERANCE
        np.testing.assert_allclose(session.logits, logits, atol=tolerance)
        sure = abs(logits) > max(NEAR_ZERO, tolerance)
        np.testing.assert_array_equal(mask[sure], recorded[f"{i}_mask"][sure])
        # A label is the sum of all predictions so far.
        sure_labels &= abs(recorded[f"{i}_logits"]) > max(NEAR_ZERO, tolerance)
        np.testing.assert_array_equal(session.labels[sure_labels], recorded[f"{i}_label_out"][sure_labels])
        as_recorded = np.array_equal(session.labels, recorded[f"{i}_label_out"])
    assert sure_labels.mean() > 0.99


def test_encoder_matches_the_recorded_embedding(encoded: EncodedImage) -> None:
    expected = reference("session_exact")["embed"].transpose(1, 2, 0)
    np.testing.assert_allclose(encoded.arrays["embed"], expected, atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize("case", CASES)
def test_decode_matches_the_recorded_cases(segmenter: Segmenter, encoded: EncodedImage, case: str) -> None:
    recorded = reference("cases_exact")
    logits, box = segmenter.decode(encoded, recorded[f"{case}_label"])
    full = np.full((MINI_SIZE, MINI_SIZE), -100, dtype=np.float32)
    full[box.slices] = logits
    np.testing.assert_allclose(full, recorded[f"{case}_logits"], atol=TOLERANCE)
    assert logits.dtype == np.float32


def test_dense_run_matches_the_model(segmenter: Segmenter, encoded: EncodedImage, reference_image: np.ndarray) -> None:
    labels = reference("cases_exact")["mid_label"]
    model = Inter2Former(ModelConfig.from_dict(mini_config_dict())).eval().requires_grad_(False)
    load_state_dict(model, read_checkpoint(DATA / "mini.pth"), "mini.pth")
    features = model.encode(model.preprocess(torch.from_numpy(reference_image)))
    expected, _ = model.decode(features, torch.from_numpy(labels), dense=True)
    logits, box = segmenter.decode(encoded, labels, dense=True)
    assert box == (0, 0, MINI_SIZE, MINI_SIZE)
    np.testing.assert_allclose(logits, expected.numpy(), atol=TOLERANCE)
    assert segmenter.decode(encoded, labels).box != box


def test_labels_may_be_a_view(segmenter: Segmenter, encoded: EncodedImage) -> None:
    labels = reference("cases_exact")["mid_label"]
    view = np.asfortranarray(labels)
    np.testing.assert_array_equal(segmenter.decode(encoded, view).logits, segmenter.decode(encoded, labels).logits)


def test_image_may_be_a_view(segmenter: Segmenter, encoded: EncodedImage, reference_image: np.ndarray) -> None:
    view = np.ascontiguousarray(reference_image[::-1, :, ::-1])[::-1, :, ::-1]
    assert not view.flags.c_contiguous
    np.testing.assert_array_equal(segmenter.encode(view).arrays["embed"], encoded.arrays["embed"])


@pytest.mark.parametrize("height, width", [(1, 1), (1, 300), (20, 5000), (5000, 20), (192, 192), (64, 64), (257, 3)])
def test_awkward_image_sizes(segmenter: Segmenter, height: int, width: int) -> None:
    session = segmenter.encode(photograph(height, width)).session()
    for x, y in [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1), (width / 2, height / 2)]:
        mask = session.click(x, y)
        assert mask.shape == (height, width) and mask.dtype == np.bool_
        assert mask[int(y), int(x)]
    assert np.isfinite(session.logits).all()
    mask = session.click(0, 0, positive=False)
    assert not mask[0, 0]
    session.undo()
    assert session.mask[0, 0]


def test_twenty_clicks_on_one_pixel(encoded: EncodedImage) -> None:
    session = encoded.session()
    for count in range(1, 21):
        mask = session.click(80, 60)
        assert mask[60, 80] and len(session.clicks) == count
    assert np.isfinite(session.logits).all()


def test_positive_and_negative_click_on_one_pixel(encoded: EncodedImage) -> None:
    session = encoded.session()
    for positive in (True, False, True, False):
        assert session.click(80, 60, positive)[60, 80] == positive


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("place", [(0.0, 0.0), (199.0, 149.0), (100.0, 75.0), (64.0, 32.0), (63.0, 95.0)])
def test_first_click_equals_its_plain_form(
    segmenter: Segmenter, encoded: EncodedImage, place: tuple[float, float], positive: bool
) -> None:
    """What the encoder computed about the map without clicks stands in for computing it anew."""
    session = encoded.session(enforce_clicks=False, drop_islands=False)
    row, column = encoded.geometry.model_pixel(place[1], place[0])
    labels = session.labels
    label_rules.draw_click(labels, row, column, positive, segmenter.manifest.click_radius)
    for again in range(2):  # undone and made again, it is a first click again
        session.click(*place, positive)
        found = session._state.decoded
        assert found is not None
        plain = segmenter.decode(encoded, labels)
        assert found.box == plain.box
        np.testing.assert_allclose(found.logits, plain.logits, atol=TOLERANCE)
        if again == 0:
            session.click(40.0, 90.0)
            session.undo()
            assert session._state.decoded is not None
            np.testing.assert_allclose(session._state.decoded.logits, plain.logits, atol=TOLERANCE)
            session.undo()


def test_undo_equals_replay(encoded: EncodedImage) -> None:
    clicks = [(80, 60, True), (150, 100, False), (30, 30, True), (60, 120, False)]
    states = [encoded.session()]
    for count in range(1, len(clicks) + 1):
        session = encoded.session()
        for click in clicks[:count]:
            session.click(*click)
        states.append(session)
    session = encoded.session()
    for click in clicks:
        session.click(*click)
    for expected in reversed(states[:-1]):
        mask = session.undo()
        np.testing.assert_array_equal(mask, expected.mask)
        np.testing.assert_array_equal(session.labels, expected.labels)
        np.testing.assert_array_equal(session.logits, expected.logits)
        assert session.clicks == expected.clicks


def test_saved_image_answers_alike(
    segmenter: Segmenter, encoded: EncodedImage, mini_bundle_roi: Path, fake: Path, tmp_path: Path
) -> None:
    encoded.save(tmp_path / "image.npz")
    loaded = segmenter.load(tmp_path / "image.npz")
    np.testing.assert_array_equal(loaded.session().click(80, 60), encoded.session().click(80, 60))
    # A bundle's id is that of its graphs, and routing is not in them: what one encoded serves the other.
    other = Segmenter(mini_bundle_roi, threads=1)
    assert other.load(tmp_path / "image.npz").session().click(80, 60).shape == encoded.session().mask.shape
    with pytest.raises(EmbeddingError, match="made by another bundle"):
        Segmenter(fake, threads=1).load(tmp_path / "image.npz")


def test_number_of_threads_does_not_matter(mini_bundle: Path, encoded: EncodedImage) -> None:
    single = Segmenter(mini_bundle, threads=1)
    labels = reference("cases_exact")["mid_label"]
    one = single.decode(encoded, labels)
    two = encoded.segmenter.decode(encoded, labels)
    assert one.box == two.box
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-4)


def test_many_threads_on_one_segmenter(segmenter: Segmenter, encoded: EncodedImage) -> None:
    clicks = [(80, 60, True), (150, 100, False), (30, 30, True)]

    def play(shift: int) -> list[bytes]:
        session = encoded.session()
        return [session.click(x + shift, y, positive).tobytes() for x, y, positive in clicks]

    alone = [play(shift) for shift in range(4)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(play, [0, 1, 2, 3] * 4)) == alone * 4


def test_first_use_from_many_threads(fake: Path) -> None:
    segmenter = Segmenter(fake, threads=1)
    image = photograph(40, 50)
    with ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(lambda _: segmenter.encode(image).arrays["embed"], range(16)))
    for array in arrays:
        np.testing.assert_array_equal(array, arrays[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.skipif(sys.platform == "darwin", reason="the system's own libraries do not survive a fork there")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_can_go_on(fake: Path) -> None:
    image = Segmenter(fake, threads=2).encode(photograph(40, 50))
    expected = image.session().click(10, 10)
    child = os.fork()
    if child == 0:
        # Whatever happens, end here: the child must not run the rest of the tests. By _exit, as multiprocessing does:
        # with onnxruntime imported, a forked process hangs in exit().
        signal.alarm(30)
        status = 1
        try:
            same = np.array_equal(image.session().click(10, 10), expected)
            image.segmenter.encode(photograph(40, 50))
            status = 0 if same else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0
    np.testing.assert_array_equal(image.session().click(10, 10), expected)


@pytest.mark.parametrize(
    "image, found",
    [
        ([[1, 2], [3, 4]], "found list"),
        (None, "found NoneType"),
        (np.zeros((4, 5), np.uint8), "found uint8 [4, 5]"),
        (np.zeros((4, 5, 4), np.uint8), "found uint8 [4, 5, 4]"),
        (np.zeros((3, 4, 5), np.uint8), "found uint8 [3, 4, 5]"),
        (np.zeros((1, 4, 5, 3), np.uint8), "found uint8 [1, 4, 5, 3]"),
        (np.zeros((4, 5, 3), np.float32), "found float32 [4, 5, 3]"),
        (np.zeros((4, 5, 3), np.int8), "found int8 [4, 5, 3]"),
        (np.zeros((0, 5, 3), np.uint8), "at least one pixel, found [0, 5, 3]"),
        (np.zeros((5, 0, 3), np.uint8), "at least one pixel"),
    ],
)
def test_images_that_are_refused(fake: Path, image: Any, found: str) -> None:
    with pytest.raises(ImageError) as caught:
        Segmenter(fake, threads=1).encode(image)
    assert found in str(caught.value)


@pytest.mark.parametrize(
    "labels, found",
    [
        ([[2]], "found list"),
        (np.full((96, 95), 2, np.uint8), "expected uint8 [96, 96], found uint8 [96, 95]"),
        (np.full((96, 96), 2, np.int64), "found int64 [96, 96]"),
        (np.full((96, 96), 5, np.uint8), "expected values from 0 to 4, found 5"),
    ],
)
def test_labels_that_are_refused(fake: Path, labels: Any, found: str) -> None:
    segmenter = Segmenter(fake, threads=1)
    with pytest.raises(ArgumentError) as caught:
        segmenter.decode(segmenter.encode(photograph(20, 20)), labels)
    assert found in str(caught.value)


def test_image_of_another_bundle_is_refused(fake: Path, tmp_path: Path) -> None:
    other = Segmenter(write_fake_bundle(tmp_path / "other", size=64), threads=1)
    with pytest.raises(EmbeddingError, match="was encoded by another bundle than"):
        other.decode(Segmenter(fake, threads=1).encode(photograph(20, 20)), np.full((64, 64), 2, np.uint8))


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, 10_000])
def test_threads_that_are_refused(fake: Path, threads: Any) -> None:
    with pytest.raises(ArgumentError, match="threads: expected a whole number from 1 to 1024"):
        Segmenter(fake, threads=threads)


def test_what_a_segmenter_tells(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTER2FORMER_OPS", "portable")
    segmenter = Segmenter(str(fake))
    assert (segmenter.bundle, segmenter.size, segmenter.ops) == (fake, 96, "portable")
    assert 1 <= segmenter.threads <= (os.cpu_count() or 1)
    assert segmenter.manifest.graphs["encoder"].file == "encoder.onnx"
    assert "threads=" in repr(segmenter) and "ops='portable'" in repr(segmenter)
    monkeypatch.setenv("INTER2FORMER_OPS", "fast")
    with pytest.raises(OpsLibraryError, match="expected 'native' or 'portable'"):
        Segmenter(fake)


def altered(folder: Path, file: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file and let the manifest agree, as a forger would."""
    import hashlib
    import json

    path = folder / file
    path.write_bytes(change(path.read_bytes()))
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files[file] = {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    edit_manifest(folder, files=files, id=bundle_id(files))


@pytest.mark.parametrize("change", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"\xff" * 999])
def test_graph_that_onnxruntime_refuses(fake: Path, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    folder = Path(shutil.copytree(fake, tmp_path / "bundle"))
    altered(folder, "decoder.onnx", change)
    with pytest.raises(BundleError) as caught:
        Segmenter(folder, threads=1)
    text = str(caught.value)
    assert "decoder.onnx: onnxruntime" in text and "\n" not in text


def test_graph_with_other_tensors_than_the_manifest_says(fake: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(fake, tmp_path / "bundle"))
    altered(folder, "prompt.onnx", lambda data: (fake / "encoder.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"prompt\.onnx: inputs are \['image', 'labels'\] off from what the manifest"):
        Segmenter(folder, threads=1)


def test_encoder_is_read_with_the_first_image(fake: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(fake, tmp_path / "bundle"))
    data = bytearray((folder / "encoder.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "encoder.onnx").write_bytes(data)
    segmenter = Segmenter(folder, threads=1)
    for _ in range(2):  # and again, when it failed
        with pytest.raises(BundleError, match=r"encoder\.onnx: altered"):
            segmenter.encode(photograph(20, 20))
    shutil.copy(fake / "encoder.onnx", folder / "encoder.onnx")
    segmenter.encode(photograph(20, 20))


def test_run_that_onnxruntime_refuses(fake: Path) -> None:
    segmenter = Segmenter(fake, threads=1)
    image = segmenter.encode(photograph(20, 20))
    wrong = EncodedImage(segmenter, 20, 20, {**image.arrays, "embed": np.zeros((2, 2), np.float32)})
    with pytest.raises(BundleError, match=r"decoder\.onnx: onnxruntime could not run it"):
        wrong.session().click(1, 1)


def test_without_a_bundle_the_shipped_model_is_taken(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "resources", SimpleNamespace(files={"inter2former_onnx": tmp_path}.__getitem__))
    with pytest.raises(BundleError, match="no model ships in this build of inter2former-onnx: pass bundle="):
        Segmenter()
    shutil.copytree(fake, tmp_path / "bundle")
    assert Segmenter(threads=1).bundle == tmp_path / "bundle"
