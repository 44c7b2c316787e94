"""A SAM-family model in PyTorch, eager: encoding, and clicks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .sam_models import Decoder, Encoder, load

Features = tuple[torch.Tensor, ...]


class SamTorch:
    """Loaded from what transformers saved."""

    def __init__(self, kind: str, folder: Path) -> None:
        model = load(kind, folder / "torch")
        self._encoder, self._decoder = Encoder(model).eval(), Decoder(model).eval()

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> Features:
        """Encode an image, uint8 [S, S, 3]."""
        features: Features = self._encoder(torch.from_numpy(image))
        return features

    @torch.inference_mode()
    def click(
        self, features: Features, clicks: NDArray[np.float32], previous: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Turn all clicks so far into a mask, as SamOnnx.click does."""
        side = 4 * features[-1].shape[-1]
        mask, logits = self._decoder(
            torch.from_numpy(np.ascontiguousarray(clicks[None, None, :, :2])),
            torch.from_numpy(clicks[None, None, :, 2].astype(np.int64)),
            torch.zeros((1, 1, side, side)) if previous is None else torch.from_numpy(previous),
            torch.full((1,), float(previous is not None)),
            *features,
        )
        return mask.numpy(), logits.numpy()
