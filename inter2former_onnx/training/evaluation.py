"""A model in training, measured: IoU after each click, NoC, clicks obeyed, codes and experts in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.metrics import NOC_THRESHOLDS, number_of_clicks
from ..evaluation.report import MARKS, table
from .development import Example
from .pictures import contact_sheet, write_picture
from .rounds import ClickRounds
from .sessions import Session, run_sessions
from .usage import Usage

_BATCH = 8  # targets side by side
_SHOWN = 10  # targets whose masks are drawn, about


def evaluate(
    rounds: ClickRounds, examples: Sequence[Example], clicks: int, size: int, enforce: bool, sheet: Path
) -> dict[str, Any]:
    """Measure a model on some targets, and draw its masks of a few of them.

    Args:
        rounds: holds the model (in eval mode).
        examples: what to segment.
        clicks: a target.
        size: model input in pixels.
        enforce: set pixels close to clicks in the masks.
        sheet: the picture to write.

    Returns:
        What `summarise` gives.

    Raises:
        ArgumentError: the picture cannot be written.
    """
    sessions, usage = run_sessions(rounds, examples, clicks, size, _BATCH, enforce, keep_masks=True)
    shown = range(0, len(examples), max(1, len(examples) // _SHOWN))
    after = [k for k in MARKS if k <= clicks]
    write_picture(sheet, contact_sheet([examples[i] for i in shown], [sessions[i] for i in shown], after))
    return summarise(sessions, usage)


def summarise(sessions: Sequence[Session], usage: Usage) -> dict[str, Any]:
    """Compute the numbers of some sessions, as JSON types.

    Returns:
        `targets`, how many; `iou`, the mean after each click; `noc80`, `noc85`, ..., where a session that never gets
        there counts all its clicks; `clicks_right`, the share of clicks obeyed; `clicks_that_hurt`, the share of those
        after the first that cost more than 0.01 of IoU; and what `Usage.summary` gives.
    """
    overlaps = np.array([session.overlaps for session in sessions])
    result: dict[str, Any] = {"targets": len(sessions), "iou": overlaps.mean(0).tolist()}
    for threshold in NOC_THRESHOLDS:
        result[f"noc{round(100 * threshold)}"] = number_of_clicks(list(overlaps), threshold, overlaps.shape[1])[0]
    obeyed = [right for session in sessions for right in session.obeyed]
    result["clicks_right"] = float(np.mean(obeyed)) if obeyed else 1.0
    drops = np.diff(overlaps, axis=1) < -0.01
    result["clicks_that_hurt"] = float(drops.mean()) if drops.size else 0.0
    return {**result, **usage.summary()}


def results_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the results of `summarise` as a Markdown table, a line a list.

    Args:
        results: by the name of the list.
    """
    rows = []
    for name, result in results.items():
        ious = [f"{result['iou'][k - 1]:.3f}" if k <= len(result["iou"]) else "" for k in MARKS]
        nocs = [f"{result[f'noc{limit}']:.2f}" for limit in (80, 85, 90)]
        rows.append([f"{name} ({result['targets']})", *ious, *nocs, f"{result['clicks_right']:.3f}"])
    return table(["list", *(f"@{k}" for k in MARKS), "NoC80", "NoC85", "NoC90", "clicks right"], rows)
