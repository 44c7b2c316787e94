"""A training run of a very small model on a CPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from inter2former_onnx.models import ModelConfig, load_config
from inter2former_onnx.training.folder import read_folder
from inter2former_onnx.training.image_store import load
from inter2former_onnx.training.options import Recipe, Stage
from inter2former_onnx.training.trainer import RunSettings, Trainer

CPU = torch.device("cpu")


def small_values(size: int = 64) -> dict[str, object]:
    """Give the tiny preset's structure a fraction of its size, for `size` x `size` pixels."""
    values = load_config("tiny").to_dict()
    values["backbone"].update(
        depth=2,
        embed_dim=32,
        num_heads=2,
        out_indices=[0, 1],
        final_embed_dim=32,
        window_size=4,
        downsample_sizes=[32],
        img_size=64,
    )
    values["edge_detector"]["dims"] = [4, 4, 8, 32]
    values["neck"].update(embed_dim=32, ref_dims=[4, 8, 16, 32], num_heads=4, downscale=2)
    values["decode_head"]["embed_dim"] = 32
    values["geometry"] = {"mode": "square", "size": size, "size_divisor": 32}
    return values


def make_trainer(folder: Path, out: Path, steps: int, **changes: object) -> Trainer:
    """A run of so many steps in float32, on pictures of 64 pixels; `changes` are fields of its recipe."""
    recipe = dataclasses.replace(
        Recipe(stages=(Stage(1.0, 64, 2),), gradient_rounds=2, first_rounds=2, last_rounds=3), **changes
    )
    settings = RunSettings(
        out=out,
        name="small",
        hours=None,
        steps=steps,
        seed=1,
        device=CPU,
        precision=torch.float32,
        compiled=False,
        workers=1,
    )
    store = load(read_folder(folder, "train"), 96, CPU, 1)
    return Trainer(ModelConfig.from_dict(small_values()), recipe, store, [], settings)
