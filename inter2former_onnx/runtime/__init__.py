"""Answering clicks with a bundle: numpy and onnxruntime, nothing else."""

from .click import Click
from .click_session import ClickSession
from .encoded_image import EncodedImage
from .predictor import Predictor
from .segmenter import Decoded, Segmenter

__all__ = ["Click", "ClickSession", "Decoded", "EncodedImage", "Predictor", "Segmenter"]
