"""The batched training form of the model against the inference form, and what the codes and experts are held to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from inter2former_onnx.models import Inter2Former, ModelConfig, load_config
from inter2former_onnx.training.batched_encoding import (
    edge_channels,
    encode_batch,
    per_object,
    window_plans,
)
from inter2former_onnx.training.batched_neck import neck_forward
from inter2former_onnx.training.batched_upsampling import draw, localise, predicted_boxes
from inter2former_onnx.training.initialise import initialise
from inter2former_onnx.training.label_maps import (
    apply_predictions,
    click_discs,
    draw_clicks,
    initial_labels,
)
from inter2former_onnx.training.losses import (
    balance_loss,
    box_losses,
    code_information,
    code_loss,
    expert_load,
    mask_losses,
)
from support.reference import DATA
from support.training_run import small_values


def small_config(**changes: object) -> ModelConfig:
    """Make a small model for 96 x 96 pixels."""
    return ModelConfig.from_dict({**small_values(96), **changes})


def label_maps(size: int) -> torch.Tensor:
    """Sessions at four different stages: uint8 [4, size, size]."""
    labels = initial_labels(4, size, torch.device("cpu"))
    rows, columns = torch.tensor([20, 60, 48, 5]), torch.tensor([30, 90, 10, 80])
    labels = draw_clicks(labels, click_discs(rows, columns, size, 5), torch.tensor([True, True, False, True]))
    foreground = torch.zeros(4, size, size, dtype=torch.bool)
    foreground[0, 10:40, 20:50] = foreground[1, 50:80, 70:] = foreground[3, :20, 60:] = True
    labels[:2] = apply_predictions(labels[:2], foreground[:2])
    labels[3:] = apply_predictions(apply_predictions(labels[3:], foreground[3:]), ~foreground[3:])
    return labels


@pytest.mark.parametrize("routing", ["boundary", "roi"])
def test_batched_form_equals_inference_form(routing: str) -> None:
    model = Inter2Former(small_config(routing=routing)).eval()
    initialise(model, seed=3)
    size = model.config.geometry.size
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(2, 3, 8, 8, generator=generator)
    inputs = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    labels = label_maps(size)
    with torch.no_grad():
        plans = window_plans(model, size, torch.device("cpu"))
        features = encode_batch(model, inputs, edge_channels(model, inputs), plans)
        tokens, records = neck_forward(model.neck, per_object(features.embed, 2), labels)
        localisation = localise(model.decode_head, tokens)
        # A threshold at which every object gets a box of its own.
        threshold = float(localisation.amax(1).min()) - 0.1 * float(localisation.std())
        model.decode_head.config = dataclasses.replace(model.decode_head.config, threshold=threshold)
        boxes = predicted_boxes(localisation, size // 16, threshold)
        logits = draw(model.decode_head, tokens, features.edges, boxes)
        assert len({tuple(box.tolist()) for box in boxes}) > 1
        if routing == "boundary":
            shares = records[0].boundary.float().mean(1)
            assert 0 < shares[0] < 1 and shares[2] == 1
        for index in range(4):
            single = model.encode(inputs[index // 2 : index // 2 + 1])
            expected, box = model.decode(single, labels[index])
            torch.testing.assert_close(model.neck(single.embed, labels[index]), tokens[index], atol=2e-5, rtol=1e-4)
            assert tuple(16 * side for side in boxes[index].tolist()) == box
            torch.testing.assert_close(logits[index], expected, atol=1e-4, rtol=1e-4)


def test_dense_form_equals_inference_form() -> None:
    model = Inter2Former(small_config()).eval()
    initialise(model, seed=4)
    labels = label_maps(96)
    embed = torch.randn(4, 32, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        modes = torch.tensor([True, False, True, True])
        tokens, _ = neck_forward(model.neck, embed, labels, modes)
        for index in range(4):
            expected = model.neck(embed[index], labels[index], dense=bool(modes[index]))
            torch.testing.assert_close(tokens[index], expected, atol=2e-5, rtol=1e-4)


def test_edge_channels_show_the_configured_size() -> None:
    """Values shrink as pictures grow; at another size they are scaled back to the configured size's magnitude."""
    model = Inter2Former(small_config())
    inputs = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(2))
    at_size = edge_channels(model, inputs)
    assert torch.equal(
        at_size,
        model.edge_detector.canny(
            torch.clamp((inputs * model.edge_detector.std + model.edge_detector.mean) / 255.0, 0.0, 1.0)
        ),
    )
    small = edge_channels(model, inputs[..., :48, :48])
    norms = small.pow(2).sum((2, 3)).sqrt()
    torch.testing.assert_close(norms, torch.full((1, 5), 0.5), atol=1e-4, rtol=0)


