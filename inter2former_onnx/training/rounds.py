"""One training step: encode the pictures once, then rounds of click, prediction and label update for every object."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models import Inter2Former
from ..runtime.geometry import PATCH_SIZE
from .batched_encoding import (
    BatchFeatures,
    Plans,
    edge_channels,
    encode_batch,
    per_object,
    same_region_loss,
    window_plans,
)
from .batched_neck import BlockRecord, neck_forward
from .batched_upsampling import draw, localise, predicted_boxes
from .batches import Batch
from .clicks import simulate_clicks, without_islands
from .label_maps import (
    apply_predictions,
    bounding_boxes,
    box_mask,
    click_discs,
    draw_clicks,
    initial_labels,
)
from .losses import (
    LossWeights,
    agreement_losses,
    block_losses,
    boundary_weights,
    box_losses,
    click_losses,
    expert_load,
    localisation_losses,
    mask_losses,
)
from .region_table import VOID_REGION

_SURELY_NOT = -30.0  # a logit whose probability adds nothing to any sum


@dataclass
class StepResult:
    """What a step reports: scalars for the log, and each block's share of tokens per expert [blocks, E]."""

    scalars: dict[str, Tensor]
    loads: Tensor


class ClickRounds:
    """The forward and backward passes of a step, with compiled functions and plans kept by picture size."""

    def __init__(
        self,
        model: Inter2Former,
        weights: LossWeights,
        device: torch.device,
        precision: torch.dtype,
        compiled: bool,
        pool: Executor | None,
    ) -> None:
        self.model, self.weights, self.device, self.precision, self.pool = model, weights, device, precision, pool
        self._plans: dict[int, Plans] = {}
        wrap: Callable[[Callable[..., Any]], Callable[..., Any]] = (
            (lambda function: torch.compile(function, dynamic=False)) if compiled else (lambda function: function)
        )
        self._encode = wrap(self._encode_images)
        self._tokens = wrap(self._predict_tokens)
        self._draw = wrap(self._draw_masks)
        if device.type != "cpu":  # where `click` calls it; the import brings torch.compile's machinery, 1.5 seconds
            from .batched_clicks import batched_clicks

            self._batched_clicks = wrap(batched_clicks)
            # Gradients were not finite in an eighth of run 7's steps, and never on a CPU. Of the kernels that only a
            # GPU has, this one is known for it, for 64 tokens (a window has as many) whose logits are all far below
            # zero: github.com/pytorch/pytorch/issues/196678. No run since has had a GPU to tell whether it was that.
            torch.backends.cuda.enable_cudnn_sdp(False)

    def autocast(self) -> AbstractContextManager[Any]:
        """Reduce the precision of matrix products, unless float32 was asked for."""
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.precision)

    def plans(self, size: int) -> Plans:
        """Give the encoder's window plans for a picture size."""
        if size not in self._plans:
            self._plans[size] = window_plans(self.model, size, self.device)
        return self._plans[size]

    def encode(self, inputs: Tensor) -> BatchFeatures:
        """Compute the features of images.

        Args:
            inputs: float32 [I, 3, T, T], normalised.
        """
        channels = edge_channels(self.model, inputs)
        with self.autocast():
            embed, edges = self._encode(inputs, channels, self.plans(inputs.shape[-1]))
        return BatchFeatures(embed, edges)

    def _encode_images(self, inputs: Tensor, channels: Tensor, plans: Plans) -> tuple[Tensor, list[Tensor]]:
        features = encode_batch(self.model, inputs, channels, plans)
        return features.embed, features.edges

    def _predict_tokens(self, embed: Tensor, labels: Tensor, dense: Tensor) -> tuple[Tensor, Tensor, list[BlockRecord]]:
        objects = labels.shape[0] // embed.shape[0]
        tokens, records = neck_forward(self.model.neck, per_object(embed, objects), labels, dense)
        return tokens, localise(self.model.decode_head, tokens), records

    def _draw_masks(self, tokens: Tensor, edges: list[Tensor], boxes: Tensor) -> Tensor:
        return draw(self.model.decode_head, tokens, edges, boxes)

    def predict(self, features: BatchFeatures, labels: Tensor) -> tuple[Tensor, Tensor, list[BlockRecord]]:
        """Draw masks as at inference, inside the predicted boxes.

        Args:
            features: of the images.
            labels: uint8 [B, T, T], the objects of one image side by side.

        Returns:
            float32 logits [B, T, T], boxes int64 [B, 4] in tokens, what each block did.
        """
        with self.autocast():
            tokens, localisation, records = self._tokens(features.embed, labels, self._modes(labels, dense=False))
            side = labels.shape[-1] // PATCH_SIZE
            boxes = predicted_boxes(localisation, side, self.model.config.decode_head.threshold)
            return self._draw(tokens, features.edges, boxes), boxes, records

    @staticmethod
    def _modes(labels: Tensor, dense: bool) -> Tensor:
        """Give the mode of each object, all alike: bool [B]."""
        return torch.full((labels.shape[0],), dense, device=labels.device)

    def click(self, foreground: Tensor, targets: Tensor) -> Tensor:
        """Choose the next click of every object.

        On a CPU by OpenCV's distance transform; elsewhere in tensor operations, so that nothing waits for a transfer.

        Args:
            foreground, targets: bool [B, T, T].

        Returns:
            int64 [B, 3]: row, column, 1 for positive.
        """
        if self.device.type != "cpu":
            return self._batched_clicks(foreground, targets)
        return torch.from_numpy(simulate_clicks(foreground.numpy(), targets.numpy(), self.pool))

    def step(
        self,
        batch: Batch,
        longest: int,
        gradient_rounds: int,
        generator: np.random.Generator,
        dense_share: float = 0.0,
    ) -> StepResult:
        """Accumulate the gradients of one batch in the model's parameters.

        A session has a random number of rounds up to `longest`; `gradient_rounds` of them, drawn at random, are learnt
        from (`dense_share` of these in dense mode, see `_learn`), the others only move the label map on. Each learnt
        round runs backward at once, down to the features; the encoder's own backward pass comes last.

        On a CPU a round leaves out islands as the runtime's sessions do; elsewhere nothing waits for a transfer.

        Void pixels get no click and no gradient from the target, and count in no overlap.

        Args:
            batch: pictures and targets.
            longest: rounds of the longest session.
            gradient_rounds: that are learnt.
            generator: source of randomness.
            dense_share: of the learnt rounds, 0 to 1.
        """
        weights = self.weights
        encoded = self.encode(batch.inputs)
        leaves = [tensor.detach().requires_grad_() for tensor in (encoded.embed, *encoded.edges)]
        features = BatchFeatures(leaves[0], leaves[1:])
        size, targets = batch.inputs.shape[-1], batch.targets
        judged = per_object(batch.regions != VOID_REGION, targets.shape[0] // batch.inputs.shape[0])
        near = boundary_weights(targets, weights.boundary)
        valid = batch.valid.float() / batch.valid.sum().clamp(min=1)
        labels = initial_labels(targets.shape[0], size, self.device)
        foreground = torch.zeros_like(targets)
        total = int(generator.integers(gradient_rounds, longest + 1))
        learnt = _learnt_rounds(total, gradient_rounds, generator)
        scalars: dict[str, Tensor] = {}
        loads = []
        right, clicked = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        for number in range(max(learnt) + 1):
            clicks = self.click(foreground & judged, targets)
            rows, columns, positive = clicks[:, 0], clicks[:, 1], clicks[:, 2] > 0
            labels = draw_clicks(labels, click_discs(rows, columns, size, self.model.config.click_radius), positive)
            if number in learnt:
                dense = dense_share > 0.0 and bool(generator.random() < dense_share)
                logits, losses, load = self._learn(features, labels, targets, near, generator, dense, judged)
                (self._reduce(losses, valid) / gradient_rounds).backward()
                loads.append(load)
                for name, value in losses.items():
                    mean = (value.detach() * valid).sum() if value.ndim else value.detach()
                    scalars[name] = scalars.get(name, torch.zeros_like(mean)) + mean / gradient_rounds
            else:
                with torch.no_grad():
                    logits, _, _ = self.predict(features, labels)
            foreground = logits.detach() > 0
            right = right + _clicks_right(foreground, clicks).sum()
            clicked = clicked + (rows >= 0).sum()
            if self.device.type == "cpu":
                foreground = torch.from_numpy(
                    without_islands(logits.detach().numpy(), foreground.numpy(), labels.numpy(), self.pool)
                )
            if number == 0:
                scalars["iou_first"] = (_overlap(foreground & judged, targets) * valid).sum()
            labels = apply_predictions(labels, foreground)
        scalars["iou_last"] = (_overlap(foreground & judged, targets) * valid).sum()
        scalars["clicks_right"] = right / clicked.clamp(min=1)
        gradients = [leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves]
        regions = batch.regions[:, PATCH_SIZE // 2 :: PATCH_SIZE, PATCH_SIZE // 2 :: PATCH_SIZE]
        alike = same_region_loss(encoded.embed, torch.where(regions == VOID_REGION, -1, regions))
        scalars["same_region"] = alike.detach()
        torch.autograd.backward(
            [encoded.embed, *encoded.edges, weights.same_region * alike], [*gradients, torch.ones_like(alike)]
        )
        return StepResult(scalars, torch.stack(loads).mean(0))

    def _learn(
        self,
        features: BatchFeatures,
        labels: Tensor,
        targets: Tensor,
        near: Tensor,
        generator: np.random.Generator,
        dense: bool = False,
        judged: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Run one round with gradients.

        In dense mode every token is a boundary token, the whole map is drawn, and beside the target the mask has to
        agree with what the dynamic mode draws of the same label map: the modes share every weight, but their
        attention and their GroupNorms see different tokens. In other rounds the mask is drawn twice, in its box and in
        the whole map (which is what dense mode draws), and the two have to agree inside the box. Only pixels that are
        `judged`, bool [B, T, T], are compared with the target.

        Returns:
            Logits [B, T, T], weighted losses (per object [B] or scalar), experts' loads [blocks, E].
        """
        weights = self.weights
        with self.autocast():
            tokens, localisation, records = self._tokens(features.embed, labels, self._modes(labels, dense))
        boxes = self._whole_boxes(targets) if dense else self._training_boxes(localisation.detach(), targets, generator)
        with self.autocast():
            logits = self._draw(tokens, features.edges, boxes)
        inside = box_mask(boxes * PATCH_SIZE, targets.shape[-1])
        known = inside if judged is None else inside & judged
        compared = logits if judged is None else torch.where(judged, logits, _SURELY_NOT)
        entropy, focal, overlap = mask_losses(compared, targets, known, near)
        agreement, alike = torch.zeros_like(entropy), torch.zeros_like(entropy)
        if dense:
            with torch.no_grad():
                dynamic, _, _ = self.predict(features, labels)
            agreement = weights.agreement * agreement_losses(logits, dynamic)
        elif weights.boxes:
            with self.autocast():
                others = self._draw(tokens, features.edges, self._whole_boxes(targets))
            alike = weights.boxes * box_losses(logits, others, inside)
        losses = {
            "entropy": entropy,
            "focal": weights.focal * focal,
            "overlap": weights.overlap * overlap,
            "clicks": weights.clicks * click_losses(logits, targets, labels, known),
            "localisation": weights.localisation * localisation_losses(localisation, targets),
            "blocks": block_losses(records, weights),
            "agreement": agreement,
            "boxes": alike,
        }
        return logits, losses, torch.stack([expert_load(record) for record in records]).detach()

    @staticmethod
    def _reduce(losses: dict[str, Tensor], valid: Tensor) -> Tensor:
        """Sum all terms, those per object weighted by `valid` (sums to 1)."""
        terms = [(value * valid).sum() if value.ndim else value for value in losses.values()]
        return torch.stack(terms).sum()

    @staticmethod
    def _whole_boxes(targets: Tensor) -> Tensor:
        """Give the whole grid to every object: int64 [B, 4] in tokens."""
        side = targets.shape[-1] // PATCH_SIZE  # (not expanded: a compiled graph is made for its inputs' strides)
        return torch.tensor([[0, 0, side, side]], device=targets.device).repeat(targets.shape[0], 1)

    def _training_boxes(self, localisation: Tensor, targets: Tensor, generator: np.random.Generator) -> Tensor:
        """Choose boxes to draw in: the target's, alone, joined with the predicted one, or the whole grid.

        Each side then moves outward by a random part of what `expand_ratio` allows.

        Returns:
            int64 [B, 4] in tokens.
        """
        count, size = targets.shape[0], targets.shape[-1]
        side = size // PATCH_SIZE
        head = self.model.config.decode_head
        held = targets.unflatten(2, (side, PATCH_SIZE)).any(3).unflatten(1, (side, PATCH_SIZE)).any(2)
        true = bounding_boxes(held)
        predicted = predicted_boxes(localisation, side, head.threshold)
        joined = torch.cat([torch.minimum(true, predicted)[:, :2], torch.maximum(true, predicted)[:, 2:]], dim=1)
        kind = torch.from_numpy(generator.random(count)).to(self.device)[:, None]
        boxes = torch.where(kind < 0.5, joined, torch.where(kind < 0.85, true, self._whole_boxes(targets)))
        share = torch.from_numpy(generator.random((count, 4)).astype(np.float32)).to(self.device)
        extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2).float()
        outward = torch.ceil(share * share * 0.5 * (head.expand_ratio - 1.0) * extent + share - 0.5).long().clamp(min=0)
        direction = torch.tensor([-1, -1, 1, 1], device=self.device)
        return (boxes + direction * outward).clamp(0, side)


def _learnt_rounds(total: int, count: int, generator: np.random.Generator) -> set[int]:
    """Draw `count` of the rounds 0..total-1.

    The first, which every session has, more often than by chance, and of the others the early ones, since most objects
    are done before the late ones.
    """
    if generator.random() < 0.6:
        return {0, *(1 + _early(total - 1, count - 1, generator)).tolist()} if total > 1 else {0}
    return set(_early(total, count, generator).tolist())


def _early(total: int, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw `count` different ones of the numbers 0..total-1, number i in proportion to 1 / sqrt(i + 1)."""
    weights = np.arange(1, total + 1) ** -0.5
    return generator.choice(total, count, replace=False, p=weights / weights.sum())


def _clicks_right(foreground: Tensor, clicks: Tensor) -> Tensor:
    """Tell whether each prediction obeys the click just given; false where there was none.

    Args:
        foreground: bool [B, T, T].
        clicks: int64 [B, 3], row, column, 1 for positive.

    Returns:
        bool [B]
    """
    rows, columns = clicks[:, 0], clicks[:, 1]
    batch = torch.arange(foreground.shape[0], device=foreground.device)
    found = foreground[batch, rows.clamp(min=0), columns.clamp(min=0)]
    return (found == (clicks[:, 2] > 0)) & (rows >= 0)


def _overlap(foreground: Tensor, targets: Tensor) -> Tensor:
    """Compute the IoU of each pair of masks bool [B, T, T]: float32 [B], 1 where both are empty."""
    common = (foreground & targets).sum((1, 2)).float()
    either = (foreground | targets).sum((1, 2)).float()
    return torch.where(either > 0, common / either.clamp(min=1), 1.0)
