"""Reading data for training, drawing targets and batches, and the click simulator."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from inter2former_onnx.errors import ArgumentError
from inter2former_onnx.evaluation.clicks import deepest, simulate_click
from inter2former_onnx.evaluation.coco_masks import segmentation_mask
from inter2former_onnx.evaluation.masks import region_mask
from inter2former_onnx.models import load_config
from inter2former_onnx.training.augmentation import (
    AugmentationSettings,
    generated_shapes,
    sample_colour,
    sample_view,
    warp,
)
from inter2former_onnx.training.batched_clicks import batched_clicks, squared_distances
from inter2former_onnx.training.batches import BatchSampler
from inter2former_onnx.training.clicks import simulate_clicks, without_islands
from inter2former_onnx.training.coco import read_coco
from inter2former_onnx.training.datasets import read_records
from inter2former_onnx.training.development import development_examples, listed_examples
from inter2former_onnx.training.folder import read_folder
from inter2former_onnx.training.image_store import load
from inter2former_onnx.training.label_maps import NOWHERE
from inter2former_onnx.training.pack import pack
from inter2former_onnx.training.records import hold_out
from inter2former_onnx.training.region_table import build_table
from inter2former_onnx.training.targets import grow_union, sample_target
from support.training_folder import make_folder


def slow_deepest(region: np.ndarray) -> float:
    """Distance of the deepest pixel by brute force over all pixels outside, the image's frame included."""
    height, width = region.shape
    outside = [(r, c) for r in range(-1, height + 1) for c in range(-1, width + 1)
               if not (0 <= r < height and 0 <= c < width and region[r, c])]
    best = 0.0
    for r, c in zip(*np.nonzero(region), strict=True):
        best = max(best, min((r - a) ** 2 + (c - b) ** 2 for a, b in outside) ** 0.5)
    return best


def test_clicks_against_brute_force() -> None:
    generator = np.random.default_rng(0)
    for _ in range(25):
        target = cv2.GaussianBlur(generator.random((13, 17)), (5, 5), 0) > 0.5
        prediction = cv2.GaussianBlur(generator.random((13, 17)), (5, 5), 0) > 0.5
        missing, excess = slow_deepest(target & ~prediction), slow_deepest(prediction & ~target)
        click = simulate_click(prediction, target)
        assert click is not None
        assert click.positive == (missing > excess)
        region = target & ~prediction if click.positive else prediction & ~target
        assert region[click.y, click.x]
        lone = np.zeros_like(region)
        lone[click.y, click.x] = True
        outside = np.argwhere(~np.pad(region, 1)) - 1
        depth = np.sqrt(((outside - (click.y, click.x)) ** 2).sum(1).min())
        assert depth == pytest.approx(max(missing, excess), abs=1e-4)


def test_clicks_at_border_and_without_error() -> None:
    region = np.zeros((9, 9), dtype=bool)
    region[:, :3] = True  # at the border: the frame counts as outside, so the middle column is the deepest
    assert deepest(region)[2] == 1
    assert simulate_click(region, region) is None
    assert deepest(np.zeros((4, 4), dtype=bool)) == (0.0, 0, 0)
    both = simulate_clicks(np.stack([region, ~region]), np.stack([region, region]), None)
    assert both[0].tolist() == [NOWHERE, NOWHERE, 0] and both[1, 2] == 0


def test_batched_clicks_are_the_same_clicks() -> None:
    generator = np.random.default_rng(4)
    masks = [cv2.GaussianBlur(generator.random((2, 24, 31)).transpose(1, 2, 0), (7, 7), 0) > 0.5 for _ in range(20)]
    predictions, targets = np.stack(masks).transpose(3, 0, 1, 2)
    predictions[0] = targets[0]  # no error left
    predictions[1] = False
    targets[2] = True  # depth set by the frame alone
    expected = simulate_clicks(predictions, targets, None)
    found = batched_clicks(torch.from_numpy(predictions.copy()), torch.from_numpy(targets.copy()))
    assert found.tolist() == expected.tolist()
    distances = squared_distances(torch.from_numpy(targets.copy()))
    padded = np.pad(targets[5], 1).astype(np.uint8)
    exact = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    np.testing.assert_allclose(distances[5].numpy(), exact**2, atol=1e-3)


