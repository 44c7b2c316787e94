"""From an 8-bit image to the model's input (docs/model.md 1): normalise, zero-pad to a square, bilinear resize."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .configuration import ModelConfig


def _taps(padded: Tensor, length: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Bilinear taps along one axis (half-pixel centres, no antialias), as PyTorch computes them in float32.

    Returns:
        lower and upper source index [size] within the image, the upper one's weight [size], and 1 or 0 for whether
        each of the two lies in the image (else it is padding).
    """
    scale = padded.to(torch.float32) / size
    # In double and rounded once: PyTorch's kernel has a fused multiply-add here.
    position = (torch.arange(size, dtype=torch.float64) + 0.5) * scale.to(torch.float64) - 0.5
    source = torch.clamp(position.to(torch.float32), min=0.0)
    lower = source.to(torch.int64)
    upper = torch.minimum(lower + 1, padded - 1)
    weight = source - lower.to(torch.float32)
    last = length - 1
    in_lower, in_upper = (lower <= last).to(torch.float32), (upper <= last).to(torch.float32)
    return torch.minimum(lower, last), torch.minimum(upper, last), weight, in_lower, in_upper


class Preprocess(nn.Module):
    """Only the pixels that the resize reads are touched: a large photograph is never padded or converted as a whole."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.size = config.geometry.size
        self.divisor = config.geometry.size_divisor
        self.reverse = config.channel_order == "bgr"
        self.register_buffer("mean", torch.tensor(config.mean), persistent=False)
        self.register_buffer("std", torch.tensor(config.std), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """uint8 [H, W, 3], RGB -> float32 [1, 3, size, size] in the configured channel order."""
        height = torch.tensor(image.shape[0])
        width = torch.tensor(image.shape[1])
        longest = torch.maximum(height, width)
        padded = (longest + self.divisor - 1).div(self.divisor, rounding_mode="floor") * self.divisor
        top, bottom, down, in_top, in_bottom = _taps(padded, height, self.size)
        left, right, across, in_left, in_right = _taps(padded, width, self.size)

        def corner(rows: Tensor, columns: Tensor, in_rows: Tensor, in_columns: Tensor) -> Tensor:
            pixels = image.index_select(0, rows).index_select(1, columns).to(torch.float32)
            if self.reverse:
                pixels = pixels.flip(2)
            return (pixels - self.mean) / self.std * (in_rows[:, None] * in_columns)[:, :, None]

        down, across = down[:, None, None], across[None, :, None]
        upper = corner(top, left, in_top, in_left) * (1 - across) + corner(top, right, in_top, in_right) * across
        lower = (
            corner(bottom, left, in_bottom, in_left) * (1 - across)
            + corner(bottom, right, in_bottom, in_right) * across
        )
        return (upper * (1 - down) + lower * down).permute(2, 0, 1)[None]
