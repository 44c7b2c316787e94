"""Answering clicks with a bundle: numpy and onnxruntime, nothing else."""

from .click import Click
from .decoding import Decoded
from .predictor import Predictor
from .segmenter import ClickSession, EncodedImage, Segmenter

__all__ = ["Click", "ClickSession", "Decoded", "EncodedImage", "Predictor", "Segmenter"]