def test_distances_in_a_map_of_classes() -> None:
    """One pass for several regions gives what a pass for each gives."""
    generator = np.random.default_rng(6)
    smooth = cv2.GaussianBlur(generator.random((23, 30)), (7, 7), 0)
    classes = np.digitize(smooth, np.quantile(smooth, [0.3, 0.6])).astype(np.uint8)
    found = squared_distances(torch.from_numpy(classes)[None])[0].numpy()
    for region in (1, 2):
        alone = squared_distances(torch.from_numpy(classes == region)[None])[0].numpy()
        np.testing.assert_array_equal(found[classes == region], alone[classes == region])
    assert (found[classes == 0] == 0).all() and (found[classes > 0] > 0).all()


def test_islands_are_left_out_of_each_object_by_its_own_clicks() -> None:
    logits = np.full((2, 12, 12), -4.0, dtype=np.float32)
    logits[:, 1:4, 1:4], logits[:, 7:10, 7:10] = 4.0, 1.0
    labels = np.full((2, 12, 12), 2, dtype=np.uint8)
    labels[0, 2, 2] = labels[1, 8, 8] = 4
    labels[0, 8, 8] = 0  # a negative click keeps nothing
    found = without_islands(logits, logits > 0, labels, None)
    assert found[0].sum() == 9 and found[0, 2, 2]  # the unsure piece goes
    assert found[1].sum() == 18  # the other piece is surer than the clicked one, so both stay


def test_hues_move_and_greys_stay() -> None:
    plain = AugmentationSettings(grey=0.0)
    changes = sample_colour(400, plain, np.random.default_rng(0))
    mixed = changes[:, :, :3].sum(2)  # of (1, 1, 1): contrast and tint alone
    turned = changes[:, :, :3] / mixed[:, :, None]
    np.testing.assert_allclose(turned.sum(2), 1.0)
    reds = turned[:, :, 0]
    assert 0.05 < (reds[:, 1] - reds[:, 2]).std() < 0.6  # towards yellow and towards magenta
    assert abs((reds[:, 1] - reds[:, 2]).mean()) < 0.05


