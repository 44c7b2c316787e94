"""The PyTorch model against numbers recorded from the published implementation."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from inter2former_onnx.models import (
    ImageFeatures,
    Inter2Former,
    ModelConfig,
    load_config,
    load_state_dict,
    read_checkpoint,
)
from support.reference import DATA, mini_config_dict, reference

TOLERANCE = 1e-4  # of the array's range
CASES = ("first", "mid", "empty", "corner", "band")


@pytest.fixture(scope="module", params=["boundary", "roi"])
def model(request: pytest.FixtureRequest) -> Inter2Former:
    model = Inter2Former(ModelConfig.from_dict(mini_config_dict(request.param))).eval().requires_grad_(False)
    load_state_dict(model, read_checkpoint(DATA / "mini.pth"), "mini.pth")
    return model


@pytest.fixture(scope="module")
def session() -> Mapping[str, np.ndarray]:
    return reference("session_exact")


@pytest.fixture(scope="module")
def features(model: Inter2Former, session: Mapping[str, np.ndarray]) -> ImageFeatures:
    return model.encode(torch.from_numpy(session["image"])[None])


def assert_close(found: torch.Tensor, expected: np.ndarray, name: str) -> None:
    expected = expected.reshape(found.shape)
    error = np.abs(found.numpy() - expected).max() / np.ptp(expected)
    assert error <= TOLERANCE, f"{name}: off by {error:.2e} of its range"


def test_preprocess(model: Inter2Former, session: Mapping[str, np.ndarray], reference_image: np.ndarray) -> None:
    inputs = model.preprocess(torch.from_numpy(reference_image))
    assert_close(inputs[0], session["image"], "model input")
    # Tighter than for the rest: what follows in the edge detector is discontinuous.
    assert np.abs(inputs[0].numpy() - session["image"]).max() < 1e-6


@pytest.mark.parametrize("height, width", [(192, 192), (192, 256), (1, 1), (20, 500), (131, 64), (64, 65)])
def test_preprocess_is_pad_and_resize(model: Inter2Former, height: int, width: int) -> None:
    image = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    mean, std = torch.tensor(model.config.mean), torch.tensor(model.config.std)
    square = -(-max(height, width) // 64) * 64
    plain = torch.zeros(1, 3, square, square)
    plain[0, :, :height, :width] = ((image.flip(2).float() - mean) / std).permute(2, 0, 1)
    plain = torch.nn.functional.interpolate(plain, size=(192, 192), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model.preprocess(image), plain, atol=2e-6, rtol=0)


def test_encoder(features: ImageFeatures, session: Mapping[str, np.ndarray]) -> None:
    assert_close(features.embed, session["embed"], "embed")
    for level, edge in enumerate(features.edges):
        assert_close(edge, session[f"edge{level}"], f"edge{level}")


def test_encoder_nonsquare(model: Inter2Former) -> None:
    expected = reference("encoder_nonsquare")
    features = model.encode(torch.from_numpy(expected["image"].reshape(1, 3, 128, 224)))
    assert_close(features.embed, expected["embed"], "embed")
    for level, edge in enumerate(features.edges):
        assert_close(edge, expected[f"edge{level}"], f"edge{level}")


def test_encoder_batch(model: Inter2Former) -> None:
    images = torch.randn(2, 3, 96, 160, generator=torch.Generator().manual_seed(2))
    both = model.backbone(images)
    for index in range(2):
        torch.testing.assert_close(both[index], model.backbone(images[index : index + 1])[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("model", ["boundary"], indirect=True)  # the cases were recorded with exact routing
@pytest.mark.parametrize("case", CASES)
def test_decoder_cases(model: Inter2Former, features: ImageFeatures, case: str) -> None:
    expected = reference("cases_exact")
    labels = torch.from_numpy(expected[f"{case}_label"].reshape(192, 192))
    tokens = model.neck(features.embed, labels)
    assert_close(tokens.T, expected[f"{case}_neck"], "neck")
    assert_close(model.decode_head.localise(tokens, torch.tensor([12, 12])), expected[f"{case}_localise"], "localise")
    assert_close(model.decode(features, labels)[0], expected[f"{case}_logits"], "logits")


@pytest.mark.parametrize("click", range(7))
def test_session(model: Inter2Former, features: ImageFeatures, click: int) -> None:
    recorded = reference("session_exact" if model.config.routing == "boundary" else "session_roi")
    labels = torch.from_numpy(recorded[f"{click}_label_in"].reshape(192, 192))
    assert_close(model.neck(features.embed, labels).T, recorded[f"{click}_neck"], "neck")
    logits, _ = model.decode(features, labels)
    expected = recorded[f"{click}_logits"].reshape(192, 192)
    inside = expected > -100
    assert np.array_equal(logits.numpy() > -100, inside)
    assert np.abs(logits.numpy() - expected)[inside].max() <= TOLERANCE * np.ptp(expected[inside])


def test_published_names_and_shapes() -> None:
    with torch.device("meta"):
        state = Inter2Former(load_config("vit_b")).state_dict()
    expected = json.loads((DATA / "vit_b_state_dict_shapes.json").read_text())
    assert {name: list(tensor.shape) for name, tensor in state.items()} == expected


def test_dense_decode_covers_everything(model: Inter2Former, features: ImageFeatures) -> None:
    labels = torch.full((192, 192), 1, dtype=torch.uint8)
    labels[80:100, 60:120] = 4
    logits, box = model.decode(features, labels, dense=True)
    assert box == (0, 0, 192, 192)
    assert bool((logits > -100).all())
