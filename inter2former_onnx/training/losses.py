"""Losses: the mask, the clicked discs, the localisation, the codes and the experts' balance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..runtime.geometry import PATCH_SIZE
from .batched_neck import BlockRecord

_BOUNDARY_BAND = 9  # pixels of the window that decides what is near a boundary
_CODE_SAMPLES = 4096  # keys a block whose codes are looked at; more add cost, not information


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term; the mask's cross entropy has weight 1.

    Attributes:
        focal: normalised focal loss, cross entropy where the mask is wrong (RITM, Sofiiuk et al. 2021, section 3.3).
        overlap: soft IoU.
        clicks: cross entropy inside the discs of all clicks so far.
        boundary: additional weight of pixels near the target's boundary, in the mask's cross entropy.
        localisation: cross entropy of "a token holds a part of the object".
        commitment: keys and the bucket keys that stand for them should be close.
        diversity: information the codes must carry about the keys, up to `code_bits`.
        code_bits: bits of information after which `diversity` rests.
        balance: even use of experts.
        same_region: tokens of one region alike (see batched_encoding).
        agreement: masks of the dense mode like those of the dynamic mode, in rounds that run in dense mode.
        boxes: masks of the same tokens alike in whichever box they are drawn, in all other rounds.
    """

    focal: float = 1.0
    overlap: float = 1.0
    clicks: float = 1.0
    boundary: float = 2.0
    localisation: float = 0.3
    commitment: float = 0.1
    diversity: float = 0.2
    code_bits: float = 6.5
    balance: float = 0.02
    same_region: float = 0.3
    agreement: float = 5.0
    boxes: float = 5.0


def boundary_weights(targets: Tensor, extra: float) -> Tensor:
    """Weigh pixels: 1, and 1 + extra near the target's boundary.

    Args:
        targets: bool [B, T, T].
        extra: weight that is added there.

    Returns:
        float32 [B, T, T]
    """
    values = targets[:, None].float()
    band = _maximum_around(values) + _maximum_around(-values)
    return 1.0 + extra * band[:, 0]


def _maximum_around(values: Tensor) -> Tensor:
    """Find the maximum over the window around each pixel, one axis at a time."""
    half = _BOUNDARY_BAND // 2
    return F.max_pool2d(F.max_pool2d(values, (_BOUNDARY_BAND, 1), 1, (half, 0)), (1, _BOUNDARY_BAND), 1, (0, half))


