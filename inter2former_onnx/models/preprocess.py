"""Geometry (docs/model.md 1): from an 8-bit image to the model's input; normalise, zero-pad to a square, resize.

Geometry `fit` takes the upper left part of that square that holds the image, in whole tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..runtime.geometry import PATCH_SIZE
from .configuration import ModelConfig
from .custom_op import emit, exporting


def _taps(padded: Tensor, length: Tensor, size: int, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute the bilinear taps along one axis (half-pixel centres, no antialias), as PyTorch does in float32.

    Of the `size` samples that `padded` become, the first `count`.

    Returns:
        lower and upper source index [count] within the image, the upper one's weight [count], and 1 or 0 for whether
        each of the two lies in the image (else it is padding).
    """
    scale = padded.to(torch.float32) / size
    # In double and rounded once: PyTorch's kernel has a fused multiply-add here.
    position = (torch.arange(count, dtype=torch.float64) + 0.5) * scale.to(torch.float64) - 0.5
    source = torch.clamp(position.to(torch.float32), min=0.0)
    lower = source.to(torch.int64)
    upper = torch.minimum(lower + 1, padded - 1)
    weight = source - lower.to(torch.float32)
    last = length - 1
    in_lower, in_upper = (lower <= last).to(torch.float32), (upper <= last).to(torch.float32)
    return torch.minimum(lower, last), torch.minimum(upper, last), weight, in_lower, in_upper


class SamplePlan(NamedTuple):
    """Where bilinear samples of an image are taken.

    Attributes:
        rows: int64 [2, h], the source rows above and below each sample.
        rows_inside: float32 [2, h], 1, or 0 for a row of zeros.
        down: [h], the weight of the row below.
        columns, columns_inside, across: the same for columns, [2, w] and [w].
    """

    rows: Tensor
    rows_inside: Tensor
    down: Tensor
    columns: Tensor
    columns_inside: Tensor
    across: Tensor


def sample_image(image: Tensor, plan: SamplePlan, mean: Tensor, std: Tensor, reverse: int) -> Tensor:
    """Take bilinear samples of a normalised image that is continued with zeros.

    Args:
        image: uint8 [H, W, 3].
        plan: of h x w samples.
        mean, std: [3], of the channels in the order that comes out.
        reverse: 1 if the channels are to be reversed first.

    Returns:
        float32 [3, h, w]
    """
    rows, rows_inside, down, columns, columns_inside, across = plan
    if exporting():
        shape = (3, down.shape[0], across.shape[0])
        return emit("SampleImage", (image, plan, mean, std), [torch.float32], [shape], reverse=reverse)[0]
    taken = image[rows][:, :, columns].to(torch.float32)  # [2, h, 2, w, 3]
    if reverse:
        taken = taken.flip(-1)
    values = (taken - mean) / std
    across_weights = torch.stack([1 - across, across]) * columns_inside
    wide = (values * across_weights[:, :, None]).sum(2)
    down_weights = torch.stack([1 - down, down]) * rows_inside
    return (wide * down_weights[:, :, None, None]).sum(0).permute(2, 0, 1)


class Preprocess(nn.Module):
    """Only the pixels that the resize reads are touched: a large photograph is never padded or converted as a whole."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.fit = config.geometry.mode == "fit"
        self.size = config.geometry.size
        self.divisor = config.geometry.size_divisor
        self.reverse = config.channel_order == "bgr"
        self.register_buffer("mean", torch.tensor(config.mean), persistent=False)
        self.register_buffer("std", torch.tensor(config.std), persistent=False)

    def extent(self, height: int, width: int) -> tuple[int, int]:
        """Give rows and columns of the model's input for an image's size; both are `size` unless the geometry fits."""
        if not self.fit:
            return self.size, self.size
        square = -(-torch.sym_max(height, width) // self.divisor) * self.divisor
        step = PATCH_SIZE * square
        rows, columns = (height * self.size + step - 1) // step, (width * self.size + step - 1) // step
        return PATCH_SIZE * rows, PATCH_SIZE * columns

    def forward(self, image: Tensor) -> Tensor:
        """Make the model's input: uint8 [H, W, 3], RGB -> float32 [1, 3, *extent(H, W)], in the configured order."""
        height = torch.tensor(image.shape[0])
        width = torch.tensor(image.shape[1])
        longest = torch.maximum(height, width)
        padded = (longest + self.divisor - 1).div(self.divisor, rounding_mode="floor") * self.divisor
        rows, columns = self.extent(image.shape[0], image.shape[1])
        top, bottom, down, in_top, in_bottom = _taps(padded, height, self.size, rows)
        left, right, across, in_left, in_right = _taps(padded, width, self.size, columns)

        plan = SamplePlan(
            rows=torch.stack([top, bottom]),
            rows_inside=torch.stack([in_top, in_bottom]),
            down=down,
            columns=torch.stack([left, right]),
            columns_inside=torch.stack([in_left, in_right]),
            across=across,
        )
        return sample_image(image, plan, self.mean, self.std, int(self.reverse))[None]
