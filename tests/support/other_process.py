"""What the tests of pickling have done in another process: functions that it can import by name."""

from __future__ import annotations

import numpy as np

from inter2former_onnx import ClickSession, EncodedImage, Segmenter

IMAGE = np.random.default_rng(6).integers(0, 256, (70, 50, 3), dtype=np.uint8)


def encode(segmenter: Segmenter) -> EncodedImage:
    return segmenter.encode(IMAGE)


def click(image: EncodedImage) -> np.ndarray:
    return image.session().click(20, 30)


def click_on(session: ClickSession) -> ClickSession:
    session.click(40, 60, positive=False)
    return session


def segmenters(images: list[EncodedImage]) -> tuple[int, int]:
    """How many Segmenters these images have, and how many all that came to this process have had."""
    _seen.extend(image.segmenter for image in images)
    return len({id(image.segmenter) for image in images}), len({id(segmenter) for segmenter in _seen})


_seen: list[Segmenter] = []
