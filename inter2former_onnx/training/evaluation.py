"""Simulated click sessions on fixed targets: IoU after each click, NoC, clicks obeyed, codes and experts in use."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..evaluation.clicks import Click, simulate_click
from ..evaluation.metrics import NOC_THRESHOLDS, iou, number_of_clicks
from ..models.configuration import GeometryConfig
from ..models.preprocess import Preprocess
from ..progress import progress
from ..runtime.labels import DEFINITE_BACKGROUND, DEFINITE_FOREGROUND, UNKNOWN
from .batched_neck import BlockRecord
from .evaluation_targets import EvaluationTarget
from .label_maps import (
    NOWHERE,
    apply_predictions,
    click_discs,
    draw_clicks,
    initial_labels,
)
from .rounds import ClickRounds


@dataclass
class Session:
    """What happened on one target: masks bool [H, W] and IoU after each click, and the clicks (None: nothing left)."""

    name: str
    overlaps: list[float] = field(default_factory=list)
    clicks: list[Click | None] = field(default_factory=list)
    obeyed: list[bool] = field(default_factory=list)
    masks: list[NDArray[np.bool_]] = field(default_factory=list)


@dataclass
class Usage:
    """Which codes and experts were used: per block bool [codes] and routed tokens of each expert [E]."""

    codes: list[Tensor] = field(default_factory=list)
    tokens: list[Tensor] = field(default_factory=list)

    def add(self, records: Sequence[BlockRecord]) -> None:
        """Count one prediction."""
        for block, record in enumerate(records):
            bits = (record.code_logits >= 0).flatten(0, 1).long()
            powers = 2 ** torch.arange(bits.shape[1] - 1, -1, -1, device=bits.device)
            counts = torch.bincount((bits * powers).sum(1), minlength=2 ** bits.shape[1]).cpu()
            tokens = record.chosen.sum((0, 1)).cpu()
            if block == len(self.codes):
                self.codes.append(torch.zeros_like(counts))
                self.tokens.append(torch.zeros_like(tokens))
            self.codes[block] += counts
            self.tokens[block] += tokens

    def summary(self) -> dict[str, Any]:
        """Codes used, the largest code's share of keys, and experts' shares, per block."""
        return {
            "codes_used": [int((counts > 0).sum()) for counts in self.codes],
            "largest_code": [float(counts.max() / counts.sum()) for counts in self.codes],
            "expert_shares": [(tokens / tokens.sum()).tolist() for tokens in self.tokens],
        }


def run_sessions(
    rounds: ClickRounds,
    targets: Sequence[EvaluationTarget],
    clicks: int,
    size: int,
    batch: int,
    enforce: bool = False,
    keep_masks: bool = False,
) -> tuple[list[Session], Usage]:
    """Click sessions as at inference, several targets side by side.

    Args:
        rounds: holds the model (in eval mode).
        targets: what to segment.
        clicks: rounds of each session.
        size: model input in pixels.
        batch: targets side by side.
        enforce: set pixels close to clicks in the mask, as `ClickSession` does by default.
        keep_masks: keep every mask in the sessions.
    """
    geometry: GeometryConfig = dataclasses.replace(rounds.model.config.geometry, size=size)
    preprocess = Preprocess(dataclasses.replace(rounds.model.config, geometry=geometry))
    sessions, usage = [], Usage()
    for start in progress(range(0, len(targets), batch), label="evaluate"):
        chunk = targets[start : start + batch]
        sessions += _run_chunk(rounds, chunk, preprocess, clicks, enforce, keep_masks, usage)
    return sessions, usage


@torch.no_grad()
def _run_chunk(
    rounds: ClickRounds,
    targets: Sequence[EvaluationTarget],
    preprocess: Preprocess,
    clicks: int,
    enforce: bool,
    keep_masks: bool,
    usage: Usage,
) -> list[Session]:
    size, device = preprocess.size, rounds.device
    inputs = torch.cat([preprocess(torch.from_numpy(target.image)) for target in targets]).to(device)
    features = rounds.encode(inputs)
    labels = initial_labels(len(targets), size, device)
    close, radius = torch.zeros_like(labels, dtype=torch.bool), rounds.model.config.click_radius
    sessions = [Session(target.name) for target in targets]
    masks = [np.zeros_like(target.mask) for target in targets]
    for _ in range(clicks):
        found = [simulate_click(mask, target.mask) for mask, target in zip(masks, targets, strict=True)]
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
            session.overlaps.append(iou(mask, target.mask))
            if click:
                session.obeyed.append(bool(mask[click.row, click.column]) == click.positive)
            if keep_masks:
                session.masks.append(mask)
        labels = apply_predictions(labels, logits > 0)
    return sessions


def _place(click: Click | None, scale: float) -> tuple[int, int, int]:
    """Model pixel of a click of the original image, and 1 for positive."""
    if click is None:
        return NOWHERE, NOWHERE, 0
    return int(scale * click.row), int(scale * click.column), int(click.positive)


def _square(shape: tuple[int, ...], divisor: int) -> int:
    """Side of the padded square that an image becomes (docs/model.md 1)."""
    return -(-max(shape[:2]) // divisor) * divisor


def original_mask(logits: Tensor, shape: tuple[int, ...], divisor: int) -> NDArray[np.bool_]:
    """bool [H, W]: logits [T, T] brought back to the original image and thresholded."""
    side = _square(shape, divisor)
    large = F.interpolate(logits[None, None].float(), size=(side, side), mode="bilinear", align_corners=False)[0, 0]
    return (large[: shape[0], : shape[1]] > 0).cpu().numpy()


def _enforced(mask: NDArray[np.bool_], labels: NDArray[np.uint8], scale: float) -> NDArray[np.bool_]:
    rows = (np.arange(mask.shape[0]) * scale).astype(np.intp)
    columns = (np.arange(mask.shape[1]) * scale).astype(np.intp)
    own = labels[rows[:, None], columns]
    return (mask | (own == DEFINITE_FOREGROUND)) & (own != DEFINITE_BACKGROUND)


def summarise(sessions: Sequence[Session], usage: Usage) -> dict[str, Any]:
    """Mean IoU after each click, NoC (a session that never gets there counts all its clicks), clicks obeyed, usage."""
    overlaps = np.array([session.overlaps for session in sessions])
    result: dict[str, Any] = {"targets": len(sessions), "iou": overlaps.mean(0).tolist()}
    for threshold in NOC_THRESHOLDS:
        result[f"noc{round(100 * threshold)}"] = number_of_clicks(list(overlaps), threshold, overlaps.shape[1])[0]
    obeyed = [right for session in sessions for right in session.obeyed]
    result["clicks_right"] = float(np.mean(obeyed)) if obeyed else 1.0
    drops = np.diff(overlaps, axis=1) < -0.01
    result["clicks_that_hurt"] = float(drops.mean()) if drops.size else 0.0
    return {**result, **usage.summary()}


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown table of `summarise` results by list name."""
    marks = (1, 2, 3, 5, 10, 20)
    lines = ["| list | " + " | ".join(f"@{k}" for k in marks) + " | NoC80 | NoC85 | NoC90 | clicks right |"]
    lines.append("|---" * (len(marks) + 5) + "|")
    for name, result in results.items():
        ious = [f"{result['iou'][k - 1]:.3f}" if k <= len(result["iou"]) else "" for k in marks]
        nocs = [f"{result[f'noc{limit}']:.2f}" for limit in (80, 85, 90)]
        cells = [f"{name} ({result['targets']})", *ious, *nocs, f"{result['clicks_right']:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
