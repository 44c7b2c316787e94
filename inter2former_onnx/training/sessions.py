"""Simulated click sessions of the model in training, several side by side: evaluation's clicks and IoU, batched.

`evaluation.protocol` measures what ships, in sessions of the runtime. Here the PyTorch model itself is asked, and
its masks stay as they are unless enforced, so that what training changed is what is seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..evaluation.clicks import simulate_click
from ..evaluation.metrics import iou
from ..evaluation.targets import Mask
from ..models.configuration import GeometryConfig
from ..models.preprocess import Preprocess
from ..progress import progress
from ..runtime.click import Click
from ..runtime.labels import DEFINITE_BACKGROUND, DEFINITE_FOREGROUND, UNKNOWN
from .development import Example
from .label_maps import (
    NOWHERE,
    apply_predictions,
    click_discs,
    draw_clicks,
    initial_labels,
)
from .rounds import ClickRounds
from .usage import Usage


@dataclass
class Session:
    """What happened on one target: masks bool [H, W] and IoU after each click, and the clicks (None: nothing left)."""

    name: str
    overlaps: list[float] = field(default_factory=list)
    clicks: list[Click | None] = field(default_factory=list)
    obeyed: list[bool] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)


def run_sessions(
    rounds: ClickRounds,
    examples: Sequence[Example],
    clicks: int,
    size: int,
    batch: int,
    enforce: bool = False,
    keep_masks: bool = False,
) -> tuple[list[Session], Usage]:
    """Run click sessions as at inference, several targets side by side.

    Args:
        rounds: holds the model (in eval mode).
        examples: what to segment.
        clicks: rounds of each session.
        size: model input in pixels.
        batch: targets side by side.
        enforce: set pixels close to clicks in the mask, as `ClickSession` does by default.
        keep_masks: keep every mask in the sessions.

    Returns:
        A session an example, and what all of them used of codes and experts.
    """
    geometry: GeometryConfig = dataclasses.replace(rounds.model.config.geometry, size=size)
    preprocess = Preprocess(dataclasses.replace(rounds.model.config, geometry=geometry))
    sessions, usage = [], Usage()
    for start in progress(range(0, len(examples), batch), label="evaluate"):
        chunk = examples[start : start + batch]
        sessions += _run_chunk(rounds, chunk, preprocess, clicks, enforce, keep_masks, usage)
    return sessions, usage


@torch.no_grad()
def _run_chunk(
    rounds: ClickRounds,
    examples: Sequence[Example],
    preprocess: Preprocess,
    clicks: int,
    enforce: bool,
    keep_masks: bool,
    usage: Usage,
) -> list[Session]:
    size, device = preprocess.size, rounds.device
    targets = [example.target for example in examples]
    inputs = torch.cat([preprocess(torch.from_numpy(example.image)) for example in examples]).to(device)
    features = rounds.encode(inputs)
    labels = initial_labels(len(targets), size, device)
    close, radius = torch.zeros_like(labels, dtype=torch.bool), rounds.model.config.click_radius
    sessions = [Session(target.name) for target in targets]
    masks = [np.zeros_like(target.mask) for target in targets]
    for _ in range(clicks):
        found = [simulate_click(mask, target.mask, target.void) for mask, target in zip(masks, targets, strict=True)]
        scales = [size / _square(target.mask.shape, preprocess.divisor) for target in targets]
        places = torch.tensor([_place(click, scale) for click, scale in zip(found, scales, strict=True)], device=device)
        labels = draw_clicks(labels, click_discs(places[:, 0], places[:, 1], size, radius), places[:, 2] > 0)
        close |= click_discs(places[:, 0], places[:, 1], size, radius // 2)
        logits, _, records = rounds.predict(features, labels)
        usage.add(records)
        for index, (session, target, click) in enumerate(zip(sessions, targets, found, strict=True)):
            mask = original_mask(logits[index], target.mask.shape, preprocess.divisor)
            if enforce:
                enforced = torch.where(close[index], labels[index], UNKNOWN)
                mask = _enforced(mask, enforced.cpu().numpy(), scales[index])
            masks[index] = mask
            session.clicks.append(click)
            session.overlaps.append(iou(mask, target.mask, target.void))
            if click:
                session.obeyed.append(bool(mask[click.y, click.x]) == click.positive)
            if keep_masks:
                session.masks.append(mask)
        labels = apply_predictions(labels, logits > 0)
    return sessions


def _place(click: Click | None, scale: float) -> tuple[int, int, int]:
    """Find the model pixel of a click on the original image: row, column, and 1 for positive."""
    if click is None:
        return NOWHERE, NOWHERE, 0
    return int(scale * click.y), int(scale * click.x), int(click.positive)


def _square(shape: tuple[int, ...], divisor: int) -> int:
    """Compute the side of the padded square that an image becomes (docs/model.md 1)."""
    return -(-max(shape[:2]) // divisor) * divisor


def original_mask(logits: Tensor, shape: tuple[int, ...], divisor: int) -> Mask:
    """Bring logits back to the original image and threshold them.

    Args:
        logits: [T, T].
        shape: height and width of the image.
        divisor: the configuration's size_divisor.

    Returns:
        bool [H, W]
    """
    side = _square(shape, divisor)
    large = F.interpolate(logits[None, None].float(), size=(side, side), mode="bilinear", align_corners=False)[0, 0]
    return (large[: shape[0], : shape[1]] > 0).cpu().numpy()


def _enforced(mask: Mask, labels: NDArray[np.uint8], scale: float) -> Mask:
    rows = (np.arange(mask.shape[0]) * scale).astype(np.intp)
    columns = (np.arange(mask.shape[1]) * scale).astype(np.intp)
    own = labels[rows[:, None], columns]
    return (mask | (own == DEFINITE_FOREGROUND)) & (own != DEFINITE_BACKGROUND)