def test_every_trained_parameter_starts_alive() -> None:
    """Nothing multiplicative may start at zero: experts, codebook, and prompts would never learn."""
    model = Inter2Former(small_config())
    initialise(model, seed=0)
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and not name.endswith(("_b1", "_b2", "_b3")):
            assert float(parameter.detach().abs().amax()) > 1e-3, name
    again = Inter2Former(small_config())
    initialise(again, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_label_states_follow_the_fixture() -> None:
    """The published session: labels after each click and prediction are those of the reference."""
    session = np.load(DATA / "session_exact.npz")
    scale = session["image"].shape[-1] / 256  # 150 x 200, padded to 192 x 256 and then to a square of 256
    labels = initial_labels(1, session["image"].shape[-1], torch.device("cpu"))
    for index, (y, x, positive) in enumerate(session["clicks"]):
        row, column = torch.tensor([int(scale * y)]), torch.tensor([int(scale * x)])
        discs = click_discs(row, column, labels.shape[-1], 5)
        labels = draw_clicks(labels, discs, torch.tensor([bool(positive)]))
        assert np.array_equal(labels[0].numpy(), session[f"{index}_label_in"])
        labels = apply_predictions(labels, torch.from_numpy(session[f"{index}_logits"])[None] > 0)
        assert np.array_equal(labels[0].numpy(), session[f"{index}_label_out"])


def test_focal_loss_looks_at_what_is_wrong() -> None:
    targets = torch.zeros(3, 16, 16, dtype=torch.bool)
    targets[:, 4:12, 4:12] = True
    logits = torch.where(targets, 9.0, -9.0)
    logits[0] = 0.0  # undecided everywhere
    logits[1, 5, 5] = -3.0  # one pixel of 256 wrong
    logits.requires_grad_()
    ones = torch.ones(3, 16, 16)
    losses = mask_losses(logits, targets, torch.ones_like(targets), ones)
    losses[1].sum().backward()
    entropy, focal, overlap = (loss.detach() for loss in losses)
    wrong = float(torch.nn.functional.softplus(torch.tensor(3.0)))
    assert float(entropy[0]) == pytest.approx(float(focal[0])) == pytest.approx(float(np.log(2.0)))
    # The pixel's weight is its squared error; below a total weight of one the loss fades out.
    assert float(focal[1]) == pytest.approx(wrong * float(torch.sigmoid(torch.tensor(3.0))) ** 2, rel=1e-3)
    assert float(entropy[1]) == pytest.approx(wrong / 256, rel=0.05)
    assert float(focal[2]) < 1e-6 and float(overlap[2]) < 1e-3
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    assert float(logits.grad[1, 5, 5].abs()) > 0.9 * float(logits.grad[1].abs().sum())
    elsewhere = targets.clone()
    elsewhere[:, 5, 5] = False  # what lies outside the box does not count
    assert float(mask_losses(logits.detach(), targets, elsewhere, ones)[1][1]) < 1e-6


def test_two_drawings_of_an_object_agree_or_pay_per_pixel_of_it() -> None:
    first = torch.full((4, 64, 64), -9.0)
    for index, side in enumerate((64, 32, 32, 4)):
        first[index, :side, :side] = 9.0
    second = first.clone()
    second[:3] = torch.where(first[:3] > 0, 7.0, -9.0)
    second[2, 40, 40] = -100.0  # outside its box
    first.requires_grad_()
    second.requires_grad_()
    inside = torch.ones(4, 64, 64, dtype=torch.bool)
    inside[2, 36:] = False
    losses = box_losses(first, second, inside)
    losses.sum().backward()
    p, q = 1.0 / (1.0 + np.exp(-np.array([9.0, 7.0])))
    # The divergence is that of Bernoulli distributions, both ways; an object a quarter as large weighs the same.
    both_ways = (p - q) * (np.log(p / q) - np.log((1 - p) / (1 - q)))
    np.testing.assert_allclose(losses[:3].detach().numpy(), both_ways, rtol=1e-2)
    assert float(losses[3].detach()) == 0.0
    assert first.grad is not None and second.grad is not None
    assert float(first.grad[0, 0, 0]) > 0 > float(second.grad[0, 0, 0])
    assert float(second.grad[2, 40, 40]) == 0.0


def test_code_information_tells_collapse_from_use() -> None:
    generator = torch.Generator().manual_seed(5)
    spread = 12.0 * torch.randn(4096, 4, generator=generator).sign()
    assert float(code_information(spread)) == pytest.approx(4.0, abs=0.02)
    assert float(code_information(torch.full((100, 4), 9.0))) == pytest.approx(0.0, abs=0.02)
    assert float(code_information(torch.zeros(100, 4))) == pytest.approx(0.0, abs=1e-3)
    copies = spread[:, :1].expand(-1, 4)  # four bits that always agree carry one
    assert float(code_information(copies)) == pytest.approx(1.0, abs=0.02)


def test_codes_and_experts_spread_when_trained_for_it() -> None:
    """A few steps on the two losses alone take a collapsed block to many codes, and gradients reach the gate."""
    model = Inter2Former(small_config())
    initialise(model, seed=6)
    block = model.neck.blocks[0]
    with torch.no_grad():
        block.bsq_attn.code_proj.bias.fill_(6.0)  # every key on one code
    embed = torch.randn(4, 32, 6, 6, generator=torch.Generator().manual_seed(7))
    labels = initial_labels(4, 96, torch.device("cpu"))
    optimiser = torch.optim.Adam(model.neck.parameters(), lr=0.02)

    def used() -> int:
        logits = neck_forward(model.neck, embed, labels)[1][0].code_logits.flatten(0, 1)
        return len(torch.unique(logits >= 0, dim=0))

    before = used()
    for _ in range(60):
        records = neck_forward(model.neck, embed, labels)[1]
        loss = code_loss(records[0], 6.0) + balance_loss(records[0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    gate = block.ffn.expert_gate[0].weight.grad
    assert gate is not None and float(gate.abs().sum()) > 0
    assert before <= 4 and used() >= 32
    assert float(expert_load(records[0]).sum()) == pytest.approx(1.0)


def test_tiny_preset_is_tiny() -> None:
    model = Inter2Former(load_config("tiny"))
    assert sum(parameter.numel() for parameter in model.parameters()) <= 6_000_000
