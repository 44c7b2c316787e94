"""Runs in pieces: the time of a piece, what travels between machines, and void in a step's losses."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from inter2former_onnx import cli
from inter2former_onnx.errors import ArgumentError, CheckpointError, ConfigError
from inter2former_onnx.models import Inter2Former, ModelConfig
from inter2former_onnx.models.checkpoints import load_state_dict, read_checkpoint
from inter2former_onnx.training import compile_cache, options
from inter2former_onnx.training.region_table import VOID_REGION
from inter2former_onnx.training.rounds import StepResult
from inter2former_onnx.training.run_log import LOG_FILE, read_log
from inter2former_onnx.training.run_state import STATE_FILE, read_state
from inter2former_onnx.training.state_parts import join_parts, write_parts
from inter2former_onnx.training.trainer import Trainer
from support.training_folder import make_folder
from support.training_run import CPU, make_trainer, small_values


def test_a_piece_ends_in_time_and_the_schedule_with_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, clock = make_folder(tmp_path), [100.0]
    trainer = make_trainer(folder, tmp_path / "run", 0)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    train_step, seen = trainer.train_step, []

    def step():  # type: ignore[no-untyped-def]
        seen.append(trainer.progress)
        result = train_step()
        clock[0] += 36.0
        return result

    trainer.train_step = step  # type: ignore[method-assign]
    trainer.settings = dataclasses.replace(trainer.settings, steps=None, until=200.0, later_hours=0.03)
    clock[0] = 120.0  # loading took a while
    trainer.run()
    assert trainer.step == 3 and trainer.hours == pytest.approx(0.03)
    assert seen[0] == 0.0 and trainer.progress == pytest.approx(0.5)
    trainer.settings = dataclasses.replace(trainer.settings, until=clock[0] + 100.0, later_hours=0.0)
    trainer.run()
    assert trainer.step == 6 and trainer.progress == 1.0 and seen == sorted(seen)


def test_state_travels_in_parts(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    trainer = make_trainer(folder, tmp_path / "run", 2)
    trainer.run()
    out, there = tmp_path / "out", tmp_path / "there"
    out.mkdir()
    (out / f"{STATE_FILE}.9").write_bytes(b"of an earlier state")
    files = write_parts(tmp_path / "run", out, part_mib=1)
    assert files[-1].name == LOG_FILE and {f.name for f in out.iterdir()} == {f.name for f in files}
    sent = sum(file.stat().st_size for file in files[:-1])
    assert len(files) > 2 and sent < 0.75 * (tmp_path / "run" / STATE_FILE).stat().st_size
    join_parts(out, there, "small")
    rest = make_trainer(folder, there, 3)
    rest.resume()
    assert (rest.step, rest.hours) == (2, trainer.hours)
    for one, other in zip(trainer.model.state_dict().values(), rest.model.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(trainer.average.model.parameters(), rest.average.model.parameters(), strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
    sent_moment, moment = (t.optimiser.state_dict()["state"][0]["exp_avg"] for t in (trainer, rest))
    assert moment.dtype == torch.float32
    torch.testing.assert_close(moment, sent_moment, rtol=0.01, atol=0)
    rest.train_step()
    model = Inter2Former(ModelConfig.from_dict(small_values()))
    load_state_dict(model, read_checkpoint(there / "small.safetensors"), "small.safetensors")
    files[0].unlink()
    with pytest.raises(CheckpointError):
        join_parts(out, tmp_path / "broken", "small")
    with pytest.raises(ArgumentError, match="holds no state"):
        join_parts(tmp_path, tmp_path / "broken", "small")


def test_pieces_from_packed_data_to_a_checkpoint_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: pack, a piece on one shard, its files to another machine, a piece on both shards there."""
    clock, train_step = [0.0], Trainer.train_step

    def step(trainer: Trainer) -> StepResult:
        clock[0] += 1.0
        return train_step(trainer)

    monkeypatch.setattr(Trainer, "train_step", step)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    packed, out, config = tmp_path / "packed", tmp_path / "out", tmp_path / "small.json"
    pack = ["train", "--pack", "--data", str(make_folder(tmp_path)), "--out", str(packed), "--shards", "2"]
    assert cli.main(pack) == 0
    config.write_text(json.dumps(small_values()))
    recipe = tmp_path / "recipe.json"
    stages = [{"share": 1.0, "size": 64, "images": 2}]
    recipe.write_text(
        json.dumps(
            {
                "stages": stages,
                "gradient_rounds": 1,
                "first_rounds": 1,
                "last_rounds": 2,
                "held_out": 0.0,
                "store_side": 96,
            }
        )
    )
    common = ["train", "--config", str(config), "--recipe", str(recipe), "--device", "cpu", "--precision", "fp32"]
    common += ["--compile", "no", "--workers", "1", "--reserve", "0", "--to-parts", str(out)]
    shards = [str(packed / f"shard_{number}.zip") for number in (1, 2)]
    first = ["--data", str(tmp_path / "a"), "--out", str(tmp_path / "run_a"), "--add-shards", shards[0]]
    assert cli.main([*common, *first, "--minutes", "0.05", "--later-minutes", "0.05"]) == 0
    assert int(read_state(tmp_path / "run_a" / STATE_FILE, CPU)["step"]) == 3
    printed = capsys.readouterr().out
    assert "step 3, 0.0008 h trained, 50% of the schedule" in printed and f"MiB: {out / STATE_FILE}.0" in printed
    second = ["--data", str(tmp_path / "b"), "--out", str(tmp_path / "run_b"), "--add-shards", *shards]
    assert cli.main([*common, *second, "--resume", "--from-parts", str(out), "--minutes", "0.05"]) == 0
    assert "100% of the schedule" in capsys.readouterr().out
    starts = [line for line in read_log(out / LOG_FILE) if line["kind"] == "start"]
    assert [start["step"] for start in starts] == [0, 3]
    assert int(read_state(tmp_path / "run_b" / STATE_FILE, CPU)["step"]) == 6
    weights = tmp_path / "run_b" / "small.safetensors"
    third = ["--data", str(tmp_path / "a"), "--out", str(tmp_path / "run_c"), "--start", str(weights)]
    assert cli.main([*common, *third, "--minutes", "0.02"]) == 0
    recipe.write_text("[]")
    assert cli.main([*common, *first, "--resume", "--minutes", "0.05"]) == ArgumentError.exit_code
    assert "expected an object, found list" in capsys.readouterr().err
    config.write_text(json.dumps({**small_values(), "geometry": {"mode": "fit", "size": 64, "size_divisor": 1}}))
    assert cli.main([*common, *first, "--resume", "--minutes", "0.05"]) == ConfigError.exit_code


