"""Label map rules against the recorded sessions and against plain per-pixel definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inter2former_onnx.runtime import labels as rules
from inter2former_onnx.runtime.box import Box, whole
from inter2former_onnx.runtime.geometry import Geometry
from inter2former_onnx.runtime.packed_labels import PackedLabels
from support.reference import reference

BACKGROUND = [0, 1, 1, 2, 4]  # label after a prediction of background, by label before
FOREGROUND = [0, 2, 3, 3, 4]


def random_map(seed: int, height: int, width: int) -> np.ndarray:
    """Mostly 1, with a few patches of anything."""
    rng = np.random.default_rng(seed)
    labels = np.ones((height, width), dtype=np.uint8)
    for _ in range(rng.integers(0, 4)):
        y, x = rng.integers(0, height), rng.integers(0, width)
        patch = labels[y : y + rng.integers(1, 30), x : x + rng.integers(1, 30)]
        patch[...] = rng.integers(0, 5, patch.shape)
    return labels


@pytest.mark.parametrize("session", ["session_exact", "session_roi"])
def test_recorded_sessions_label_maps(session: str) -> None:
    recorded = reference(session)
    geometry = Geometry(150, 200, 192, 64)
    labels = rules.initial(192, 192)
    searched = whole(192, 192)
    for i, (y, x, positive) in enumerate(recorded["clicks"].tolist()):
        disc = rules.draw_click(labels, *geometry.model_pixel(y, x), bool(positive), radius=5)
        np.testing.assert_array_equal(labels, recorded[f"{i}_label_in"])
        region = rules.region_of_interest(labels, searched.hull(disc))
        assert region == rules.region_of_interest(labels)
        logits = recorded[f"{i}_logits"]
        rows, columns = np.nonzero(logits > -100)
        box = Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        searched = rules.apply_prediction(labels, region, logits[box.slices] > 0, box)
        np.testing.assert_array_equal(labels, recorded[f"{i}_label_out"])


@pytest.mark.parametrize("row, column", [(0, 0), (0, 63), (47, 0), (47, 63), (3, 30), (20, 20)])
@pytest.mark.parametrize("radius", [0, 1, 5])
def test_disc_is_all_pixels_within_the_radius(row: int, column: int, radius: int) -> None:
    labels = rules.initial(48, 64)
    box = rules.draw_click(labels, row, column, True, radius)
    y, x = np.mgrid[:48, :64]
    disc = (y - row) ** 2 + (x - column) ** 2 <= radius**2
    np.testing.assert_array_equal(labels, np.where(disc, 4, 2))
    assert (labels[box.slices] == 4).sum() == disc.sum()


def test_a_later_disc_wins() -> None:
    labels = rules.initial(32, 32)
    rules.draw_click(labels, 10, 10, True, 5)
    rules.draw_click(labels, 10, 13, False, 5)
    assert labels[10, 13] == labels[10, 8] == rules.DEFINITE_BACKGROUND
    assert labels[10, 6] == rules.DEFINITE_FOREGROUND


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
def test_prediction_changes_what_the_definition_changes(seed: int, rows: int, columns: int) -> None:
    height, width = 16 * rows, 16 * columns
    rng = np.random.default_rng(seed)
    labels = random_map(seed, height, width)
    region = rules.region_of_interest(labels)
    left, top = int(rng.integers(0, width)), int(rng.integers(0, height))
    box = Box(left, top, int(rng.integers(left + 1, width + 1)), int(rng.integers(top + 1, height + 1)))
    foreground = np.zeros((height, width), dtype=bool)
    foreground[box.slices] = rng.random((box.height, box.width)) < 0.5
    expected = np.where(foreground, np.array(FOREGROUND)[labels], np.array(BACKGROUND)[labels])
    hull = rules.apply_prediction(labels, region, foreground[box.slices], box)
    np.testing.assert_array_equal(labels, expected)
    outside = np.ones((height, width), dtype=bool)
    outside[hull.slices] = False
    assert (labels[outside] == 1).all()
    # Searching the hull alone must find what searching the whole map finds.
    assert rules.region_of_interest(labels, hull) == rules.region_of_interest(labels)


def test_prediction_on_a_map_of_several_strips() -> None:
    labels = np.random.default_rng(1).integers(0, 5, (1024, 1024)).astype(np.uint8)
    before = labels.copy()
    foreground = np.random.default_rng(2).random((700, 512)) < 0.5
    rules.apply_prediction(labels, whole(1024, 1024), foreground, Box(256, 200, 768, 900))
    everywhere = np.zeros((1024, 1024), dtype=bool)
    everywhere[200:900, 256:768] = foreground
    np.testing.assert_array_equal(
        labels, np.where(everywhere, np.array(FOREGROUND)[before], np.array(BACKGROUND)[before])
    )


@pytest.mark.parametrize(
    "pixels, expected",
    [
        ([], Box(0, 0, 192, 128)),  # nothing: the whole map
        ([(40, 70)], Box(48, 16, 96, 64)),
        ([(47, 79)], Box(48, 16, 96, 64)),
        ([(48, 80)], Box(64, 32, 112, 80)),
        ([(0, 0)], Box(0, 0, 32, 32)),
        ([(127, 191)], Box(160, 96, 192, 128)),
        ([(40, 70), (100, 150)], Box(48, 16, 176, 128)),
    ],
)
def test_region_of_interest(pixels: list[tuple[int, int]], expected: Box) -> None:
    labels = np.ones((128, 192), dtype=np.uint8)
    for pixel in pixels:
        labels[pixel] = 3
    region = rules.region_of_interest(labels)
    assert region == expected
    assert all(type(edge) is int for edge in region)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 70), st.integers(1, 70))
def test_packed_labels_come_back(seed: int, height: int, width: int) -> None:
    labels = random_map(seed, height, width)
    rows, columns = np.nonzero(labels != 1)
    box = whole(height, width)
    if rows.size:
        box = Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    np.testing.assert_array_equal(PackedLabels.pack(labels, box).unpack(), labels)


def test_packed_labels_are_small() -> None:
    y, x = np.mgrid[:1024, :1024]
    labels = np.where(np.hypot(y - 500, x - 500) < 300, 3, 1).astype(np.uint8)
    packed = PackedLabels.pack(labels, rules.region_of_interest(labels))
    assert packed.lengths.nbytes + packed.values.nbytes < 10_000
