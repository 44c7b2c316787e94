"""Training runs on synthetic pictures: learning, resuming, stopping, evaluating, and the command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from inter2former_onnx import cli
from inter2former_onnx.commands.train_arguments import build_recipe
from inter2former_onnx.errors import ArgumentError, CheckpointError
from inter2former_onnx.evaluation.targets import Target
from inter2former_onnx.models import Inter2Former, ModelConfig
from inter2former_onnx.models.checkpoints import load_state_dict, read_checkpoint
from inter2former_onnx.training import rounds as rounds_module
from inter2former_onnx.training.augmentation import AugmentationSettings
from inter2former_onnx.training.development import Example
from inter2former_onnx.training.evaluation import results_table, summarise
from inter2former_onnx.training.folder import read_folder
from inter2former_onnx.training.image_store import load
from inter2former_onnx.training.initialise import initialise
from inter2former_onnx.training.losses import LossWeights
from inter2former_onnx.training.optimiser import learning_rate
from inter2former_onnx.training.options import Recipe, Stage, parse_stages
from inter2former_onnx.training.rounds import ClickRounds
from inter2former_onnx.training.run_log import LOG_FILE, read_log
from inter2former_onnx.training.run_state import STATE_FILE, read_state
from inter2former_onnx.training.sessions import run_sessions
from support.training_folder import make_folder
from support.training_run import make_trainer, small_values

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path)


def test_loss_falls_and_weights_can_be_read_back(folder: Path, tmp_path: Path) -> None:
    pictures_as_they_are = AugmentationSettings(plain=1.0, rotate=0.0, grey=0.0, paste=0.0, blob=0.0)
    trainer = make_trainer(
        folder, tmp_path / "run", 60, learning_rate=5e-3, warmup_steps=6, augmentation=pictures_as_they_are
    )
    trainer.run()
    lines = [line for line in read_log(tmp_path / "run" / LOG_FILE) if line["kind"] == "step"]
    assert len(lines) == 3
    assert lines[-1]["entropy"] < 0.9 * lines[0]["entropy"]
    assert lines[-1]["overlap"] < lines[0]["overlap"]
    weights = read_checkpoint(tmp_path / "run" / "small.safetensors")
    model = Inter2Former(ModelConfig.from_dict(small_values()))
    load_state_dict(model, weights, "small.safetensors")
    averaged = dict(trainer.average.model.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, averaged[name], atol=1e-3, rtol=1e-3)
    assert int(model.neck.blocks[0].ffn.steps) == 60


def test_a_share_of_the_learnt_rounds_runs_in_dense_mode(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as asked for, and never a round that only moves the label map on."""
    seen: list[tuple[bool, bool]] = []
    forward = rounds_module.neck_forward

    def recorded(neck, embed, labels, dense):  # type: ignore[no-untyped-def]
        seen.append((bool(dense.all()), torch.is_grad_enabled()))
        return forward(neck, embed, labels, dense)

    monkeypatch.setattr(rounds_module, "neck_forward", recorded)
    for share, least, most in ((0.0, 0, 0), (0.5, 1, 11), (1.0, 12, 12)):
        seen.clear()
        trainer = make_trainer(
            folder, tmp_path / f"run{share}", 6, dense_share=share, gradient_rounds=2, first_rounds=4, last_rounds=4
        )
        trainer.run()
        learnt = [dense for dense, grad in seen if grad]
        assert len(learnt) == 12 and least <= sum(learnt) <= most
        assert not [dense for dense, grad in seen if dense and not grad]


def test_early_rounds_are_learnt_most() -> None:
    generator = np.random.default_rng(0)
    drawn = [rounds_module._learnt_rounds(8, 3, generator) for _ in range(2000)]
    assert all(len(rounds) == 3 and rounds <= set(range(8)) for rounds in drawn)
    shares = np.bincount([number for rounds in drawn for number in rounds], minlength=8) / len(drawn)
    assert shares[0] > 0.6 and (np.diff(shares) < 0.03).all() and shares[7] > 0.1
    assert rounds_module._learnt_rounds(1, 1, generator) == {0}