def test_packed_folder_reads_like_the_original(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    assert pack(folder, tmp_path / "small", "train", side=45, quality=90) > 0
    records = read_folder(tmp_path / "small", "train")
    store = load(records, 96, torch.device("cpu"), 1)
    assert len(records) == 5 and store.sizes.tolist() == [[35, 45]] * 5
    whole = load(read_folder(folder, "train"), 96, torch.device("cpu"), 1)
    for small, large in zip(store.tables, whole.tables, strict=True):
        np.testing.assert_allclose(small.areas, large.areas, atol=0.02)


def test_first_click_is_the_targets_centre() -> None:
    target = np.zeros((31, 31), dtype=bool)
    target[5:16, 8:19] = True
    click = simulate_click(np.zeros_like(target), target)
    assert click == (13, 10, True)


def test_regions_split_join_and_neighbour() -> None:
    labels = np.zeros((40, 40), dtype=np.int32)
    labels[:, :10] = 7  # 1: the largest
    labels[:20, 10:20] = 3
    labels[30:, 30:] = 3  # an unconnected piece of the same id
    table = build_table(labels, grouped=True, split=True)
    assert table.areas.tolist() == pytest.approx([0.5625, 0.25, 0.125, 0.0625])
    assert table.neighbours[1].tolist() == [2] and table.neighbours[3].tolist() == []
    assert table.groups[0].tolist() == [1, 2]  # what is labelled and connected
    assert not table.interior.any() or not table.interior[1:].any()
    joined = build_table(labels, grouped=False, split=False)
    assert joined.areas.tolist() == pytest.approx([0.5625, 0.25, 0.1875])
    assert sorted(grow_union(table, 2, 4, np.random.default_rng(0)).tolist()) == [1, 2]


def test_targets_are_groups_single_regions_and_unions() -> None:
    labels = np.repeat(np.arange(1, 7), 8)[None].repeat(30, 0).astype(np.int32)
    table = build_table(labels, grouped=True, split=True)
    generator = np.random.default_rng(1)
    sizes = [len(sample_target(table, generator)) for _ in range(200)]
    assert {1, 2, 3, 6} <= set(sizes)


def test_plain_view_is_the_runtime_geometry(tmp_path: Path) -> None:
    """Unaugmented, a training picture equals what `Preprocess` feeds at inference, mask included."""
    from inter2former_onnx.models import load_config
    from inter2former_onnx.models.preprocess import Preprocess

    generator = np.random.default_rng(2)
    image = cv2.resize(generator.integers(0, 255, (6, 9, 3), dtype=np.uint8), (96, 70), interpolation=cv2.INTER_LINEAR)
    regions = np.zeros((70, 96), dtype=np.int16)
    regions[10:40, 20:60] = 5
    stored, maps = np.zeros((1, 128, 128, 3), np.uint8), np.zeros((1, 128, 128), np.int16)
    stored[0, :70, :96], maps[0, :70, :96] = image, regions
    settings = AugmentationSettings(plain=1.0, flip=0.0, rotate=0.0)
    view = sample_view(70, 96, 32, None, settings, generator)
    values = load_config("tiny").to_dict()
    values["geometry"] = {"mode": "square", "size": 192, "size_divisor": 32}
    config = load_config(values)
    inputs, mapped, inside = warp(
        torch.from_numpy(stored), torch.from_numpy(maps), torch.tensor([[70, 96]]),
        torch.from_numpy(view[None].astype(np.float32)), 192, torch.tensor(config.mean), torch.tensor(config.std),
    )
    expected = Preprocess(config)(torch.from_numpy(image))
    interior = (slice(None), slice(None), slice(0, 138), slice(None))  # the last rows blend with the padding there
    torch.testing.assert_close(inputs[interior], expected[interior], atol=2e-3, rtol=0)
    assert (inputs[0, :, 140:] == 0).all() and not inside[0, 140:].any() and (mapped[0, 140:] == -1).all()
    assert (mapped[0, 20:80, 40:120] == 5).all() and int((mapped == 5).sum()) == 60 * 80


def test_batches_show_their_targets(tmp_path: Path) -> None:
    records = read_folder(make_folder(tmp_path), "train")
    store = load(records, 96, torch.device("cpu"), 2)
    settings = AugmentationSettings(paste=0.5, blob=0.3)
    sampler = BatchSampler(store, load_config("tiny"), settings, 0.5, seed=0)
    batch = sampler.draw(4, 2, 64)
    assert batch.inputs.shape == (4, 3, 64, 64) and batch.targets.shape == (8, 64, 64)
    assert batch.valid.all() and torch.isfinite(batch.inputs).all()
    areas = batch.targets.float().mean((1, 2))
    assert ((areas >= 0.004) & (areas <= 0.7)).all()
    outside = (batch.regions < 0).repeat_interleave(2, 0)
    assert not (batch.targets & outside).any()
    again = BatchSampler(store, load_config("tiny"), settings, 0.5, seed=0).draw(4, 2, 64)
    assert torch.equal(batch.inputs, again.inputs) and torch.equal(batch.targets, again.targets)


def test_source_balance_shares_the_draws(tmp_path: Path) -> None:
    records = read_folder(make_folder(tmp_path), "train")
    store = load(records, 96, torch.device("cpu"), 2)
    counts = {source: store.sources.count(source) for source in set(store.sources)}
    small = min(counts, key=lambda source: counts[source])
    assert len(counts) == 2 and counts[small] < len(store.sources) / 2
    shares = []
    for balance in (0.0, 1.0, 2.0):
        sampler = BatchSampler(store, load_config("tiny"), AugmentationSettings(), balance, seed=0)
        shares.append(sum(sampler.probabilities[[source == small for source in store.sources]]))
    assert shares[0] == pytest.approx(counts[small] / len(store.sources))
    assert shares[1] == pytest.approx(0.5) and shares[2] > 0.5


def test_generated_shapes_are_blobs_where_asked() -> None:
    circle = torch.tensor([[0.5, 0.25, 0.2, 0.0, 0.0]])
    mask = generated_shapes(circle, 100)[0]
    rows, columns = torch.nonzero(mask, as_tuple=True)
    assert abs(float(rows.float().mean()) - 24.5) < 0.6 and abs(float(columns.float().mean()) - 49.5) < 0.6
    assert abs(float(mask.sum()) - 3.14159 * 400) < 30


def test_folder_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="index.json"):
        read_folder(tmp_path, "train")
    folder = make_folder(tmp_path)
    with pytest.raises(ArgumentError, match="no entry of split 'test'"):
        read_folder(folder, "test")
    first = folder / "labels" / "p00_0.png"
    cv2.imwrite(str(first), np.zeros((10, 10), np.uint8))
    with pytest.raises(ArgumentError, match="p00: region map is 10x10, its image 90x70"):
        load(read_folder(folder, "train"), 96, torch.device("cpu"), 1)
    first.unlink()
    with pytest.raises(ArgumentError, match="p00_0.png, which is not a file"):
        read_folder(folder, "train")


