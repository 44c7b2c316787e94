"""Verification: is the bundle the model? Both run side by side on real clicks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ArgumentError, CheckpointError
from ..models import ImageFeatures, Inter2Former, ModelConfig, load_state_dict, read_checkpoint
from ..progress import progress
from ..runtime import EncodedImage, Segmenter
from ..runtime import labels as label_map
from ..runtime.box import Box, whole
from ..runtime.bundle import DECODER, ENCODER, PROMPT
from ..runtime.graph import Graph
from .calibration import cosine
from .graphs import EDGE_NAMES, UNCLICKED_NAMES, encoder_outputs
from .storage import round_weights

Floats = NDArray[np.float32]

# A value counts as different from this share of its array's range on. The model has jumps (edge orientations, key
# buckets, the choice of an expert): where a value lies on one, float32 rounding may take the bundle and PyTorch to
# different sides, so a small share of different values is no fault.
DIFFERENT = 1e-3
MOST_DIFFERENT = 1e-3
LEAST_IOU = 0.99
# An 8-bit encoder computes something else, if not by much.
LEAST_COSINE_INT8 = 0.995
LEAST_IOU_INT8 = 0.95


@dataclass(frozen=True)
class Difference:
    """One graph's outputs against PyTorch's.

    Attributes:
        graph: encoder, prompt or decoder.
        largest: largest absolute difference, as a share of the array's range.
        share: share of values that differ by more than `DIFFERENT`.
    """

    graph: str
    largest: float
    share: float

    @property
    def ok(self) -> bool:
        """Whether it is within tolerance (never so if a value is not finite)."""
        return self.share <= MOST_DIFFERENT


@dataclass(frozen=True)
class ClickResult:
    """One click of both sessions.

    Attributes:
        x, y: where it was, column and row in the image.
        positive: its sign.
        iou: intersection over union of the two masks.
    """

    x: int
    y: int
    positive: bool
    iou: float


@dataclass
class Report:
    """What `verify_bundle` found.

    Attributes:
        bundle, checkpoint: what was compared.
        ops: what carried out the bundle's custom ops.
        precision: of the bundle. For int8, "encoder" among `differences` is its edge terms, which stay in float32, and
            `cosine` tells of the embedding.
        cosine: of the bundle's embedding with PyTorch's, the mean over the tokens.
        differences: graph by graph, on equal inputs.
        clicks: of two sessions that each live on their own predictions.
    """

    bundle: Path
    checkpoint: Path
    ops: str
    precision: str
    cosine: float = 1.0
    differences: list[Difference] = field(default_factory=list)
    clicks: list[ClickResult] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything is within tolerance."""
        return self._cosine_ok and all(d.ok for d in self.differences) and all(map(self._mask_ok, self.clicks))

    @property
    def _int8(self) -> bool:
        return self.precision == "int8"

    @property
    def _cosine_ok(self) -> bool:
        return not self._int8 or self.cosine >= LEAST_COSINE_INT8

    def _mask_ok(self, click: ClickResult) -> bool:
        return click.iou >= (LEAST_IOU_INT8 if self._int8 else LEAST_IOU)

    def lines(self) -> list[str]:
        """Write the report for people: a line per graph and per click, then the verdict."""
        lines = [f"{self.bundle} ({self.precision}) against {self.checkpoint} in PyTorch ({self.ops} ops)"]
        if self._int8:
            lines.append(f"embedding: cosine {self.cosine:.6f} with float32: {_verdict(self._cosine_ok)}")
        for d in self.differences:
            lines.append(
                f"{d.graph:8} largest difference {d.largest:.1e} of the range, {100 * d.share:.3f} % of values beyond "
                f"{DIFFERENT:g}: {_verdict(d.ok)}"
            )
        for index, click in enumerate(self.clicks, 1):
            sign = "+" if click.positive else "-"
            verdict = _verdict(self._mask_ok(click))
            lines.append(f"click {index} {sign} at ({click.x}, {click.y}): mask IoU {click.iou:.4f}: {verdict}")
        lines.append("the bundle computes what the checkpoint says" if self.ok else "OUT OF TOLERANCE")
        return lines


def verify_bundle(
    bundle: str | Path,
    checkpoint: str | Path,
    image: NDArray[np.uint8],
    clicks: int = 5,
    threads: int | None = None,
    key: str | None = None,
) -> Report:
    """Run the bundle and the PyTorch model side by side.

    The clicks follow the centre of an ellipse and then the errors of the bundle's mask, as a person's would.
    Each graph is compared on equal inputs; the masks come from two sessions that each live on their own predictions.

    Args:
        bundle: the folder.
        checkpoint: what it is said to be made of.
        image: uint8 [H, W, 3], RGB.
        clicks: how many.
        threads: for onnxruntime; None for the default.
        key: which state dict, where the checkpoint holds several (see `read_checkpoint`).

    Returns:
        What was found, whether or not it is within tolerance.

    Raises:
        ArgumentError: fewer than one click.
        BundleError, CheckpointError, ImageError: unusable inputs.
    """
    if clicks < 1:
        raise ArgumentError(f"clicks must be at least 1, found {clicks}")
    segmenter = Segmenter(bundle, threads=threads)
    model = Inter2Former(ModelConfig.from_dict(segmenter.manifest.model, f"{bundle}/manifest.json")).eval()
    model.requires_grad_(False)
    try:
        load_state_dict(model, read_checkpoint(checkpoint, key=key), str(checkpoint))
    except CheckpointError as error:
        raise CheckpointError(f"{error} (the configuration is the one in {bundle}/manifest.json)") from None
    if segmenter.manifest.source.get("stored_as") == "float16":
        round_weights(model)
    report = Report(Path(bundle), Path(checkpoint), segmenter.ops, segmenter.manifest.precision)
    return _compare(segmenter, model, report, image, clicks)


