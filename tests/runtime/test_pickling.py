"""What is sent to other processes, or copied, goes on where it stood."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inter2former_onnx.errors import BundleError
from inter2former_onnx.runtime import ClickSession, EncodedImage, Predictor, Segmenter
from inter2former_onnx.runtime.bundle import shipped_bundle
from support import other_process
from support.fake_bundle import write_fake_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_bundle(tmp_path_factory.mktemp("pickling") / "bundle")


@pytest.fixture(scope="module")
def image(bundle: Path) -> EncodedImage:
    return other_process.encode(Segmenter(bundle, threads=1))


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as started:
        yield started


def there_and_back(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def shows(session: ClickSession) -> tuple[Any, ...]:
    """All that a session shows."""
    return session.clicks, session.labels.tobytes(), session.mask.tobytes(), session.logits.tobytes()


def clicked(image: EncodedImage) -> ClickSession:
    session = image.session(enforce_clicks=False, labels=image.labels_of_box((5, 5, 45, 65)), drop_islands=False)
    session.click(20, 30)
    session.click(10, 10, False)
    session.preview(30, 30)
    return session


def test_a_segmenter_is_its_bundle_and_its_threads(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle.parent)
    segmenter = Segmenter(bundle.name, threads=2)
    data = pickle.dumps(segmenter)
    assert len(data) < 1000
    assert pickle.loads(data) is segmenter  # which lives in this process
    del segmenter
    gc.collect()
    monkeypatch.chdir("/")
    again = pickle.loads(data)
    assert (again.bundle, again.threads) == (bundle, 2) and other_process.encode(again).height == 70


def test_the_model_that_ships_is_found_wherever_it_lies() -> None:
    data = pickle.dumps(Segmenter(threads=1))
    assert os.fsencode(shipped_bundle()) not in data
    gc.collect()
    assert pickle.loads(data).bundle == shipped_bundle()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_encoded_image_brings_its_arrays(image: EncodedImage, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(image, protocol))
    assert (again.height, again.width, again.segmenter) == (image.height, image.width, image.segmenter)
    for name, array in image.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
        assert not again.arrays[name].flags.writeable
    np.testing.assert_array_equal(other_process.click(again), other_process.click(image))


def test_arrays_out_of_band(image: EncodedImage) -> None:
    """As Dask and Ray send them."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(image, 5, buffer_callback=buffers.append)
    assert len(data) < 5000 and len(buffers) == len(image.arrays)
    np.testing.assert_array_equal(other_process.click(pickle.loads(data, buffers=buffers)), other_process.click(image))


@pytest.mark.parametrize("again", [there_and_back, copy.copy, copy.deepcopy])
def test_a_session_goes_on(image: EncodedImage, again: Callable[[ClickSession], ClickSession]) -> None:
    session = clicked(image)
    before = shows(session)
    other = again(session)
    assert shows(other) == before and (other.enforce_clicks, other.drop_islands) == (False, False)
    assert other.image is image or again is there_and_back
    other.click(40, 60, False)
    assert shows(session) == before  # each goes its own way
    session.click(40, 60, False)
    assert shows(session) == shows(other)
    for _ in range(4):
        np.testing.assert_array_equal(session.undo(), other.undo())
        assert shows(session) == shows(other)
    other.click(1, 1)
    other.reset()
    assert shows(other) == shows(session)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
def test_what_never_changes_is_not_copied(image: EncodedImage, again: Callable[[Any], Any]) -> None:
    assert again(image) is image and again(image.segmenter) is image.segmenter


def test_a_predictor_goes_on(image: EncodedImage) -> None:
    predictor = Predictor(image.segmenter)
    predictor.set_image(other_process.IMAGE)
    for again in (there_and_back, copy.deepcopy):
        expected, found = (each.predict([[20, 30]], [1])[0] for each in (predictor, again(predictor)))
        np.testing.assert_array_equal(found, expected)


def test_another_process(image: EncodedImage, pool: ProcessPoolExecutor) -> None:
    encoded = pool.submit(other_process.encode, image.segmenter).result()
    np.testing.assert_array_equal(encoded.arrays["embed"], image.arrays["embed"])
    assert encoded.segmenter is image.segmenter
    np.testing.assert_array_equal(pool.submit(other_process.click, image).result(), other_process.click(image))
    session = clicked(image)
    assert shows(pool.submit(other_process.click_on, session).result()) == shows(other_process.click_on(session))


def test_another_process_opens_a_bundle_once(image: EncodedImage, pool: ProcessPoolExecutor) -> None:
    images = [image, other_process.encode(image.segmenter)]
    for _ in range(3):
        assert pool.submit(other_process.segmenters, images).result() == (1, 1)
    more = other_process.encode(Segmenter(image.segmenter.bundle, threads=2))
    assert pool.submit(other_process.segmenters, [*images, more]).result() == (2, 2)


def test_a_bundle_that_changed_or_went(tmp_path: Path, image: EncodedImage) -> None:
    folder = Path(shutil.copytree(image.segmenter.bundle, tmp_path / "bundle"))

    def pickled() -> bytes:
        return pickle.dumps(other_process.encode(Segmenter(folder, threads=1)).session())

    data = pickled()
    gc.collect()
    shutil.rmtree(folder)
    with pytest.raises(BundleError, match="expected a folder with a manifest"):
        pickle.loads(data)
    write_fake_bundle(folder, mode="fit")
    with pytest.raises(BundleError, match="is another than when it was pickled: expected id [0-9a-f]{12}"):
        pickle.loads(data)
    other = pickled()
    gc.collect()
    assert pickle.loads(other).image.geometry.extent != image.geometry.extent
    (folder / "decoder.onnx").write_bytes(b"altered")
    with pytest.raises(BundleError, match="decoder.onnx"):
        pickle.loads(other)