def test_held_out_part_is_disjoint_and_stable(tmp_path: Path) -> None:
    records = read_folder(make_folder(tmp_path, count=10), "train")
    train, development = hold_out(records, 0.3, seed=0)
    names = [record.name for record in development]
    assert len(names) == 4 and not set(names) & {record.name for record in train}
    assert names == [record.name for record in hold_out(records[::-1], 0.3, seed=0)[1]][::-1]
    examples = development_examples(development, seed=0)
    assert len(examples) >= 4 and all(0.01 <= example.target.mask.mean() <= 0.6 for example in examples)


def test_evaluation_list_takes_the_largest_component(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    entries = [{"id": "p00", "label_file": "labels/p00_0.png", "region": 1},
               {"id": "p01", "label_file": "labels/p01_0.png", "region": "union"}]
    (folder / "eval.json").write_text(json.dumps(entries))
    one, union = listed_examples(folder, "eval.json")
    assert one.image.shape[:2] == one.target.mask.shape and 0 < one.target.mask.sum() < union.target.mask.size
    regions = np.zeros((20, 20), np.int32)
    regions[2:5, 2:5] = regions[8:18, 8:18] = 4
    assert region_mask(regions, 4).sum() == 100
    with pytest.raises(ArgumentError, match="eval_objects.json"):
        listed_examples(folder, "eval_objects.json")


def test_coco_polygons_and_run_lengths(tmp_path: Path) -> None:
    mask = np.zeros((12, 9), dtype=bool)
    mask[2:7, 3:6] = True
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[False], mask.T.ravel(), [True]]))), prepend=0)
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    assert np.array_equal(segmentation_mask({"size": [12, 9], "counts": runs}, 12, 9, "x"), mask)
    assert np.array_equal(segmentation_mask({"size": [12, 9], "counts": encode(runs)}, 12, 9, "x"), mask)
    polygon = segmentation_mask([[3, 2, 6, 2, 6, 7, 3, 7]], 12, 9, "x")
    assert np.array_equal(polygon, mask)
    with pytest.raises(ArgumentError, match="cover 5 pixels, the image has 108"):
        segmentation_mask({"counts": [5]}, 12, 9, "x")
    with pytest.raises(ArgumentError, match="neither polygons nor run lengths"):
        segmentation_mask("?", 12, 9, "x")

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((12, 9, 3), np.uint8))
    content = {
        "images": [{"id": 5, "file_name": "a.png", "height": 12, "width": 9}, {"id": 6, "file_name": "none.png"}],
        "annotations": [
            {"image_id": 5, "segmentation": [[0, 0, 9, 0, 9, 12, 0, 12]]},
            {"image_id": 5, "segmentation": {"counts": encode(runs)}},
            {"image_id": 5, "segmentation": [[0, 0, 1, 1, 2, 2]], "iscrowd": 1},
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    (record,) = read_coco(path, tmp_path)
    regions = record.annotations[0]()
    assert np.array_equal(regions == 2, mask) and (regions[~mask] == 1).all()
    # The file of `inter2former annotate` says where its pictures are.
    (tmp_path / "annotations").mkdir()
    own = tmp_path / "annotations" / "coco.json"
    own.write_text(json.dumps({**content, "info": {"pictures": ".."}}))
    assert read_records(own, "train")[0].image == tmp_path / "annotations" / ".." / "a.png"
    own.write_text(json.dumps({**content, "info": {"pictures": "../elsewhere"}}))
    with pytest.raises(ArgumentError, match=r"coco\.json: records its pictures in '\.\./elsewhere', and there is no"):
        read_records(own, "train")
    assert read_records(own, "train", tmp_path)[0].image == tmp_path / "a.png"
    path.write_text("{}")
    with pytest.raises(ArgumentError, match="COCO"):
        read_coco(path, tmp_path)


def encode(runs: list[int]) -> str:
    """Compressed run lengths, written independently of the reader (from the format's description)."""
    text = ""
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        while True:
            bits, value = value & 31, value >> 5
            done = value == (-1 if bits & 16 else 0)
            text += chr(48 + (bits | (0 if done else 32)))
            if done:
                break
    return text


def test_compressed_runs_with_negative_differences() -> None:
    runs = [3, 700, 40, 2, 1000, 1, 65, 90]
    expected = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(1, -1)
    assert np.array_equal(segmentation_mask({"counts": encode(runs)}, 1, sum(runs), "x"), expected)
    assert np.array_equal(segmentation_mask({"counts": runs}, 1, sum(runs), "x"), expected)