def test_a_piece_overwrites_nothing_and_goes_on_from_what_is_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A state is only gone on from when asked, and that of the run is preferred to the parts."""
    folder, run, parts = make_folder(tmp_path), tmp_path / "run", tmp_path / "parts"
    make_trainer(folder, run, 2).run()
    write_parts(run, parts)
    make_trainer(folder, run, 1).save()  # step 0: what the run has is not what the parts have
    config = tmp_path / "small.json"
    config.write_text(json.dumps(small_values()))
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"stages": [{"share": 1.0, "size": 64, "images": 2}], "held_out": 0.0}))
    common = ["train", "--config", str(config), "--data", str(folder), "--recipe", str(recipe), "--device", "cpu"]
    common += ["--compile", "no", "--workers", "1", "--rounds", "1:1:2"]

    def steps(where: Path) -> int:
        return int(read_state(where / STATE_FILE, CPU)["step"])

    before = (run / STATE_FILE).read_bytes()
    for more, status, message in (
        (["--out", str(run), "--minutes", "5"], 2, "holds a run; continue it with --resume"),
        (["--out", str(run), "--start", "none.safetensors"], 2, "holds a run; continue it with --resume"),
        (["--out", str(tmp_path / "new"), "--resume", "--steps", "3"], 5, "nothing to resume"),
        (["--out", str(tmp_path / "new"), "--resume", "--from-parts", str(folder)], 2, f"holds no {STATE_FILE}.0"),
        (["--out", str(run), "--resume", "--steps", "3", "--config", "tiny"], 5, "is no state of this model"),
    ):
        assert cli.main([*common, *more]) == status
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert (run / STATE_FILE).read_bytes() == before
    resume = ["--resume", "--from-parts", str(parts), "--steps"]
    assert cli.main([*common, *resume, "1", "--out", str(run)]) == 0 and steps(run) == 1
    assert cli.main([*common, *resume, "3", "--out", str(tmp_path / "other")]) == 0 and steps(tmp_path / "other") == 3


def test_command_joins_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, parts, there = tmp_path / "run", tmp_path / "parts", tmp_path / "there"
    make_trainer(make_folder(tmp_path), run, 1).run()
    write_parts(run, parts)
    join = ["train", "--join", str(parts), "--config", "small", "--out"]
    assert cli.main([*join, str(there)]) == 0
    assert capsys.readouterr().out == f"wrote {there / STATE_FILE} and {there / 'small.safetensors'}\n"
    assert int(read_state(there / STATE_FILE, CPU)["step"]) == 1 and (there / LOG_FILE).is_file()
    model = Inter2Former(ModelConfig.from_dict(small_values()))
    load_state_dict(model, read_checkpoint(there / "small.safetensors"), "small.safetensors")
    before = (there / STATE_FILE).read_bytes()
    for folder in (there, run):
        assert cli.main([*join, str(folder)]) == ArgumentError.exit_code
        error = capsys.readouterr().err
        assert "choose another folder" in error and error.count("\n") == 1
    assert (there / STATE_FILE).read_bytes() == before
    (parts / f"{STATE_FILE}.0").write_bytes(b"damaged")
    assert cli.main([*join, str(tmp_path / "broken")]) == CheckpointError.exit_code
    assert capsys.readouterr().err.count("\n") == 1 and not list((tmp_path / "broken").iterdir())


def test_recipes_of_the_package_are_read() -> None:
    paths = list((Path(options.__file__).parent / "recipes").glob("*.json"))
    assert paths and all(options.read_recipe(path) for path in paths)


def test_what_was_compiled_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, given = tmp_path / "compiled.bin", []
    monkeypatch.setattr(torch.compiler, "save_cache_artifacts", lambda: (b"kernels", None))
    monkeypatch.setattr(torch.compiler, "load_cache_artifacts", lambda data: given.append(data) or "info")
    assert not compile_cache.load_compiled(path)
    assert compile_cache.save_compiled(path) and compile_cache.load_compiled(path) and given == [b"kernels"]
    monkeypatch.setattr(torch.compiler, "save_cache_artifacts", lambda: None)
    assert not compile_cache.save_compiled(path)


def test_void_pixels_teach_nothing_and_get_no_click(tmp_path: Path) -> None:
    """What a mask says there changes neither the losses that compare with the target nor where the clicks go."""
    trainer = make_trainer(make_folder(tmp_path), tmp_path / "run", 1)
    batch = trainer.sampler.draw(2, 2, 64)
    void = torch.zeros(2, 64, 64, dtype=torch.bool)
    void[:, 8:40, 8:40] = True
    batch = dataclasses.replace(
        batch,
        regions=torch.where(void, VOID_REGION, batch.regions),
        targets=batch.targets & ~void.repeat_interleave(2, 0),
    )
    clicks: list[torch.Tensor] = []
    click = trainer.rounds.click

    def recorded(foreground: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        clicks.append(click(foreground, targets))
        return clicks[-1]

    trainer.rounds.click = recorded  # type: ignore[method-assign]
    trainer.rounds.step(batch, 3, 3, np.random.default_rng(0))
    for row, column, _ in torch.cat(clicks).tolist():
        assert row < 0 or not void[0, row, column]
    shown = trainer.rounds.encode(batch.inputs)
    labels = torch.full((4, 64, 64), 2, dtype=torch.uint8)
    near, judged = torch.ones(4, 64, 64), ~void.repeat_interleave(2, 0)
    found = []
    for targets in (batch.targets, batch.targets | ~judged):
        generator = np.random.default_rng(0)
        whole = trainer.rounds._learn(shown, labels, targets, near, generator, True, judged)[1]
        found.append({name: whole[name] for name in ("entropy", "focal", "clicks")})
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name])
