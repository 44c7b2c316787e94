"""Geometry `fit` in the PyTorch model: the part of the padded square that an image reaches, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from inter2former_onnx.errors import ConfigError
from inter2former_onnx.models import Inter2Former, ModelConfig, load_state_dict, read_checkpoint
from inter2former_onnx.models.preprocess import Preprocess
from inter2former_onnx.models.rotary import rotary_tables
from inter2former_onnx.models.window_attention import plan_windows
from inter2former_onnx.runtime.geometry import Geometry
from support.reference import DATA, MINI_SIZE, mini_config_dict

SIZES = [(150, 200), (200, 150), (192, 192), (1, 1), (20, 5000), (300, 7), (193, 192), (64, 65)]


def config_of(mode: str, divisor: int) -> ModelConfig:
    geometry = {"mode": mode, "size": MINI_SIZE, "size_divisor": divisor}
    return ModelConfig.from_dict({**mini_config_dict(), "geometry": geometry})


def model_of(mode: str, divisor: int) -> Inter2Former:
    model = Inter2Former(config_of(mode, divisor)).eval()
    load_state_dict(model, read_checkpoint(DATA / "mini.pth"), "mini.pth")
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def square() -> Inter2Former:
    return model_of("square", 64)


@pytest.fixture(scope="module")
def fit() -> Inter2Former:
    return model_of("fit", 64)


def photograph(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("divisor", [1, 64])
def test_input_is_a_part_of_the_square(height: int, width: int, divisor: int) -> None:
    image = photograph(height, width)
    whole, part = (Preprocess(config_of(mode, divisor))(image) for mode in ("square", "fit"))
    rows, columns = part.shape[2:]
    geometry = Geometry(height, width, MINI_SIZE, divisor, "fit")
    assert (rows, columns) == geometry.extent == (16 * geometry.grid[0], 16 * geometry.grid[1])
    torch.testing.assert_close(part, whole[:, :, :rows, :columns], atol=0, rtol=0)
    # All model pixels that lie in the image are there, and no token without such a pixel.
    for found, length in ((rows, height), (columns, width)):
        ends = length * MINI_SIZE / geometry.square
        assert found - 16 < ends <= found
    # What was left out is padding (where the resize enlarges, its first lines still have a share of the image's last).
    reach = MINI_SIZE // geometry.square
    assert not whole[:, :, rows + reach :].any() and not whole[:, :, :, columns + reach :].any()
    if divisor == 1:
        assert max(rows, columns) == MINI_SIZE


def test_square_image_is_the_same_in_both(square: Inter2Former, fit: Inter2Former) -> None:
    image = photograph(250, 256)
    expected, found = (model.encode(model.preprocess(image)) for model in (square, fit))
    torch.testing.assert_close(found.embed, expected.embed, atol=0, rtol=0)
    for one, other in zip(found.edges, expected.edges, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_positions_and_small_copy_are_the_squares(square: Inter2Former, fit: Inter2Former) -> None:
    whole, part = square.backbone, fit.backbone
    grid = (MINI_SIZE // 16, MINI_SIZE // 16)
    expected = whole.position_embedding(grid, grid).unflatten(1, grid)[:, :5, :9]
    torch.testing.assert_close(part.position_embedding(part.whole((5, 9)), (5, 9)).unflatten(1, (5, 9)), expected)
    # What the first block sees: all tokens of the small copy are the square's, and the upper left ones of the image.
    seen: list[Tensor] = []
    hooks = [
        model.backbone.blocks[0].register_forward_hook(lambda m, i, o: seen.append(i[0])) for model in (fit, square)
    ]
    picture = torch.zeros(1, 3, MINI_SIZE, MINI_SIZE)
    picture[:, :, :80, :144] = torch.randn(1, 3, 80, 144, generator=torch.Generator().manual_seed(0))
    part(picture[:, :, :80, :144])
    whole(picture)
    for hook in hooks:
        hook.remove()
    small = whole.config.downsample_sizes[0] // 16
    torch.testing.assert_close(seen[0][:, -small * small :], seen[1][:, -small * small :], atol=0, rtol=0)
    large = seen[1][:, : -small * small].unflatten(1, grid)[:, :5, :9]
    torch.testing.assert_close(seen[0][:, : -small * small].unflatten(1, (5, 9)), large, atol=1e-6, rtol=0)


def test_embedding_agrees_with_the_squares(
    square: Inter2Former, fit: Inter2Former, reference_image: np.ndarray
) -> None:
    """Cosines of tokens at the same scale, on the reference image: almost half of its square's tokens are padding."""
    image = torch.from_numpy(reference_image)
    embeds = [model.encode(model.preprocess(image)).embed for model in (square, fit)]
    _, rows, columns = embeds[1].shape
    assert (rows, columns) == (8, 10)
    cosines = torch.cosine_similarity(embeds[0][:, :rows, :columns], embeds[1], dim=0)
    # Measured: 0.9998 away from the new border, 0.97 near it, 0.77 for the tokens at it, where the last convolution
    # sees zeros in place of tokens of padding, as it does at the square's own borders.
    assert cosines[:4, :6].min() > 0.999 and cosines[:7, :9].min() > 0.95 and cosines.min() > 0.6


def plan_by_hand(
    grids: list[tuple[int, int]], offsets: list[int], window: int
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """tokens, positions and each place's (row, column): window by window, place by place."""
    count = sum(rows * columns for rows, columns in grids)
    tokens: list[int] = []
    positions = [-1] * count
    places: list[tuple[int, int]] = []
    first = 0
    for (rows, columns), offset in zip(grids, offsets, strict=True):
        before = (window - offset) % window
        for top in range(0, before + rows, window):
            for left in range(0, before + columns, window):
                for row in range(top, top + window):
                    for column in range(left, left + window):
                        places.append((row, column))
                        inside = before <= row < before + rows and before <= column < before + columns
                        token = first + (row - before) * columns + column - before if inside else count
                        if inside:
                            positions[token] = len(tokens)
                        tokens.append(token)
        first += rows * columns
    return tokens, positions, places


@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12), st.booleans()), min_size=1, max_size=3),
    st.sampled_from([1, 2, 4, 5]),
)
@settings(deadline=None, max_examples=60)
def test_windows(scales: list[tuple[int, int, bool]], window: int) -> None:
    grids = [(rows, columns) for rows, columns, _ in scales]
    offsets = [window // 2 if shifted else 0 for _, _, shifted in scales]
    frequencies = torch.tensor([0.5, 0.25])
    plan = plan_windows(grids, offsets, window, frequencies)
    tokens, positions, places = plan_by_hand(grids, offsets, window)
    assert plan.positions.shape == (len(positions),)
    assert plan.tokens.tolist() == tokens and plan.positions.tolist() == positions
    assert plan.tokens.dtype == plan.positions.dtype == torch.int64
    where = torch.tensor(places, dtype=torch.float32)
    cos, sin = rotary_tables(where[:, 0], where[:, 1], frequencies)
    torch.testing.assert_close(plan.cos.flatten(0, 2), cos)
    torch.testing.assert_close(plan.sin.flatten(0, 2), sin)


def test_a_part_is_shifted_as_its_square(fit: Inter2Former) -> None:
    """3 x 3 tokens are one window, but their square has 12 x 12: the odd blocks are shifted all the same."""
    plain, shifted = fit.backbone.plans(48, 48)
    assert plain.tokens.numel() < shifted.tokens.numel()


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="geometry.mode must be 'square' or 'fit', found 'round'"):
        ModelConfig.from_dict({"geometry": {"mode": "round"}})
