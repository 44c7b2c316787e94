"""Training batches: pictures, their views, what is pasted onto them, and the objects to segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError
from ..models import ModelConfig
from .augmentation import (
    AugmentationSettings,
    change_colour,
    generated_shapes,
    sample_colour,
    sample_shapes,
    sample_view,
    warp,
)
from .image_store import ImageStore
from .region_table import MAX_REGIONS, PASTED, VOID_REGION
from .sources import kind_of
from .targets import as_lookup, sample_target, target_box

_CANDIDATES = 6  # targets drawn an image; those that the view does not show well are dropped
_SMALLEST = 0.004  # share of the view that a target must have
_LARGEST = 0.7


@dataclass(frozen=True)
class Batch:
    """One step's data.

    Attributes:
        inputs: float32 [I, 3, T, T] normalised.
        targets: bool [I * K, T, T], objects of one image side by side.
        regions: int64 [I, T, T], -1 outside the image, `VOID_REGION` where nobody says what it is.
        valid: bool [I * K], false where an image had no usable target.
    """

    inputs: Tensor
    targets: Tensor
    regions: Tensor
    valid: Tensor


class BatchSampler:
    """Draws batches from a store. All its randomness is one numpy generator, whose state is its position."""

    def __init__(
        self,
        store: ImageStore,
        config: ModelConfig,
        settings: AugmentationSettings,
        balance: float,
        seed: int,
        source_weights: Mapping[str, float] | None = None,
        background_share: float = 0.0,
    ) -> None:
        """Make a sampler.

        Args:
            store: what to draw from.
            config: of the model, for its input.
            settings: of augmentation.
            balance: as `Recipe.source_balance`.
            seed: of all its randomness.
            source_weights, background_share: as in `Recipe`.

        Raises:
            ArgumentError: a weight is for a source of which the store has nothing, or all weights are 0.
        """
        self.store, self.settings, self.divisor = store, settings, config.geometry.size_divisor
        self.background_share = background_share
        self.generator = np.random.default_rng(seed)
        device = store.images.device
        self.mean = torch.tensor(config.mean, device=device)
        self.std = torch.tensor(config.std, device=device)
        self.reverse = config.channel_order == "bgr"
        counts = {source: store.sources.count(source) for source in store.sources}
        factors = dict.fromkeys(counts, 1.0) | dict(source_weights or {})
        if set(factors) != set(counts):
            raise ArgumentError(f"no pictures of {sorted(set(factors) - set(counts))}, found {sorted(counts)}")
        weights = np.array([factors[source] * float(counts[source]) ** -balance for source in store.sources])
        if not weights.any():
            raise ArgumentError("all sources have weight 0")
        self.probabilities = weights / weights.sum()

    def draw(self, images: int, objects: int, size: int) -> Batch:
        """Draw a batch.

        Args:
            images: how many pictures.
            objects: targets of each.
            size: side of the pictures in pixels.
        """
        store, generator, device = self.store, self.generator, self.store.images.device
        chosen = generator.choice(len(store.sources), images, p=self.probabilities)
        maps, views, lookups = [], [], []
        for index in chosen:
            own = int(generator.choice(store.maps_of[index]))
            table = store.tables[own]
            kind = kind_of(store.sources[index])
            # The first is what may be pasted onto another picture, which no background is.
            shares = [0.0, *[self.background_share] * (_CANDIDATES - 2)]
            candidates = [sample_target(table, generator, kind, share) for share in shares]
            box = target_box(table, candidates[0]) if candidates[0].size else None
            height, width = (int(n) for n in store.sizes[index])
            maps.append(own)
            views.append(sample_view(height, width, self.divisor, box, self.settings, generator))
            lookups.append(np.stack([as_lookup(np.array([PASTED])), *map(as_lookup, candidates)]))
        image_index = torch.from_numpy(chosen).to(device)
        map_index = torch.tensor(maps, device=device)
        inputs, regions, inside = warp(
            store.images[image_index],
            store.maps[map_index],
            torch.from_numpy(store.sizes[chosen]).to(device),
            _tensor(np.stack(views), device),
            size,
            self.mean,
            self.std,
        )
        inputs = change_colour(inputs, _tensor(sample_colour(images, self.settings, generator), device), inside)
        lookup = torch.from_numpy(np.stack(lookups)).to(device)
        inputs, regions = self._paste(inputs, regions, inside, lookup[:, 1])
        targets, valid = self._choose(regions, lookup, objects)
        if self.reverse:
            inputs = inputs.flip(1)
        return Batch(inputs, targets, regions, valid)

    def _paste(self, inputs: Tensor, regions: Tensor, inside: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Paste between neighbours in the batch: an object of the next picture, or a generated shape of it."""
        count, size = inputs.shape[0], inputs.shape[-1]
        kind = self.generator.random(count)
        shapes = sample_shapes(count, self.generator)
        if count < 2:
            return inputs, regions
        settings, device = self.settings, inputs.device
        paste = torch.from_numpy(kind < settings.paste).to(device)
        blob = torch.from_numpy((kind >= settings.paste) & (kind < settings.paste + settings.blob)).to(device)
        other = torch.roll(torch.arange(count, device=device), -1)
        batch = other[:, None, None]
        theirs = first[batch, regions[other].clamp(min=0)] & inside[other]
        mask = theirs & paste[:, None, None]
        mask = mask | (generated_shapes(_tensor(shapes, device), size) & inside[other] & blob[:, None, None])
        mask = mask & inside
        return torch.where(mask[:, None], inputs[other], inputs), torch.where(mask, PASTED, regions)

    def _choose(self, regions: Tensor, lookup: Tensor, objects: int) -> tuple[Tensor, Tensor]:
        """Choose the first `objects` candidates of each image that the view shows well, repeated if there are fewer."""
        images, size = regions.shape[0], regions.shape[-1]
        flat = torch.where(regions < 0, VOID_REGION, regions).flatten(1)  # outside the image nothing is an object
        offset = torch.arange(images, device=flat.device)[:, None] * MAX_REGIONS
        histogram = torch.zeros(images * MAX_REGIONS, device=flat.device)
        index = (flat + offset).flatten()
        histogram.scatter_add_(0, index, torch.ones_like(index, dtype=histogram.dtype))
        areas = (lookup.float() @ histogram.view(images, MAX_REGIONS, 1))[..., 0] / (size * size)
        usable = (areas >= _SMALLEST) & (areas <= _LARGEST)
        # A pasted object goes first half of the time, so that pictures under it are still asked for too.
        order = torch.arange(lookup.shape[1], device=flat.device).expand(images, -1).float()
        late = torch.from_numpy(self.generator.random(images) < 0.5).to(flat.device)
        order = order + torch.where(late, float(lookup.shape[1]), 0.0)[:, None] * (order == 0)
        ranked = torch.where(usable, order, 1000.0).argsort(dim=1)
        pick = torch.arange(objects, device=flat.device).expand(images, -1)
        pick = pick % usable.sum(1, keepdim=True).clamp(min=1)
        picked = ranked.gather(1, pick)
        batch = torch.arange(images, device=flat.device)[:, None]
        tables = lookup[batch, picked]  # [I, K, MAX_REGIONS]
        masks = tables.gather(2, flat[:, None].expand(-1, objects, -1))
        valid = usable.any(1)[:, None].expand(-1, objects)
        return masks.view(images * objects, size, size), valid.flatten()


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(array.astype(np.float32)).to(device)