def _compare(
    segmenter: Segmenter, model: Inter2Former, report: Report, image: NDArray[np.uint8], clicks: int
) -> Report:
    encoded = segmenter.encode(image)
    features = model.encode(model.preprocess(torch.from_numpy(np.ascontiguousarray(image))))
    expected_arrays = encoder_outputs(model, features)
    report.cosine = cosine(encoded.arrays["embed"], expected_arrays[0].numpy())
    exact = features  # what the masks are compared with
    if report.precision == "int8":  # everything behind the embedding is compared on equal inputs
        embed = torch.from_numpy(encoded.arrays["embed"].copy()).permute(2, 0, 1)
        features = ImageFeatures(embed, features.edges)
        expected_arrays = encoder_outputs(model, features)
    names = ("embed", *UNCLICKED_NAMES, *EDGE_NAMES)
    pairs = zip(names, expected_arrays, strict=True)
    report.differences.append(_difference(ENCODER, [(encoded.arrays[name], t.numpy()) for name, t in pairs]))

    prompt_graph = Graph(segmenter.bundle, segmenter.manifest, PROMPT, segmenter.threads)
    target = _ellipse(encoded.height, encoded.width)
    mask = np.zeros_like(target)
    ours, theirs = (label_map.initial(*encoded.geometry.extent) for _ in range(2))
    prompts, logits = [], []
    for _ in progress(range(clicks), "verify", total=clicks):
        x, y, positive = _next_click(target, mask)
        for labels in (ours, theirs):
            row, column = encoded.geometry.model_pixel(y, x)
            label_map.draw_click(labels, row, column, positive, segmenter.manifest.click_radius)
        part = np.ascontiguousarray(ours[label_map.region_of_interest(ours).slices])
        (prompt,) = prompt_graph.run(["prompt"], {"labels": part})
        prompts.append((prompt, model.neck.embed_labels(torch.from_numpy(part)).numpy()))
        found, box = segmenter.decode(encoded, ours)
        expected, expected_box = _decode_torch(model, features, ours)
        logits.append(_on_common_box(segmenter.manifest.outside_logit, found, box, expected, expected_box))
        mask = _finish(segmenter, encoded, ours, found, box)
        torch_mask = _finish(segmenter, encoded, theirs, *_decode_torch(model, exact, theirs))
        report.clicks.append(ClickResult(x, y, positive, _iou(mask, torch_mask)))
    report.differences += [_difference(PROMPT, prompts), _difference(DECODER, logits)]
    return report


def _decode_torch(model: Inter2Former, features: ImageFeatures, labels: NDArray[np.uint8]) -> tuple[Floats, Box]:
    """Decode as `Segmenter.decode` does: logits of the box, and the box in pixels."""
    logits, box = model.decode(features, torch.from_numpy(labels))
    return logits.numpy()[Box(*box).slices], Box(*box)


def _finish(
    segmenter: Segmenter, encoded: EncodedImage, labels: NDArray[np.uint8], logits: Floats, box: Box
) -> NDArray[np.bool_]:
    """Do what follows a prediction: the labels move, the mask comes out at the image's size."""
    positive = logits > 0
    label_map.apply_prediction(labels, whole(*labels.shape), positive, box)
    return encoded.geometry.mask(logits, positive, box, segmenter.manifest.outside_logit)


def _on_common_box(outside: float, a: Floats, a_box: Box, b: Floats, b_box: Box) -> tuple[Floats, Floats]:
    """Lay both over the hull of their boxes, which differ when a localisation value lies on the threshold."""
    hull = a_box.hull(b_box)
    maps = []
    for logits, box in ((a, a_box), (b, b_box)):
        common = np.full((hull.height, hull.width), outside, dtype=np.float32)
        common[box.within(hull).slices] = logits
        maps.append(common)
    return maps[0], maps[1]


def _difference(graph: str, pairs: list[tuple[Floats, Floats]]) -> Difference:
    largest, different, total = 0.0, 0, 0
    for found, expected in pairs:
        if found.shape != expected.shape:
            return Difference(graph, float("inf"), 1.0)
        scale = max(float(np.ptp(expected)), 1e-6)
        error = np.abs(found - expected) / scale
        error[~np.isfinite(error)] = np.inf
        largest = max(largest, float(error.max()))
        different += int(np.count_nonzero(error > DIFFERENT))
        total += error.size
    return Difference(graph, largest, different / total)


def _ellipse(height: int, width: int) -> NDArray[np.bool_]:
    """Draw the object that the clicks pretend to be after: an ellipse over the middle half of the image."""
    rows = (np.arange(height) + 0.5) / height - 0.5
    columns = (np.arange(width) + 0.5) / width - 0.5
    inside: NDArray[np.bool_] = np.hypot(rows[:, None], columns[None, :]) <= 0.25
    inside[height // 2, width // 2] = True  # never empty
    return inside


def _next_click(target: NDArray[np.bool_], mask: NDArray[np.bool_]) -> tuple[int, int, bool]:
    """Choose x, y and sign: the pixel of the larger error region that is nearest to the region's centre."""
    missing, surplus = target & ~mask, mask & ~target
    positive = bool(np.count_nonzero(missing) >= np.count_nonzero(surplus))
    rows, columns = np.nonzero(missing if positive else surplus)
    if rows.size == 0:  # the mask is the target
        rows, columns = np.nonzero(target)
    nearest = int(np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean())))
    return int(columns[nearest]), int(rows[nearest]), positive


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def _verdict(ok: bool) -> str:
    return "ok" if ok else "OUT OF TOLERANCE"
