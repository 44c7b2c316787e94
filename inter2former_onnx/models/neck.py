"""Neck (docs/model.md 5 to 8): prompt, routing and attention blocks, under the published parameter names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..runtime.geometry import PATCH_SIZE
from .boundary_tokens import route
from .configuration import NeckConfig
from .dynamic_hybrid_attention import DynamicHybridAttention, UnclickedBlock
from .dynamic_prompt_embedding import DynamicPromptEmbedding, add_prompt, region_of_interest


class Neck(DynamicPromptEmbedding):
    """From the image embedding and a label map to tokens that know the prompt."""

    def __init__(self, config: NeckConfig, routing: str) -> None:
        super().__init__(config)
        self.config = config
        self.routing = routing
        self.blocks = nn.ModuleList(DynamicHybridAttention(config) for _ in range(config.depth))

    def forward(self, embed: Tensor, labels: Tensor, dense: bool = False) -> Tensor:
        """Run the prompt and all blocks.

        Args:
            embed: [C, h, w] image embedding.
            labels: uint8 [16 h, 16 w] label map.
            dense: take the whole map as region and every token as boundary token.

        Returns:
            [h * w, C] tokens.
        """
        if dense:
            region = (0, 0, labels.shape[1], labels.shape[0])
            boundary, other = route(labels, region, "roi", self.config.uncertainty_kernel_size)
        else:
            region = region_of_interest(labels)
            boundary, other = route(labels, region, self.routing, self.config.uncertainty_kernel_size)
        left, top, right, bottom = region
        prompt = self.embed_labels(labels[top:bottom, left:right])
        offset = torch.tensor([top // PATCH_SIZE, left // PATCH_SIZE])
        x = add_prompt(embed.permute(1, 2, 0), prompt, offset, self.background())
        return self.attend(x, boundary.to(x.device), other.to(x.device), torch.tensor(embed.shape[1:]))

    def attend(self, x: Tensor, boundary: Tensor, other: Tensor, grid: Tensor) -> Tensor:
        """Run all blocks.

        Args:
            x: [N, C] tokens.
            boundary, other: int64 [Nb], [No] token indices.
            grid: int64 [2], rows and columns.

        Returns:
            [N, C]
        """
        for block in self.blocks:
            x = block(x, boundary, other, grid)
        return x

    def unclicked(self, embed: Tensor) -> UnclickedBlock:
        """Compute what the first block does with an image whatever will be clicked. embed: [h, w, C]."""
        prompt = self.unclicked_prompt(embed.shape[0] * PATCH_SIZE, embed.shape[1] * PATCH_SIZE)
        return self._block(0).unclicked(embed, prompt, self.background())

    def attend_prompted(
        self,
        embed: Tensor,
        prompt: Tensor,
        offset: Tensor,
        background: Tensor,
        boundary: Tensor,
        other: Tensor,
        grid: Tensor,
        unclicked: UnclickedBlock,
        changed: Tensor,
    ) -> Tensor:
        """Run `add_prompt` and `attend`, with what is known of the first block.

        Args:
            embed, prompt, offset, background, boundary, other, grid, unclicked, changed: see its `forward_prompted`.

        Returns:
            [h * w, C]
        """
        x = self._block(0).forward_prompted(
            embed, prompt, offset, background, boundary, other, grid, unclicked, changed
        )
        for block in self.blocks[1:]:
            x = block(x, boundary, other, grid)
        return x

    def _block(self, index: int) -> DynamicHybridAttention:
        block = self.blocks[index]
        assert isinstance(block, DynamicHybridAttention)
        return block
