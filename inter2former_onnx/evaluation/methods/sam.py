"""Any model of the SAM family as a pair of ONNX files: an image encoder, and the official export's mask decoder.

The decoder's inputs and outputs are those of `segment_anything/scripts/export_onnx_model.py`: image_embeddings,
point_coords, point_labels, mask_input, has_mask_input, orig_im_size -> (masks,) iou_predictions, low_res_masks. The
encoder has one image input under any name and in one of these layouts, told apart by its shape: float or uint8
[1, 3, H, W], [1, H, W, 3] or [H, W, 3].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ...errors import ArgumentError
from ...runtime.files import sha256_of

Array = NDArray[np.float32]

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
PIXELS = ("normalised", "unit", "raw")
DECODER_INPUTS = (
    "image_embeddings",
    "point_coords",
    "point_labels",
    "mask_input",
    "has_mask_input",
    "orig_im_size",
)
DECODER_OUTPUTS = ("iou_predictions", "low_res_masks")
NUMPY_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


@dataclass(frozen=True)
class SamSettings:
    """The two files, and what the encoder wants.

    Attributes:
        encoder, decoder: ONNX files.
        pixels: "normalised" ((RGB - mean) / std with SAM's numbers), "unit" (RGB / 255) or "raw" (0 to 255).
        size: side of the square an image is fitted into where the encoder's own shape leaves it open.
    """

    encoder: Path
    decoder: Path
    pixels: str = "normalised"
    size: int = 1024

    @property
    def name(self) -> str:
        """The encoder's file name."""
        return f"SAM-style {self.encoder.stem}"

    def describe(self) -> dict[str, Any]:
        """Say which files they are, by their contents, and the settings."""
        files = {"encoder": self.encoder, "decoder": self.decoder}
        return {
            "method": "sam",
            **{f"{name}_sha256": _sha256(path) for name, path in files.items()},
            "onnxruntime": ort.__version__,
            "pixels": self.pixels,
            "size": self.size,
        }

    def open(self, threads: int) -> Sam:
        """Load both graphs and run them once.

        Raises:
            ArgumentError: a file that onnxruntime refuses, or with other inputs and outputs.
        """
        sam = Sam(self, threads)
        sam.encode(np.zeros((64, 64, 3), np.uint8)).session().click(32, 32, True)
        return sam


class Sam:
    """Both graphs."""

    def __init__(self, settings: SamSettings, threads: int) -> None:
        self.settings = settings
        self.encoder, self.decoder = (_load(path, threads) for path in (settings.encoder, settings.decoder))
        self.image_input = _image_input(self.encoder, settings.encoder)
        self.embedding = _embedding_output(self.encoder)
        self.decoder_inputs = _decoder_inputs(self.decoder, settings.decoder)
        if self.image_input.type == "tensor(uint8)" and settings.pixels != "raw":
            raise ArgumentError(f"{settings.encoder}: takes uint8, so its pixels must be raw, found {settings.pixels}")
        mask = next(i for i in self.decoder.get_inputs() if i.name == "mask_input")
        self.low_side = mask.shape[-1] if isinstance(mask.shape[-1], int) else 256

    def encode(self, image: NDArray[np.uint8]) -> SamImage:
        """See `Method`."""
        pixels, size = self._pixels(image)
        (embedding,) = self.encoder.run([self.embedding], {self.image_input.name: pixels})
        return SamImage(self, embedding, size, (image.shape[0], image.shape[1]))

    def known(self, feed: dict[str, Any]) -> dict[str, Any]:
        """Keep those of the decoder's inputs that this one has: simplified exports lose unused ones."""
        return {name: feed[name] for name in self.decoder_inputs}

    def _pixels(self, image: NDArray[np.uint8]) -> tuple[NDArray[Any], tuple[int, int]]:
        """Make the encoder's input: the image in the top left corner, zeros around it.

        Returns:
            The input, and the (height, width) that the image has in it.
        """
        from PIL import Image

        shape = self.image_input.shape
        channels_first = len(shape) == 4 and shape[1] == 3
        sides = shape[2:4] if channels_first else shape[-3:-1]
        height, width = (side if isinstance(side, int) else self.settings.size for side in sides)
        scale = min(height / image.shape[0], width / image.shape[1])
        size = (max(1, int(image.shape[0] * scale + 0.5)), max(1, int(image.shape[1] * scale + 0.5)))
        # Pillow's filter, which smooths while it reduces, is what the official predictor resizes with.
        small = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
        resized: NDArray[Any] = np.asarray(small, dtype=np.float32)
        if self.settings.pixels == "normalised":
            resized = (resized - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        elif self.settings.pixels == "unit":
            resized = resized / np.float32(255)
        canvas = np.zeros((height, width, 3), dtype=NUMPY_TYPES[self.image_input.type])
        canvas[: size[0], : size[1]] = resized
        if channels_first:
            canvas = np.ascontiguousarray(canvas.transpose(2, 0, 1))
        return (canvas[None] if len(shape) == 4 else canvas), size


@dataclass(frozen=True)
class SamImage:
    """An image's embedding, and (height, width) of the image in the encoder's frame and by itself."""

    sam: Sam
    embedding: Array
    size: tuple[int, int]
    shape: tuple[int, int]

    def session(self) -> SamObject:
        """See `Encoded`."""
        return SamObject(self)


class SamObject:
    """All clicks so far as points, and the last low-resolution mask as mask input."""

    def __init__(self, image: SamImage) -> None:
        self._image = image
        self._points: list[tuple[float, float]] = []
        self._labels: list[float] = []
        side = image.sam.low_side
        self._mask_input: Array = np.zeros((1, 1, side, side), dtype=np.float32)

    def click(self, x: int, y: int, positive: bool) -> NDArray[np.bool_]:
        """See `ClickedObject`."""
        image, first = self._image, not self._points
        self._points.append((x * image.size[1] / image.shape[1], y * image.size[0] / image.shape[0]))
        self._labels.append(1.0 if positive else 0.0)
        side = np.float32(4 * image.sam.low_side)
        feed = {
            "image_embeddings": image.embedding,
            # Without a box the official predictor adds a point that is none.
            "point_coords": np.array([[*self._points, (0.0, 0.0)]], dtype=np.float32),
            "point_labels": np.array([[*self._labels, -1.0]], dtype=np.float32),
            "mask_input": self._mask_input,
            "has_mask_input": np.array([0.0 if first else 1.0], dtype=np.float32),
            "orig_im_size": np.array([side, side], dtype=np.float32),
        }
        scores, masks = image.sam.decoder.run(list(DECODER_OUTPUTS), image.sam.known(feed))
        self._mask_input = masks[:, [_chosen(scores[0], len(self._points) + 1)]]
        return self._original(self._mask_input[0, 0])

    def _original(self, logits: Array) -> NDArray[np.bool_]:
        """Do what the decoder's own post-processing does, for the one mask that is wanted.

        Enlarge to the encoder's frame, cut the image out, resize to the image.
        """
        image = self._image
        side = 4 * logits.shape[-1]
        large = cv2.resize(logits, (side, side), interpolation=cv2.INTER_LINEAR)
        cut = cv2.resize(large[: image.size[0], : image.size[1]], image.shape[::-1], interpolation=cv2.INTER_LINEAR)
        mask: NDArray[np.bool_] = cut > 0
        return mask


def _chosen(scores: Array, points: int) -> int:
    """Choose one of the masks, as the official export's `select_masks` does.

    Of SAM's four the first (for several clicks) or the best of the others (for one click); of another number the best.

    Args:
        scores: float32 [masks].
        points: how many, the added one included.
    """
    if len(scores) == 4:
        scores = scores + (points - 2.5) * np.array([1000.0, 0.0, 0.0, 0.0], dtype=np.float32)
    return int(np.argmax(scores))


def _load(path: Path, threads: int) -> ort.InferenceSession:
    if not path.is_file():
        raise ArgumentError(f"{path}: no such file")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no common base
        raise ArgumentError(f"{path}: onnxruntime cannot load it ({error})") from None


def _image_input(session: ort.InferenceSession, path: Path) -> Any:
    inputs = session.get_inputs()
    expected = "one image input [1, 3, H, W], [1, H, W, 3] or [H, W, 3]"
    if len(inputs) != 1 or inputs[0].type not in NUMPY_TYPES:
        found = ", ".join(f"{i.name} {i.type}" for i in inputs)
        raise ArgumentError(f"{path}: expected {expected} of float or uint8, found {found or 'none'}")
    shape = inputs[0].shape
    if not (len(shape) == 4 and (shape[1] == 3 or shape[3] == 3)) and not (len(shape) == 3 and shape[2] == 3):
        raise ArgumentError(f"{path}: expected {expected}, found {inputs[0].name} {shape}")
    return inputs[0]


def _embedding_output(session: ort.InferenceSession) -> str:
    names = [output.name for output in session.get_outputs()]
    return "image_embeddings" if "image_embeddings" in names else names[0]


def _decoder_inputs(session: ort.InferenceSession, path: Path) -> set[str]:
    inputs, outputs = {i.name for i in session.get_inputs()}, {o.name for o in session.get_outputs()}
    unknown, absent = inputs - set(DECODER_INPUTS), set(DECODER_OUTPUTS) - outputs
    if unknown or absent or not inputs >= {"image_embeddings", "point_coords", "point_labels", "mask_input"}:
        raise ArgumentError(
            f"{path}: expected the inputs {', '.join(DECODER_INPUTS)} and the outputs {', '.join(DECODER_OUTPUTS)} of "
            f"the official SAM export, found {', '.join(sorted(inputs))} and {', '.join(sorted(outputs))}"
        )
    return inputs


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise ArgumentError(f"{path}: {error.strerror or error}") from None