def test_a_gradient_that_is_not_finite_changes_nothing_and_is_counted(folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(folder, tmp_path / "run", 20, warmup_steps=1)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    learn = trainer.rounds.step

    def broken(*arguments: object) -> rounds_module.StepResult:
        result = learn(*arguments)
        trainer.model.backbone.pos_embed.grad.fill_(float("inf"))
        return result

    trainer.rounds.step = broken
    scalars = trainer.train_step().scalars
    assert scalars["skipped"] == 1 and torch.isnan(scalars["gradient"])
    after = trainer.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    trainer.rounds.step = learn
    assert trainer.train_step().scalars["skipped"] == 0
    assert any(not torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_resumed_run_is_identical(folder: Path, tmp_path: Path) -> None:
    whole = make_trainer(folder, tmp_path / "whole", 6)
    whole.run()
    part = make_trainer(folder, tmp_path / "part", 6)
    for _ in range(3):
        part.train_step()
    part.save()
    rest = make_trainer(folder, tmp_path / "part", 6)
    rest.resume()
    assert rest.step == 3
    rest.run()
    for (name, one), other in zip(
        whole.model.state_dict().items(), rest.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    for one, other in zip(whole.average.model.parameters(), rest.average.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_termination_saves_and_returns(folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(folder, tmp_path / "run", 10_000)
    train_step = trainer.train_step

    def step_then_terminate():  # type: ignore[no-untyped-def]
        result = train_step()
        if trainer.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    trainer.train_step = step_then_terminate  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGTERM)
    trainer.run()
    assert signal.getsignal(signal.SIGTERM) is before
    assert int(read_state(tmp_path / "run" / STATE_FILE, CPU)["step"]) == 2
    assert not list((tmp_path / "run").glob(".*tmp"))
    with pytest.raises(CheckpointError, match="nothing to resume"):
        read_state(tmp_path / STATE_FILE, CPU)


def test_time_stopped_by_a_signal_does_not_count(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped for an hour and continued: the schedule goes on where it was, not an hour later."""
    trainer = make_trainer(folder, tmp_path / "run", 4)
    train_step, clock = trainer.train_step, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def step():  # type: ignore[no-untyped-def]
        result = train_step()
        clock[0] += 36.0
        if trainer.step == 3:
            clock[0] += 3600.0
            os.kill(os.getpid(), signal.SIGCONT)
        return result

    trainer.train_step = step  # type: ignore[method-assign]
    trainer.run()
    assert trainer.hours == pytest.approx(4 * 36.0 / 3600.0)


def test_sessions_follow_the_click_rule_and_enforce() -> None:
    """An untrained model gets clicks wrong; enforced, every clicked pixel is right and IoU is what the masks say."""
    model = Inter2Former(ModelConfig.from_dict(small_values())).eval()
    initialise(model, seed=0)
    image = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    mask = np.zeros((50, 70), dtype=bool)
    mask[10:35, 20:50] = True
    examples = [Example(image, Target("a", mask)), Example(image, Target("b", ~mask))]
    with ThreadPoolExecutor(1) as pool:
        rounds = ClickRounds(model, LossWeights(), CPU, torch.float32, False, pool)
        sessions, usage = run_sessions(rounds, examples, 3, 64, 2, enforce=True, keep_masks=True)
        plain, _ = run_sessions(rounds, examples[:1], 3, 64, 1)
    first = sessions[0].clicks[0]
    assert first is not None and first.positive and mask[first.y, first.x]
    assert all(all(session.obeyed) for session in sessions)
    for session, example in zip(sessions, examples, strict=True):
        for overlap, found in zip(session.overlaps, session.masks, strict=True):
            target = example.target.mask
            assert overlap == pytest.approx((found & target).sum() / (found | target).sum())
    result = summarise(sessions, usage)
    assert len(result["iou"]) == 3 and 1 <= result["noc80"] <= 3 and len(result["codes_used"]) == 2
    assert sum(result["expert_shares"][0]) == pytest.approx(1.0)
    assert "| list (2)" in results_table({"list": result}) and len(plain[0].overlaps) == 3


def test_session_equals_the_inference_model() -> None:
    """The harness's masks are those of `Inter2Former.predict`, click after click."""
    model = Inter2Former(ModelConfig.from_dict(small_values())).eval()
    initialise(model, seed=2)
    generator = np.random.default_rng(1)
    image = generator.integers(0, 255, (60, 40, 3), dtype=np.uint8)
    mask = np.zeros((60, 40), dtype=bool)
    mask[5:30, 10:30] = True
    rounds = ClickRounds(model, LossWeights(), CPU, torch.float32, False, None)
    sessions, _ = run_sessions(rounds, [Example(image, Target("a", mask))], 2, 64, 1, keep_masks=True)
    click = sessions[0].clicks[0]
    assert click is not None
    labels = torch.full((64, 64), 2, dtype=torch.uint8)
    axis = torch.arange(64)
    radius = model.config.click_radius
    disc = (axis[:, None] - click.y) ** 2 + (axis - click.x) ** 2 <= radius**2  # 64 x 64 padded: scale 1
    labels[disc] = 4
    logits = model.predict(torch.from_numpy(image), labels)
    differing = int(((logits[:60, :40] > 0).numpy() != sessions[0].masks[0]).sum())
    assert differing <= 2  # float rounding at zero logits


def test_schedule_and_recipe() -> None:
    recipe = Recipe()
    rates = [learning_rate(recipe, p, 10_000) for p in np.linspace(0, 1, 101)]
    assert rates[0] == recipe.learning_rate and rates == sorted(rates, reverse=True)
    assert learning_rate(recipe, 0.0, 0) == pytest.approx(recipe.learning_rate / recipe.warmup_steps)
    assert rates[-1] == pytest.approx(recipe.final_rate * recipe.learning_rate)
    assert recipe.stage(0.0).size == recipe.stages[0].size and recipe.stage(1.0).size == recipe.stages[-1].size
    assert recipe.rounds(0.0) == recipe.first_rounds and recipe.rounds(1.0) == recipe.last_rounds
    assert parse_stages("256:0.5:4,384:0.5:2") == (Stage(0.5, 256, 4), Stage(0.5, 384, 2))
    with pytest.raises(ArgumentError, match="sum to 1"):
        Recipe(stages=parse_stages("256:0.5:4"))
    with pytest.raises(ArgumentError, match="multiples of 16"):
        Recipe(stages=parse_stages("250:1:4"))
    with pytest.raises(ArgumentError, match="size:share:pictures"):
        parse_stages("256")
    with pytest.raises(ArgumentError, match="gradient_rounds"):
        Recipe(gradient_rounds=4, first_rounds=3)


def test_command_trains_plots_and_evaluates(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    config, out = tmp_path / "small.json", tmp_path / "run"
    config.write_text(json.dumps(small_values()))
    entries = [{"id": "p00", "label_file": "labels/p00_0.png", "region": 1}]
    (folder / "eval.json").write_text(json.dumps(entries))
    common = ["train", "--config", str(config), "--data", str(folder), "--out", str(out), "--device", "cpu"]
    train = [*common, "--steps", "20", "--stages", "64:1:2", "--rounds", "1:1:2", "--compile", "no", "--workers", "1"]
    assert cli.main([*train, "--loss", "clicks=2", "--precision", "fp32"]) == 0
    assert capsys.readouterr() == (f"wrote {out / 'small.safetensors'}\n", "")  # no bar in a pipe
    assert cli.main(train) == ArgumentError.exit_code
    assert "continue it with --resume" in capsys.readouterr().err
    assert cli.main(["train", "--out", str(out), "--plot"]) == 0
    assert (out / "curves.png").stat().st_size > 1000
    weights = ["--evaluate", str(out / "small.safetensors"), "--list", "eval.json", "--clicks", "2", "--workers", "1"]
    assert cli.main([*common, *weights]) == 0
    printed = capsys.readouterr().out
    assert "eval.json (1)" in printed and "experts" in printed
    assert (out / "masks_eval.png").is_file() and len(json.loads((out / "evaluation.json").read_text())) == 1
    assert cli.main([*train[:-2], "--resume", "--loss", "nonsense=1"]) == ArgumentError.exit_code


def test_command_packs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = tmp_path / "small"
    assert cli.main(["train", "--pack", "--data", str(folder), "--out", str(small), "--side", "45"]) == 0
    assert f"MiB in {small}" in capsys.readouterr().out
    assert load(read_folder(small, "train"), 96, CPU, 1).sizes.tolist() == [[35, 45]] * 5


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        ([], 2, "--data says where the pictures are"),
        (["--data", "none"], 2, "--data none: expected a folder with index.json"),
        (["--plot"], 2, "--plot: there is no "),
        (["--pack", "--data", "none"], 2, "index.json cannot be read"),
        (["--data", "none", "--resume", "--start", "w"], 2, "give one"),
        (["--data", "none", "--hours", "1", "--steps", "1"], 2, "give one"),
        (["--data", "none", "--rounds", "1:2"], 2, "--rounds: expected learnt:first:last"),
        (["--data", "none", "--device", "abacus"], 2, "--device abacus: "),
        (["--data", "none", "--config", "none"], 4, "none"),
        (["--data", "none", "--evaluate", "none"], 5, "none"),
        (["--data", "none", "--evaluate", "none", "--list", "eval.json"], 2, "--list eval.json: there is no such file"),
        (["--data", "none", "--recipe", "none.json"], 2, "none.json cannot be read as JSON"),
        (["--data", "none", "--background-share", "2"], 2, "background_share: expected 0 to 1"),
        (["--data", "none", "--source-weight", "ccp"], 2, "--source-weight ccp: expected NAME=NUMBER"),
        (["--data", "none", "--source-weight", "ccp=-1"], 2, "source_weights: expected factors from 0"),
        (["--join", "none"], 2, "none holds no state.pt.0"),
    ],
)
def test_command_names_what_it_cannot_use(
    more: list[str], status: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--out", "out", *more]) == status
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--start", "--evaluate"])
def test_weights_of_a_file_that_holds_several_are_named(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused without --key; with it the named ones are read (here, of another model)."""
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"w": torch.ones(1)}, "ema": {"w": torch.ones(2)}}, "two.pth")
    command = ["train", "--data", "none", "--out", "out", option, "two.pth"]
    assert cli.main(command) == 5
    said = "holds several state dicts, model (1 tensor), ema (1 tensor): choose one with --key NAME"
    assert said in capsys.readouterr().err
    # What is missing then is the data, or that these weights are of another model.
    assert cli.main([*command, "--key", "ema"]) == (2 if option == "--start" else 5)
    assert "several" not in (said := capsys.readouterr().err) and ("index.json" in said or "another model" in said)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--hours", "1", "--steps", "1"], "--hours and --steps both say how long; give one"),
        (["--hours", "1", "--minutes", "1"], "--hours and --minutes both say how long; give one"),
        (["--steps", "1", "--minutes", "1"], "--steps and --minutes both say how long; give one"),
        (["--resume", "--start", "w"], "--resume and --start both say where to begin; give one"),
        (["--from-parts", "p"], "--from-parts says what --resume goes on from; give --resume too"),
        (["--from-parts", "p", "--start", "w"], "--from-parts says what --resume goes on from; give --resume too"),
        (["--hours", "1", "--later-minutes", "3"], "--later-minutes is for a piece of a run; give --minutes too"),
        (["--reserve", "0"], "--reserve is for a piece of a run; give --minutes too"),
        (["--minutes", "0.2"], "--minutes above --reserve, found 0, 0.25 and 0.2"),
        (["--minutes", "nan"], "--minutes above --reserve, found 0, 0.25 and nan"),
        (["--minutes", "2", "--later-minutes", "-1"], "found -1, 0.25 and 2"),
        (["--to-parts", "out"], "--to-parts and --out are the same folder, out; choose another"),
        (["--resume", "--from-parts", "./out"], "--from-parts and --out are the same folder, out; choose another"),
        (["--join", "out"], "--join and --out are the same folder, out; choose another"),
        (["--pack", "--data", "out"], "--data and --out are the same folder, out; choose another"),
        (["--list", "eval.json"], "--list is for --evaluate"),
        (["--key", "ema"], "--key chooses in the weights of --start or --evaluate; give one of them"),
        (["--shards", "2"], "--shards is for --pack"),
        (["--evaluate", "w", "--shards", "2"], "--shards is for --pack"),
        (["--plot", "--minutes", "0"], "--plot does not train; it takes no --minutes"),
        (["--pack", "--add-shards", "a.zip"], "--pack does not train; it takes no --add-shards"),
        (["--evaluate", "w", "--resume"], "--evaluate does not train; it takes no --resume"),
        (["--join", "p", "--to-parts", "q"], "--join does not train; it takes no --to-parts"),
    ],
)
def test_options_that_exclude_each_other_are_refused_before_anything_is_read(
    more: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = [] if "--data" in more else ["--data", "none"]
    assert cli.main(["train", "--out", "out", *data, *more]) == ArgumentError.exit_code
    assert capsys.readouterr().err.endswith(f"{message}\n") and not list(tmp_path.iterdir())


def test_options_change_the_fields_of_a_recipe_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(
        json.dumps(
            {
                "objects": 3,
                "ema": 0.9,
                "source_weights": [["bsds500", 2.0], ["ccp", 0.5]],
                "losses": {"agreement": 8.0, "boxes": 2.0},
            }
        )
    )
    options = ["--recipe", str(path), "--objects", "4", "--source-weight", "ccp=0", "--source-weight", "pets=3"]
    options += ["--loss", "boxes=0", "--background-share", "0.5"]
    found = build_recipe(cli.build_parser().parse_args(["train", "--out", "out", *options]))
    assert found == Recipe(
        objects=4,
        ema=0.9,
        source_weights=(("bsds500", 2.0), ("ccp", 0.0), ("pets", 3.0)),
        background_share=0.5,
        losses=LossWeights(agreement=8.0, boxes=0.0),
    )
    assert build_recipe(cli.build_parser().parse_args(["train", "--out", "out"])) == Recipe()


def test_step_keeps_to_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an accelerator nothing may mix devices: the meta device refuses to, and needs no accelerator."""
    from inter2former_onnx.training import batched_encoding, losses
    from inter2former_onnx.training.augmentation import change_colour, generated_shapes, warp
    from inter2former_onnx.training.label_maps import apply_predictions, click_discs, draw_clicks, initial_labels

    monkeypatch.setattr(torch, "autocast", lambda *arguments, **options: contextlib.nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *arguments: False)
    device = torch.device("meta")
    model = Inter2Former(ModelConfig.from_dict(small_values()))
    plans = batched_encoding.window_plans(model, 64, CPU)
    rounds = ClickRounds(model.to(device), LossWeights(), device, torch.float32, False, None)
    assert not torch.backends.cuda.cudnn_sdp_enabled()  # see ClickRounds
    rounds._plans[64] = tuple(batched_encoding._to(plan, device) for plan in plans)
    images = torch.zeros(2, 96, 96, 3, dtype=torch.uint8, device=device)
    maps = torch.zeros(2, 96, 96, dtype=torch.int16, device=device)
    sizes = torch.full((2, 2), 90, device=device)
    views, three = torch.zeros(2, 2, 3, device=device), torch.ones(3, device=device)
    inputs, regions, inside = warp(images, maps, sizes, views, 64, three, three)
    inputs = change_colour(inputs, torch.zeros(2, 3, 4, device=device), inside)
    assert generated_shapes(torch.zeros(2, 5, device=device), 64).device == device
    features = rounds.encode(inputs)
    targets = torch.ones(4, 64, 64, dtype=torch.bool, device=device)
    place = torch.zeros(4, dtype=torch.int64, device=device)
    labels = draw_clicks(initial_labels(4, 64, device), click_discs(place, place, 64, 5), place > 0)
    near = losses.boundary_weights(targets, 1.0)
    logits, terms, loads = rounds._learn(features, labels, targets, near, np.random.default_rng(0))
    assert {value.device for value in (logits, loads, *terms.values())} == {device}
    assert apply_predictions(labels, logits > 0).device == device
    assert batched_encoding.same_region_loss(features.embed, regions[:, 8::16, 8::16]).device == device
    with pytest.raises(RuntimeError, match="device"):
        rounds._learn(features, labels, torch.ones(4, 64, 64, dtype=torch.bool), near, np.random.default_rng(0))
