"""SAM-family models from configuration, with random weights: built, saved, and exported to ONNX. Nothing is downloaded.

Each is cut as SAM's published ONNX export cuts it: an encoder, and a decoder that takes all clicks so far and the
previous low-resolution mask.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# transformers reads these when it is imported: nothing is fetched, and it shows no bars of its own.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

OPSET = 18
SEED = 7
FOLDER = Path("build/bench")
# transformers' default for SAM's encoder is 1e-10, whose products are denormal numbers, and those are slow.
WEIGHT_RANGE = 0.02


@dataclass(frozen=True)
class SamShape:
    """What is particular to a model.

    Attributes:
        kind: "sam" or "sam2": which class of transformers.
        size: side S of the input in pixels.
        vision: arguments of the vision configuration (of the backbone, for "sam2").
    """

    kind: str
    size: int
    vision: dict[str, Any]


EFFICIENT_TINY = {
    "hidden_size": 192,
    "num_attention_heads": 3,
    "window_size": 0,
    "global_attn_indexes": list(range(12)),
    "use_rel_pos": False,
}
SHAPES = {
    "sam_b": SamShape("sam", 1024, {}),
    # EfficientSAM-Ti's encoder is a plain ViT-Tiny with global attention in every block; the decoder is SAM's.
    "efficient_ti": SamShape("sam", 1024, EFFICIENT_TINY),
    # transformers' default backbone is SAM 2.1's smallest, Hiera-Tiny.
    "sam2_t": SamShape("sam2", 1024, {}),
}
QUICK_SIZE = 256
QUICK_SHAPES = {
    "sam_b": SamShape("sam", QUICK_SIZE, {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}),
    "efficient_ti": SamShape("sam", QUICK_SIZE, {**EFFICIENT_TINY, "num_hidden_layers": 2}),
    "sam2_t": SamShape("sam2", QUICK_SIZE, {}),
}


def build(shape: SamShape) -> nn.Module:
    """Build the transformers model with random weights, ready for inference."""
    from transformers import Sam2Config, Sam2Model, SamConfig, SamModel

    torch.manual_seed(SEED)
    prompt = {"image_size": shape.size}
    model: nn.Module
    if shape.kind == "sam":
        vision = {"image_size": shape.size, "initializer_range": WEIGHT_RANGE, **shape.vision}
        model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompt))
    else:
        backbone = {"model_type": "sam2_hiera_det_model", "image_size": [shape.size] * 2, **shape.vision}
        sizes = [[shape.size // stride] * 2 for stride in (4, 8, 16)]
        vision = {"backbone_config": backbone, "backbone_feature_sizes": sizes}
        model = Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config=prompt))
    return model.eval().requires_grad_(False)


def load(kind: str, folder: Path) -> nn.Module:
    """Load the model that `save_pretrained` wrote."""
    from transformers import Sam2Model, SamModel

    model: nn.Module = (SamModel if kind == "sam" else Sam2Model).from_pretrained(folder)
    return model.eval().requires_grad_(False)


def peer_folder(name: str, shape: SamShape) -> Path:
    """Make a model's folder, once: `torch/` as transformers saves it, `encoder.onnx` and `decoder.onnx`."""
    folder = FOLDER / f"{name}-{shape.size}"
    finished = folder / "finished"
    if not finished.is_file():
        print(f"exporting {folder} ...", file=sys.stderr)
        model: Any = build(shape)
        with quiet():
            model.save_pretrained(folder / "torch")
        export(model, shape.size, folder)
        finished.touch()
    return folder


class Encoder(nn.Module):
    """Turns uint8 [S, S, 3] into what the decoder takes: [1, 256, S/16, S/16], for SAM 2 after two finer maps."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.is_sam2 = hasattr(model, "no_memory_embedding")
        self.register_buffer("mean", torch.tensor([123.675, 116.28, 103.53]))
        self.register_buffer("std", torch.tensor([58.395, 57.12, 57.375]))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        pixels = ((image.float() - self.mean) / self.std).permute(2, 0, 1)[None]
        found = self.model.get_image_embeddings(pixels)
        return tuple(found) if self.is_sam2 else (found,)


class Decoder(nn.Module):
    """Turns all clicks so far and the previous mask into the mask.

    Takes points float32 [1, 1, N, 2] (x, y in pixels), labels int64 [1, 1, N] (1 or 0), the previous logits float32
    [1, 1, S/4, S/4], float32 [1] whether they count, and the encoder's features. Gives the mask, bool [S, S], and the
    logits [1, 1, S/4, S/4].
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.prompt, self.decoder = model.prompt_encoder, model.mask_decoder
        self.register_buffer("positions", model.get_image_wide_positional_embeddings())
        self.size = model.config.prompt_encoder_config.image_size

    def forward(
        self, points: Tensor, labels: Tensor, previous: Tensor, has_previous: Tensor, *features: Tensor
    ) -> tuple[Tensor, Tensor]:
        sparse, none = self.prompt(input_points=points, input_labels=labels, input_boxes=None, input_masks=None)
        dense = has_previous * self.prompt.mask_embed(previous) + (1 - has_previous) * none
        finer = {"high_resolution_features": list(features[:-1])} if len(features) > 1 else {}
        logits = self.decoder(
            image_embeddings=features[-1],
            image_positional_embeddings=self.positions,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            **finer,
        )[0][:, 0]
        drawn = F.interpolate(logits, (self.size, self.size), mode="bilinear", align_corners=False)
        return drawn[0, 0] > 0, logits


def example_prompt(size: int, clicks: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Make inputs of a decoder for tracing: so many clicks, no previous mask."""
    points = torch.full((1, 1, clicks, 2), size / 2)
    labels = torch.ones((1, 1, clicks), dtype=torch.int64)
    return points, labels, torch.zeros((1, 1, size // 4, size // 4)), torch.zeros(1)


def export(model: nn.Module, size: int, folder: Path) -> None:
    """Write `encoder.onnx` and `decoder.onnx`, each with its weights beside it where they are many."""
    encoder, decoder = Encoder(model).eval(), Decoder(model).eval()
    image = torch.zeros((size, size, 3), dtype=torch.uint8)
    with torch.no_grad(), quiet():
        features = encoder(image)
        names = [f"features_{index}" for index in range(len(features))]
        program = torch.onnx.export(
            encoder,
            (image,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=names,
            verbose=False,
        )
        assert program is not None  # dynamo=True always gives one
        program.save(folder / "encoder.onnx", external_data=True)
        clicks = torch.export.Dim("clicks", min=1, max=64)
        dynamic = ({2: clicks}, {2: clicks}, {}, {}, *({} for _ in features))
        program = torch.onnx.export(
            decoder,
            (*example_prompt(size, 3), *features),
            dynamo=True,
            # The features are the variadic argument: one nested tuple.
            dynamic_shapes=(*dynamic[:4], dynamic[4:]),
            opset_version=OPSET,
            input_names=["points", "labels", "previous", "has_previous", *names],
            output_names=["mask", "logits"],
            verbose=False,
        )
        assert program is not None
        program.save(folder / "decoder.onnx", external_data=True)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter and transformers, which talk about themselves."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "transformers")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
