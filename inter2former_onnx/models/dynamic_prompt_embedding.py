"""Dynamic prompt embedding (docs/model.md 5): the label map becomes tokens, inside the region of interest only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..runtime.geometry import PATCH_SIZE
from ..runtime.labels import NUM_LABELS, POSSIBLE_BACKGROUND, UNKNOWN
from .configuration import NeckConfig
from .custom_op import emit, exporting
from .weights import FourLayerWeights, LinearWeights

# Wide enough that the centre token's receptive field, 31 x 31 pixels, sees nothing of the border.
CONSTANT_MAP_SIZE = 3 * PATCH_SIZE


def region_of_interest(labels: Tensor) -> tuple[int, int, int, int]:
    """Find the box of label != 1, out to multiples of 16, plus 16 on each side, clipped; the whole map if none is.

    Args:
        labels: uint8 [H, W], H and W multiples of 16.

    Returns:
        left, top, right, bottom in pixels.
    """
    height, width = labels.shape
    inside = labels != POSSIBLE_BACKGROUND
    rows, columns = torch.nonzero(inside.any(1)).flatten(), torch.nonzero(inside.any(0)).flatten()
    if rows.numel() == 0:
        return 0, 0, width, height

    def extent(indices: Tensor, limit: int) -> tuple[int, int]:
        first, last = int(indices[0]) // PATCH_SIZE, int(indices[-1]) // PATCH_SIZE
        return max(0, (first - 1) * PATCH_SIZE), min(limit, (last + 2) * PATCH_SIZE)

    left, right = extent(columns, width)
    top, bottom = extent(rows, height)
    return left, top, right, bottom


def prompt_embed(labels: Tensor, ref_embeds: Tensor, weights: FourLayerWeights) -> Tensor:
    """Embed the labels and run four 3 x 3 stride-2 convolutions, each with ReLU.

    Args:
        labels: uint8 [H, W], values 0..4, H and W multiples of 16.
        ref_embeds: [5, 5], a row per label.
        weights: of the convolutions, [Co, Ci, 3, 3] and [Co].

    Returns:
        [H / 16, W / 16, C]
    """
    x = F.embedding(labels.to(torch.int64), ref_embeds).permute(2, 0, 1)[None]
    for weight, bias in weights.layers:
        x = F.relu(F.conv2d(x, weight, bias, stride=2, padding=1))
    return x[0].permute(1, 2, 0)


def add_prompt(embed: Tensor, prompt: Tensor, offset: Tensor, background: Tensor) -> Tensor:
    """Add the prompt to the image embedding inside the region, and the constant background vector outside.

    Args:
        embed: [h, w, C].
        prompt: [rh, rw, C].
        offset: int64 [2], token row and column of the region's top left.
        background: [C].

    Returns:
        [h * w, C]
    """
    row, column = int(offset[0]), int(offset[1])
    added = background.expand_as(embed).clone()
    added[row : row + prompt.shape[0], column : column + prompt.shape[1]] = prompt
    return (embed + added).flatten(0, 1)


class ReferenceConvolutions(nn.Module):
    """Holds the prompt convolutions under their published names, `stem.0`, `stem.2`, ..."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((NUM_LABELS, *dims[:-1]), dims, strict=True):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        self.stem = nn.Sequential(*layers)


class DynamicPromptEmbedding(nn.Module):
    """Label embedding and convolutions; a part of the neck, whose parameter names it shares."""

    def __init__(self, config: NeckConfig) -> None:
        super().__init__()
        self.ref_embeds = nn.Embedding(NUM_LABELS, NUM_LABELS)
        self.ref_conv = ReferenceConvolutions(config.ref_dims)

    def embed_labels(self, labels: Tensor) -> Tensor:
        """Compute the prompt of a map of labels: uint8 [H, W] -> [H / 16, W / 16, C]."""
        convolutions = [layer for layer in self.ref_conv.stem if isinstance(layer, nn.Conv2d)]
        weights = FourLayerWeights.of([LinearWeights.of(conv) for conv in convolutions])
        if exporting():
            height, width = labels.shape
            shape = (height // PATCH_SIZE, width // PATCH_SIZE, convolutions[-1].out_channels)
            return emit("PromptEmbed", (labels, self.ref_embeds.weight, weights), [torch.float32], [shape])[0]
        return prompt_embed(labels, self.ref_embeds.weight, weights)

    def unclicked_prompt(self, height: int, width: int) -> Tensor:
        """Compute the prompt of the unclicked map, everything unknown: pixels -> [height / 16, width / 16, C]."""
        device = self.ref_embeds.weight.device
        return self.embed_labels(torch.full((height, width), UNKNOWN, dtype=torch.uint8, device=device))

    def background(self) -> Tensor:
        """Compute what the convolutions give in the middle of possible background: [C]."""
        size = CONSTANT_MAP_SIZE
        device = self.ref_embeds.weight.device
        labels = torch.full((size, size), POSSIBLE_BACKGROUND, dtype=torch.uint8, device=device)
        return self.embed_labels(labels)[1, 1]
