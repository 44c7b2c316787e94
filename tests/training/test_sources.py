"""Sources of region maps: how each kind is read, which targets it gives, and how often it is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from inter2former_onnx import cli
from inter2former_onnx.errors import ArgumentError
from inter2former_onnx.evaluation.datasets.regions import listed
from inter2former_onnx.models import load_config
from inter2former_onnx.training.augmentation import AugmentationSettings
from inter2former_onnx.training.batches import BatchSampler
from inter2former_onnx.training.development import listed_examples
from inter2former_onnx.training.folder import read_folder
from inter2former_onnx.training.image_store import load
from inter2former_onnx.training.options import Recipe, Stage, recipe_from_dict
from inter2former_onnx.training.records import NOT_JUDGED
from inter2former_onnx.training.region_table import VOID_REGION, build_table
from inter2former_onnx.training.shards import read_shards, write_shards
from inter2former_onnx.training.sources import CLASSES, INSTANCES, OBJECT, PARTITION, PARTS, kind_of
from inter2former_onnx.training.targets import sample_target

CPU = torch.device("cpu")
AS_THEY_ARE = AugmentationSettings(plain=1.0, flip=0.0, rotate=0.0, paste=0.0, blob=0.0)


def object_map() -> np.ndarray:
    """One object in two pieces with a void rim, on background: 60 x 80."""
    labels = np.zeros((60, 80), np.uint8)
    cv2.rectangle(labels, (8, 8), (42, 52), 255, -1)
    cv2.rectangle(labels, (12, 12), (38, 48), 1, -1)
    cv2.rectangle(labels, (55, 20), (70, 40), 1, -1)
    return labels


def class_map() -> np.ndarray:
    """Two regions that touch, and a third."""
    labels = np.zeros((60, 80), np.uint8)
    labels[10:50, 5:25], labels[10:50, 25:45], labels[20:40, 55:75] = 1, 2, 3
    return labels


def make_sources(root: Path) -> Path:
    """A data folder with three training sources, held-out pictures, and one of a public benchmark."""
    folder = root / "sources"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    generator = np.random.default_rng(3)
    entries = []
    plan = [("ecssd", "train", object_map())] * 4 + [("voc_animals", "train", class_map())] * 2
    plan += [("sysu_shape", "train", object_map()), ("bsds500", "benchmark", class_map())]
    plan += [("ecssd", "val", object_map())]
    for index, (source, split, labels) in enumerate(plan):
        name = f"{source}_{index}"
        colours = generator.integers(0, 255, (256, 3))
        noise = generator.normal(0, 6, (*labels.shape, 3))
        cv2.imwrite(str(folder / f"images/{name}.png"), np.clip(colours[labels] + noise, 0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / f"labels/{name}_0.png"), labels)
        entries.append(
            {
                "id": name,
                "image": f"images/{name}.png",
                "labels": [f"labels/{name}_0.png"],
                "source": source,
                "split": split,
            }
        )
    (folder / "index.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_sources(tmp_path)


def draws(labels: np.ndarray, kind, background: float = 0.0) -> list[tuple[int, ...]]:  # type: ignore[no-untyped-def]
    regions = labels.astype(np.int32)
    regions[labels == 255] = NOT_JUDGED
    table = build_table(regions, kind.grouped, kind.split, kind.pieces)
    generator = np.random.default_rng(0)
    return [tuple(sample_target(table, generator, kind, background).tolist()) for _ in range(400)]


def test_only_the_training_split_is_read(folder: Path) -> None:
    records = read_folder(folder, "train")
    assert len(records) == 7 and {record.source for record in records} == {"ecssd", "voc_animals", "sysu_shape"}
    assert not [record.name for record in records if record.name.startswith("bsds500")]


def test_void_is_no_region_and_no_background(folder: Path) -> None:
    regions = read_folder(folder, "train")[0].annotations[0]()
    void = object_map() == 255
    assert regions.dtype == np.int32 and ((regions == NOT_JUDGED) == void).all()
    assert set(np.unique(regions)) == {-1, 0, 1}
    table = build_table(regions, grouped=False, split=True)
    assert ((table.regions == VOID_REGION) == void).all() and len(table.areas) == 3
    assert table.areas.sum() == pytest.approx(1.0 - void.mean())
    assert [ids.tolist() for ids in table.neighbours] == [[], [], []]


def test_a_deep_map_has_a_region_255(tmp_path: Path) -> None:
    """Only maps of 8 bits have a void: a partition of more regions than that counts on."""
    folder = make_sources(tmp_path)
    cv2.imwrite(str(folder / "labels/ecssd_0_0.png"), (object_map() > 0).astype(np.uint16) * 255)
    regions = read_folder(folder, "train")[0].annotations[0]()
    assert set(np.unique(regions)) == {0, 255}


def test_an_object_is_its_pieces_or_all_of_them() -> None:
    drawn = draws(object_map(), OBJECT)
    shares = {ids: drawn.count(ids) / len(drawn) for ids in set(drawn)}
    assert set(shares) == {(1,), (2,), (1, 2)} and 0.05 < shares[1, 2] < 0.16


def test_background_is_a_target_where_it_is_known() -> None:
    drawn = draws(object_map(), OBJECT, background=0.2)
    assert 0.13 < drawn.count((0,)) / len(drawn) < 0.27
    assert (0,) not in draws(class_map(), CLASSES, background=0.2)


def test_touching_regions_of_classes_are_single_targets_and_sometimes_unions() -> None:
    drawn = draws(class_map(), CLASSES)
    sizes = [len(ids) for ids in drawn]
    assert {(1,), (2,), (3,)} <= set(drawn) and 0.05 < sizes.count(2) / len(sizes) < 0.2
    assert {frozenset(ids) for ids in drawn if len(ids) == 2} == {frozenset((1, 2))}


def test_parts_make_a_whole() -> None:
    drawn = draws(class_map(), PARTS)
    assert 0.25 < drawn.count((1, 2)) / len(drawn) < 0.55 and drawn.count((3,)) > 20


def test_an_instance_that_is_cut_in_two_is_one_target() -> None:
    assert set(draws(object_map(), INSTANCES)) == {(1,)}
    assert len(set(draws(object_map(), PARTITION))) == 2


def test_kinds_of_sources() -> None:
    assert kind_of("ecssd") is OBJECT and kind_of("ccp") is PARTS and kind_of("somebody's") is PARTITION
    assert not kind_of("coco").split and kind_of("coco100_train2017").split


def test_batches_leave_void_out_and_know_background(folder: Path) -> None:
    store = load(read_folder(folder, "train"), 96, CPU, 1)
    sampler = BatchSampler(store, load_config("tiny"), AS_THEY_ARE, 0.0, 0, background_share=0.5)
    batch = sampler.draw(12, 3, 64)
    targets = batch.targets.view(12, 3, 64, 64)
    void, outside = (batch.regions == VOID_REGION)[:, None], (batch.regions < 0)[:, None]
    assert void.any() and outside.any() and not (targets & void).any() and not (targets & outside).any()
    background = [bool((targets[i, k] == (batch.regions[i] == 0)).all()) for i in range(12) for k in range(3)]
    assert 0 < sum(background) < 36


def test_source_weights_change_the_draws(folder: Path) -> None:
    store = load(read_folder(folder, "train"), 96, CPU, 1)

    def shares(**weights: float) -> dict[str, float]:
        sampler = BatchSampler(store, load_config("tiny"), AS_THEY_ARE, 1.0, 0, weights)
        return {s: sampler.probabilities[np.array(store.sources) == s].sum() for s in set(store.sources)}

    assert shares() == pytest.approx(dict.fromkeys(("ecssd", "voc_animals", "sysu_shape"), 1 / 3))
    assert shares(ecssd=2.0, sysu_shape=0.0) == pytest.approx({"ecssd": 2 / 3, "voc_animals": 1 / 3, "sysu_shape": 0})
    with pytest.raises(ArgumentError, match="no pictures of \\['pets'\\]"):
        shares(pets=2.0)
    with pytest.raises(ArgumentError, match="weight 0"):
        shares(ecssd=0, voc_animals=0, sysu_shape=0)


def test_recipes_go_through_json() -> None:
    recipe = Recipe(stages=(Stage(1.0, 512, 24),), source_weights=(("ecssd", 2.0),), background_share=0.0)
    assert recipe_from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe_from_dict({"losses": {"agreement": 8.0}}).losses.agreement == 8.0
    for wrong in ({"stage": []}, {"stages": [{"size": 1}]}, {"losses": {"none": 1.0}}, {"source_weights": [1]}):
        with pytest.raises(ArgumentError, match="not a recipe"):
            recipe_from_dict(wrong)
    with pytest.raises(ArgumentError, match="background_share"):
        recipe_from_dict({"background_share": 2.0})
    with pytest.raises(ArgumentError, match="source_weights"):
        recipe_from_dict({"source_weights": [["ecssd", -1.0]]})


def test_a_list_of_general_objects_is_read(folder: Path) -> None:
    """As `inter2former eval --dataset regions --list` reads it: names of other fields do no harm, void is left out."""
    entry = {"id": "ecssd_8", "label_file": "labels/ecssd_8_0.png", "region": 1, "area": 0.2}
    (folder / "eval_general.json").write_text(json.dumps([entry]))
    (picture,) = listed(folder, "eval_general.json")
    (target,) = picture.read()
    expected = np.zeros((60, 80), bool)
    expected[12:49, 12:39] = True
    assert (target.mask == expected).all()
    assert target.void is not None and (target.void == (object_map() == 255)).all()
    assert (listed_examples(folder, "eval_general.json")[0].target.mask == expected).all()


def test_shards_hold_alike_shares_and_add_up(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small, out = tmp_path / "small", tmp_path / "elsewhere"
    arguments = ["--data", str(folder), "--out", str(small), "--side", "64", "--quality", "80", "--workers", "1"]
    assert cli.main(["train", "--pack", *arguments, "--shards", "2"]) == 0
    shards = [small / "shard_1.zip", small / "shard_2.zip"]
    assert all(str(shard) in capsys.readouterr().out for shard in shards[:1])
    assert read_shards(shards[:1], out) == 4
    assert [record.source for record in read_folder(out, "train")] == ["ecssd", "ecssd", "voc_animals", "sysu_shape"]
    assert read_shards(shards, out) == 7  # the first is there already
    packed = load(read_folder(out, "train"), 96, CPU, 1)
    assert sorted(packed.sources) == sorted(record.source for record in read_folder(folder, "train"))
    whole = build_table(read_folder(folder, "train")[0].annotations[0](), False, True)
    np.testing.assert_allclose(packed.tables[0].areas, whole.areas, atol=0.02)
    assert (packed.maps[0] == VOID_REGION).any()
    with pytest.raises(ArgumentError, match="not a shard"):
        read_shards([folder / "index.json"], out)
    before = (folder / "index.json").read_text()
    with pytest.raises(ArgumentError, match="another photograph"):
        read_shards(shards[:1], folder)  # the folder that was packed
    assert (folder / "index.json").read_text() == before
    with pytest.raises(ArgumentError, match="--shards"):
        write_shards(small, 0)
