"""Inter2Former (docs/model.md 1 to 9): encoder, edge detector, neck and head, under the published parameter names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..runtime.geometry import PATCH_SIZE
from .configuration import ModelConfig
from .dynamic_local_upsampling import OUTSIDE_LOGIT, Box, DynamicLocalUpsampling
from .edge_detector import EdgeDetector
from .image_encoder import ImageEncoder
from .neck import Neck
from .preprocess import Preprocess
from .window_attention import WindowPlan


@dataclass(frozen=True)
class ImageFeatures:
    """What the encoder knows of an image: `embed` [C, h, w] and the edge maps, coarse to fine."""

    embed: Tensor
    edges: list[Tensor]


class Inter2Former(nn.Module):
    """Inter2Former (ICCV 2025, arXiv 2507.09612)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.preprocess = Preprocess(config)
        self.edge_detector = EdgeDetector(config.edge_detector, config.mean, config.std)
        geometry = config.geometry
        self.backbone = ImageEncoder(config.backbone, geometry.size if geometry.mode == "fit" else None)
        self.neck = Neck(config.neck, config.routing)
        self.decode_head = DynamicLocalUpsampling(config.decode_head, config.edge_detector.dims)

    def encode(self, inputs: Tensor, plans: tuple[WindowPlan, WindowPlan] | None = None) -> ImageFeatures:
        """Encode a normalised image.

        Args:
            inputs: float32 [1, 3, H, W] as `preprocess` makes it; H and W are multiples of 16.
            plans: see `ImageEncoder.forward`.

        Returns:
            What `decode` needs.
        """
        embed = self.backbone(inputs, plans)[0]
        return ImageFeatures(embed, [edge[0] for edge in self.edge_detector(inputs)])

    def decode(self, features: ImageFeatures, labels: Tensor, dense: bool = False) -> tuple[Tensor, Box]:
        """Draw the mask for a label map.

        Args:
            features: of the image.
            labels: uint8 [H, W] label map at the model's resolution.
            dense: treat every token as boundary token and draw the whole image.

        Returns:
            logits [H, W], -100 outside the box, and the box (l, t, r, b) in pixels.
        """
        tokens = self.neck(features.embed, labels, dense)
        crop, (left, top, right, bottom) = self.decode_head(tokens, features.edges, dense)
        box = (left * PATCH_SIZE, top * PATCH_SIZE, right * PATCH_SIZE, bottom * PATCH_SIZE)
        height, width = labels.shape
        around = (box[0], width - box[2], box[1], height - box[3])
        return F.pad(crop, around, value=OUTSIDE_LOGIT), box

    @torch.no_grad()
    def predict(self, image: Tensor, labels: Tensor) -> Tensor:
        """Segment an image: uint8 [H, W, 3], RGB, and labels uint8 [size, size] -> logits [size, size]."""
        return self.decode(self.encode(self.preprocess(image)), labels)[0]
