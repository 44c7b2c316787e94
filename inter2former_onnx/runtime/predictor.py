"""The interface that SAM's predictor made customary, for programs written against it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ArgumentError, ImageError
from . import labels as label_rules
from .click import Click, make_click
from .decoding import Decoded
from .geometry import enlarged_positive, reduced
from .segmenter import EncodedImage, Segmenter

# Model pixels per pixel of low-resolution logits, as in SAM (1024 and 256).
_LOW_RESOLUTION = 4


class Predictor:
    """One image at a time, all points at once. Not to be shared by threads: `set_image` changes what `predict` sees.

    Unlike a ClickSession it has no memory: the points of one `predict` lead to one run of the decoder, as if they had
    been clicked together. Give the low-resolution logits back as `mask_input` to build on an earlier answer. Masks are
    the model's: neither are clicks enforced in them, nor islands dropped (see ClickSession).
    """

    def __init__(self, segmenter: Segmenter) -> None:
        """Begin without an image.

        Args:
            segmenter: what encodes and decodes.
        """
        self.segmenter = segmenter
        self._image: EncodedImage | None = None

    def set_image(self, image: NDArray[np.uint8], image_format: str = "RGB") -> None:
        """Encode the image that `predict` is about.

        Args:
            image: uint8 [height, width, 3].
            image_format: order of its channels, "RGB" or "BGR".

        Raises:
            ImageError: an array of another type or shape.
            ArgumentError: another `image_format`.
        """
        if image_format not in ("RGB", "BGR"):
            raise ArgumentError(f"image_format: expected 'RGB' or 'BGR', found {image_format!r}")
        if image_format == "BGR" and isinstance(image, np.ndarray) and image.ndim == 3:
            image = image[:, :, ::-1]
        self._image = self.segmenter.encode(image)

    def reset_image(self) -> None:
        """Forget the image."""
        self._image = None

    @property
    def is_image_set(self) -> bool:
        """Whether `predict` may be called."""
        return self._image is not None

    def predict(
        self,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: NDArray[np.floating] | None = None,
        multimask_output: bool = False,
        return_logits: bool = False,
    ) -> tuple[NDArray[np.bool_] | NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Make the mask for points, for an earlier answer, or for both.

        Args:
            point_coords: [N, 2], x and y in pixels of the image.
            point_labels: [N], 1 for a point on the object, 0 for one beside it. Where discs overlap, later points win.
            box: must be None: this model has no box prompts.
            mask_input: float [1, height/4, width/4] of the image in model pixels (`EncodedImage.geometry.extent`; T
                and T in geometry `square`), low-resolution logits that an earlier call returned. Where they are
                positive (enlarged) the model is told "possibly object", elsewhere "possibly background". With
                points, logits that are positive nowhere say nothing: they are what points beside the object lead to.
            multimask_output: must be False: this model has one answer.
            return_logits: return logits in place of the mask.

        Returns:
            masks: bool [1, height, width], or float32 logits (-100 where the model did not look).
            scores: float32 [1], the stability score that SAM defines: of the pixels with logits > -1, the share that
                has logits > 1. High when the mask hardly depends on the threshold; 0 when no pixel is above -1.
            low_res_logits: float32 [1, height/4, width/4], as `mask_input`.

        Raises:
            ImageError: no image is set.
            ArgumentError: arguments of wrong shape, number or value, or ones this model cannot honour.
            ClickError: a point outside the image.
        """
        if self._image is None:
            raise ImageError("no image is set: call set_image before predict")
        if box is not None:
            raise ArgumentError("box: this model does not support boxes; give points")
        if multimask_output:
            raise ArgumentError("multimask_output: this model has one answer; pass multimask_output=False")
        clicks = self._clicks(self._image, point_coords, point_labels)
        if mask_input is None and not clicks:
            raise ArgumentError("predict needs point_coords and point_labels, mask_input, or both")
        decoded = self.segmenter.decode(self._image, self._labels(self._image, clicks, mask_input))
        outside = self.segmenter.manifest.outside_logit
        geometry = self._image.geometry
        masks: NDArray[np.bool_] | NDArray[np.float32]
        if return_logits:
            masks = geometry.logits(decoded.logits, decoded.box, outside)
        else:
            masks = geometry.mask(decoded.logits, decoded.logits > 0, decoded.box, outside)
        scores = np.array([_stability(decoded)], dtype=np.float32)
        return masks[None], scores, self._low_resolution(self._image, decoded)

    def _labels(
        self, image: EncodedImage, clicks: list[Click], mask_input: NDArray[np.floating] | None
    ) -> NDArray[np.uint8]:
        labels = label_rules.initial(*image.geometry.extent)
        if mask_input is not None:
            positive = enlarged_positive(_checked_mask(mask_input, image), _LOW_RESOLUTION)
            if positive.any() or not clicks:  # else the model was told of no object before: see SessionState.clicked
                labels[:] = label_rules.POSSIBLE_BACKGROUND
                labels[positive] = label_rules.POSSIBLE_FOREGROUND
        for click in clicks:
            row, column = image.geometry.model_pixel(click.y, click.x)
            label_rules.draw_click(labels, row, column, click.positive, self.segmenter.manifest.click_radius)
        return labels

    @staticmethod
    def _clicks(image: EncodedImage, point_coords: ArrayLike | None, point_labels: ArrayLike | None) -> list[Click]:
        if point_coords is None and point_labels is None:
            return []
        if point_coords is None or point_labels is None:
            raise ArgumentError("point_coords and point_labels: expected both or none")
        coords, labels = _numbers("point_coords", point_coords), _numbers("point_labels", point_labels)
        if coords.ndim != 2 or coords.shape[1] != 2:
            raise ArgumentError(f"point_coords: expected [N, 2], found {list(coords.shape)}")
        if labels.shape != (len(coords),):
            raise ArgumentError(
                f"point_labels: expected one for each of the {len(coords)} points, found shape {list(labels.shape)}"
            )
        wrong = labels[(labels != 0) & (labels != 1)]
        if wrong.size:
            raise ArgumentError(f"point_labels: expected 1 (object) or 0 (background), found {wrong[0]:g}")
        return [
            make_click(float(x), float(y), bool(label), image.width, image.height)
            for (x, y), label in zip(coords, labels, strict=True)
        ]

    def _low_resolution(self, image: EncodedImage, decoded: Decoded) -> NDArray[np.float32]:
        result = np.full((1, *_low_extent(image)), self.segmenter.manifest.outside_logit, dtype=np.float32)
        # The box's edges are multiples of a token's 16 pixels, so reducing it alone is reducing the whole map.
        left, top, right, bottom = (edge // _LOW_RESOLUTION for edge in decoded.box)
        result[0, top:bottom, left:right] = reduced(decoded.logits, _LOW_RESOLUTION)
        return result


def _low_extent(image: EncodedImage) -> tuple[int, int]:
    """Height and width of low-resolution logits."""
    height, width = image.geometry.extent
    return height // _LOW_RESOLUTION, width // _LOW_RESOLUTION


def _checked_mask(mask_input: NDArray[np.floating], image: EncodedImage) -> NDArray[np.float32]:
    height, width = _low_extent(image)
    mask = np.asarray(mask_input)
    if mask.shape != (1, height, width) or not np.issubdtype(mask.dtype, np.floating):
        expected = f"float32 [1, {height}, {width}]"
        raise ArgumentError(f"mask_input: expected {expected}, found {mask.dtype} {list(mask.shape)}")
    if not np.isfinite(mask).all():
        raise ArgumentError("mask_input: expected finite logits, found NaN or infinity")
    return mask[0].astype(np.float32, copy=False)


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"{name}: expected numbers, found {values!r:.60}") from None


def _stability(decoded: Decoded) -> float:
    larger = np.count_nonzero(decoded.logits > -1.0)
    return np.count_nonzero(decoded.logits > 1.0) / larger if larger else 0.0
