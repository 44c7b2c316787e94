"""A SAM-family model in onnxruntime: encoding, and clicks. Imports nothing else, so that its cold start is its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Features = list[NDArray[np.float32]]


class SamOnnx:
    """Loaded from the two exported graphs, with onnxruntime's defaults but for the number of threads."""

    def __init__(self, folder: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._encoder, self._decoder = (
            ort.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
            for name in ("encoder", "decoder")
        )
        self._names = [given.name for given in self._decoder.get_inputs()]

    def encode(self, image: NDArray[np.uint8]) -> Features:
        """Encode an image, uint8 [S, S, 3]."""
        features: Features = self._encoder.run(None, {"image": image})
        return features

    def click(
        self, features: Features, clicks: NDArray[np.float32], previous: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Turn all clicks so far into a mask.

        Args:
            features: of the image.
            clicks: float32 [N, 3]: x and y in pixels, and 1 for the object or 0 for the background.
            previous: logits float32 [1, 1, S/4, S/4] of the click before; None at the first.

        Returns:
            The mask, bool [S, S], and its logits as `previous` takes them.
        """
        side = 4 * features[-1].shape[-1]
        given = [
            np.ascontiguousarray(clicks[None, None, :, :2]),
            clicks[None, None, :, 2].astype(np.int64),
            np.zeros((1, 1, side, side), np.float32) if previous is None else previous,
            np.full(1, previous is not None, np.float32),
            *features,
        ]
        mask, logits = self._decoder.run(None, dict(zip(self._names, given, strict=True)))
        return mask, logits
