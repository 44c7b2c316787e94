"""Model configurations: the published arguments, our additions, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inter2former_onnx.errors import ConfigError
from inter2former_onnx.models import ModelConfig, load_config
from support.reference import DATA, MINI_SIZE, mini_config_dict


def test_defaults_are_the_published_preset() -> None:
    assert load_config("vit_b") == ModelConfig()


def test_published_arguments() -> None:
    config = load_config(DATA / "mini_config.json")
    assert config.backbone.window_size == 4
    assert config.backbone.out_indices == (0, 1, 3)
    assert config.edge_detector.dims == (4, 16, 64, 256)
    assert (config.neck.attention_dim, config.neck.attention_heads, config.neck.ffn_dim) == (64, 2, 128)
    # What the file leaves out has the published value.
    assert config.routing == "boundary" and config.channel_order == "bgr"
    assert (config.geometry.size, config.geometry.size_divisor, config.click_radius) == (1024, 256, 5)


@pytest.mark.parametrize("routing", ["boundary", "roi"])
def test_round_trip(routing: str) -> None:
    config = ModelConfig.from_dict(mini_config_dict(routing))
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def changed(**blocks: dict[str, Any] | Any) -> dict[str, Any]:
    values = mini_config_dict()
    for name, value in blocks.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    return values


@pytest.mark.parametrize(
    "values, said",
    [
        (changed(geometry={"size": 100}), "geometry.size must be a multiple of 16, found 100"),
        (changed(geometry={"mode": "round"}), "geometry.mode must be 'square' or 'fit', found 'round'"),
        (changed(neck={"downscale": 3}), "neck.downscale 3 must divide"),
        (changed(neck={"code_size": 40}), "neck.code_size"),
        (changed(neck={"uncertainty_kernel_size": 4}), "must be odd"),
        (changed(neck={"depth": 0}), "neck.depth must be positive, found 0"),
        (changed(neck={"ref_dims": [8, 16, 32]}), "neck.ref_dims"),
        (changed(backbone={"out_indices": [9]}), "backbone.out_indices"),
        (changed(backbone={"num_heads": 7}), "must split into 7 heads"),
        (changed(backbone={"final_embed_dim": 128}), "must be equal, found 128, 256, 256"),
        (changed(backbone={"depth": "twelve"}), "backbone.depth: expected int, found 'twelve'"),
        (changed(backbone={"depth": True}), "backbone.depth: expected int, found True"),
        (changed(backbone={"out_indices": 3}), "expected a list of int, found 3"),
        (changed(backbone={"widow_size": 4}), "unknown key 'widow_size'"),
        (changed(colour="red"), "unknown key 'colour'"),
        (changed(click_radius=-1), f"click_radius must be 0 to {MINI_SIZE} pixels, found -1"),
        (changed(click_radius=2000), f"click_radius must be 0 to {MINI_SIZE} pixels, found 2000"),
        (changed(click_radius=4.5), "click_radius: expected int, found 4.5"),
        (changed(routing="both"), "routing must be 'boundary' or 'roi', found 'both'"),
        (changed(std=[1.0, 0.0, 1.0]), "std[1] must be positive"),
        (changed(mean=[1.0]), "mean and std must have three values"),
        (changed(neck=7), "neck: expected an object, found int"),
        ([], "expected a JSON object, found list"),
    ],
)
def test_refused(values: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig.from_dict(values, "some.json")
    assert str(caught.value).startswith("some.json: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither a preset \(.*vit_b.*\) nor a readable JSON file"):
        load_config("vit_x")
    broken = tmp_path / "broken.json"
    broken.write_text('{"neck": ')
    with pytest.raises(ConfigError, match=r"broken\.json: not valid JSON"):
        load_config(broken)
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="not a text file"):
        load_config(binary)
