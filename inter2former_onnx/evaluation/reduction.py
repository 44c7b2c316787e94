"""Images made smaller."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def reduce_image(image: NDArray[np.uint8], longest_side: int) -> NDArray[np.uint8]:
    """Reduce an image to at most `longest_side` pixels on its longer side.

    Args:
        image: uint8 [height, width, 3].
        longest_side: in pixels.

    Returns:
        uint8 [height', width', 3]; the image itself where it is no larger.
    """
    height, width = image.shape[:2]
    scale = longest_side / max(height, width)
    if scale >= 1.0:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