def mask_losses(logits: Tensor, targets: Tensor, inside: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute cross entropy and normalised focal loss inside the box, and soft IoU loss, of each object.

    The focal loss is a mean of the cross entropy too, with each pixel's squared error as its weight: what is still
    wrong late in a session is a small part of the picture, and counts as much as a whole mask did.

    Args:
        logits: float32 [B, T, T].
        targets, inside: bool [B, T, T]; inside the drawn box.
        weights: float32 [B, T, T] of pixels in the cross entropy.

    Returns:
        float32 [B] each.
    """
    truth = targets.float()
    pixels = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    probability = torch.sigmoid(logits)
    errors = (probability.detach() - truth).square()
    common = (probability * truth).sum((1, 2))
    either = (probability + truth).sum((1, 2)) - common
    return (
        weighted_mean(pixels, weights * inside),
        weighted_mean(pixels, errors * inside),
        1.0 - common / either.clamp(min=1.0),
    )


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Compute the mean of each map, which fades out below a total weight of one.

    Args:
        values, weights: [B, T, T].

    Returns:
        [B]
    """
    return (values * weights).sum((1, 2)) / weights.sum((1, 2)).clamp(min=1.0)


def click_losses(logits: Tensor, targets: Tensor, labels: Tensor, inside: Tensor) -> Tensor:
    """Compute the mean cross entropy over the definite pixels of each object.

    Pixels where a disc reaches beyond the object (or into it) are left out, and so is what lies outside the box,
    whose logit no weight of the upsampling can change.

    Args:
        logits: float32 [B, T, T].
        targets, inside: bool [B, T, T].
        labels: uint8 [B, T, T] as the decoder saw them; 0 and 4 are definite.

    Returns:
        float32 [B]
    """
    agreed = ((labels == 4) & targets | (labels == 0) & ~targets) & inside
    return weighted_mean(F.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none"), agreed)


def agreement_losses(logits: Tensor, model_logits: Tensor) -> Tensor:
    """Compute the mean excess of the cross entropy of each object's mask against another one of the model.

    The divergence of the two, so 0 where they are equal, however undecided both are.

    Args:
        logits: float32 [B, T, T].
        model_logits: float32 [B, T, T], the mask to agree with; no gradient goes there.

    Returns:
        float32 [B]
    """
    wanted = torch.sigmoid(model_logits)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    least = F.binary_cross_entropy_with_logits(model_logits, wanted, reduction="none")
    return (entropy - least).mean((1, 2))


def box_losses(logits: Tensor, others: Tensor, inside: Tensor) -> Tensor:
    """Compute the divergence of two drawings of each object, per pixel of the object.

    GroupNorm's statistics are those of the box that is drawn, so one object comes out differently in another box,
    small ones most: a mean over the picture would hardly see them. Divergence both ways (Jeffreys'), with gradients
    for both: (p - q) (logit p - logit q).

    Args:
        logits, others: float32 [B, T, T].
        inside: bool [B, T, T], what both boxes hold.

    Returns:
        float32 [B]
    """
    p, q = torch.sigmoid(logits), torch.sigmoid(others)
    area = (torch.maximum(p, q) * inside).sum((1, 2)).detach()
    divergence = ((p - q) * (logits - others)).where(inside, 0.0)
    return divergence.sum((1, 2)) / area.clamp(min=float(PATCH_SIZE**2))


def localisation_losses(localisation: Tensor, targets: Tensor) -> Tensor:
    """Compute the cross entropy of localisation against "the token holds a part of the target".

    Positive tokens weigh twice: a token missed at the rim cuts the object, one too many only costs time.

    Args:
        localisation: logits [B, N].
        targets: bool [B, T, T].

    Returns:
        float32 [B]
    """
    truth = F.max_pool2d(targets[:, None].float(), PATCH_SIZE).flatten(1)
    entropy = F.binary_cross_entropy_with_logits(localisation.float(), truth, reduction="none")
    weights = 1.0 + truth
    return (entropy * weights).sum(1) / weights.sum(1)


def commitment_loss(record: BlockRecord) -> Tensor:
    """Compute the squared distance of keys and their bucket keys, pulling the codebook more than the keys.

    Returns:
        Scalar.
    """
    keys, quantised = record.keys.float(), record.quantised
    return F.mse_loss(quantised, keys.detach()) + 0.25 * F.mse_loss(keys, quantised.detach())


def code_information(logits: Tensor) -> Tensor:
    """Compute how many bits a key's code says about which key it is.

    H(codes of all keys) - mean H(code of one key). Bits of one key are independent given its logits, so the code's
    distribution is a product. Every key on one code gives 0; decided and evenly spread codes give as many bits as the
    code has. (The commitment loss alone collapses: one code for everything is easy to commit to.)

    Args:
        logits: float32 [n, bits].

    Returns:
        Scalar.
    """
    bits = logits.shape[1]
    one = torch.sigmoid(logits)
    codes = logits.new_ones(logits.shape[0], 1)
    for bit in range(bits):
        p = one[:, bit : bit + 1]
        codes = torch.cat([codes * (1.0 - p), codes * p], dim=1)
    mean = codes.mean(0)
    total = -(mean * torch.log2(mean + 1e-9)).sum()
    return total - _bit_entropy(logits).sum(1).mean()


def _bit_entropy(logits: Tensor) -> Tensor:
    """Compute the entropy in bits of sigmoid(logits), elementwise and stable."""
    p = torch.sigmoid(logits)
    return (F.softplus(logits) - p * logits) / math.log(2.0)


def code_loss(record: BlockRecord, target_bits: float) -> Tensor:
    """Compute the information that the codes lack, in bits: max(0, target - information).

    Returns:
        Scalar.
    """
    logits = record.code_logits.flatten(0, 1)
    stride = max(1, logits.shape[0] // _CODE_SAMPLES)
    return F.relu(target_bits - code_information(logits[::stride]))


def expert_load(record: BlockRecord) -> Tensor:
    """Compute the share of routed tokens that each expert got.

    Returns:
        float32 [E]
    """
    counts = record.chosen.sum((0, 1))
    return counts / counts.sum().clamp(min=1.0)


def balance_loss(record: BlockRecord) -> Tensor:
    """Sum the product of each expert's share of tokens and mean score; 0 when even.

    Returns:
        Scalar.
    """
    routed = record.boundary[..., None].float()
    scores = record.expert_scores / record.expert_scores.sum(2, keepdim=True)
    importance = (scores * routed).sum((0, 1)) / routed.sum().clamp(min=1.0)
    return importance.shape[0] * (expert_load(record).detach() * importance).sum() - 1.0


def block_losses(records: Sequence[BlockRecord], weights: LossWeights) -> Tensor:
    """Sum the weighted commitment, code and balance losses, averaged over blocks.

    Returns:
        Scalar.
    """
    total = torch.zeros((), device=records[0].keys.device)
    for record in records:
        total = total + weights.commitment * commitment_loss(record)
        total = total + weights.diversity * code_loss(record, weights.code_bits)
        total = total + weights.balance * balance_loss(record)
    return total / len(records)
