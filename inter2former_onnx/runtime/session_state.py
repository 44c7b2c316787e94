"""What a session of clicks knows: labels, clicks, the way back, the last prediction. No graph is run here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import labels as label_rules
from .box import Box, whole
from .click import Click
from .decoding import Decoded
from .geometry import Geometry
from .islands import drop_islands
from .labels import Labels
from .packed_labels import PackedLabels


class DrawnClick(NamedTuple):
    """A click drawn into a label map: what the decoder is to be asked.

    `region` is the region of interest of `labels`; `touched` is the box of the click's disc where all around it is
    unknown, else None.
    """

    click: Click
    labels: Labels
    region: Box
    touched: Box | None


@dataclass(frozen=True)
class SessionState:
    """Everything that a click changes. Never modified: a click makes a new one, so failing leaves the old one."""

    labels: Labels  # [height, width] in model pixels
    interesting: Box  # holds every label other than 1
    unknown: bool  # whether every label is "unknown"
    begun: bool = False  # whether the map that the session began with holds foreground
    clicks: tuple[Click, ...] = ()
    before: tuple[PackedLabels, ...] = ()  # for every click, the labels before it
    decoded: Decoded | None = None  # the last prediction
    positive: NDArray[np.bool_] | None = None  # its logits > 0

    @classmethod
    def unknown_map(cls, extent: tuple[int, int]) -> SessionState:
        """Begin with everything unknown in a label map of `extent` (height, width)."""
        return cls(label_rules.initial(*extent), whole(*extent), unknown=True)

    @classmethod
    def given_map(cls, labels: Labels) -> SessionState:
        """Begin with a label map, which must not be changed from now on."""
        unknown = bool((labels == label_rules.UNKNOWN).all())
        begun = bool((labels >= label_rules.POSSIBLE_FOREGROUND).any())
        return cls(labels, label_rules.region_of_interest(labels), unknown, begun)

    def draw(self, click: Click, geometry: Geometry, radius: int) -> DrawnClick:
        """Draw one more click into a copy of the labels.

        Args:
            click: in pixels of the image.
            geometry: the image's.
            radius: of the click's disc in model pixels.
        """
        labels = self.labels.copy()
        row, column = geometry.model_pixel(click.y, click.x)
        disc = label_rules.draw_click(labels, row, column, click.positive, radius)
        region = label_rules.region_of_interest(labels, self.interesting.hull(disc))
        return DrawnClick(click, labels, region, touched=disc if self.unknown else None)

    def clicked(self, drawn: DrawnClick, decoded: Decoded, without_islands: bool) -> SessionState:
        """Make the state after one more click.

        Until something positive is known, by a click or by the map that the session began with, predictions leave the
        labels alone: the model was told of no object yet, and "no object found" would stay in the map for good.

        Args:
            drawn: what `draw` made of the click; its labels become those of the new state.
            decoded: the prediction from them.
            without_islands: whether to drop the prediction's islands (see islands.py).
        """
        labels, interesting, clicks = drawn.labels, drawn.region, (*self.clicks, drawn.click)
        positive = decoded.logits > 0
        if without_islands:
            clicked = labels[decoded.box.slices] == label_rules.DEFINITE_FOREGROUND
            logits, positive = drop_islands(decoded.logits, positive, clicked)
            decoded = decoded._replace(logits=logits)
        if self.begun or any(click.positive for click in clicks):
            interesting = label_rules.apply_prediction(labels, drawn.region, positive, decoded.box)
        before = (*self.before, PackedLabels.pack(self.labels, self.interesting))
        return SessionState(labels, interesting, False, self.begun, clicks, before, decoded, positive)

    def before_last_two(self, start: SessionState) -> SessionState:
        """Go back to before the last click but one. The prediction there was not kept.

        Args:
            start: the state without clicks that this one came from.
        """
        labels = self.before[-2]
        unknown = start.unknown and len(self.clicks) == 2
        return replace(
            self,
            labels=labels.unpack(),
            interesting=labels.box,
            unknown=unknown,
            clicks=self.clicks[:-2],
            before=self.before[:-2],
        )

    def logits(self, geometry: Geometry, outside: float) -> NDArray[np.float32]:
        """Bring the last prediction's logits to the image: float32 [H, W], `outside` where there is none."""
        if self.decoded is None:
            return np.full((geometry.height, geometry.width), outside, dtype=np.float32)
        return geometry.logits(self.decoded.logits, self.decoded.box, outside)

    def mask(self, geometry: Geometry, outside: float) -> NDArray[np.bool_]:
        """Make the mask of the last prediction: bool [H, W], all False where there is none."""
        if self.decoded is None or self.positive is None:
            return np.zeros((geometry.height, geometry.width), dtype=np.bool_)
        return geometry.mask(self.decoded.logits, self.positive, self.decoded.box, outside)

    def enforce_clicks(self, mask: NDArray[np.bool_], geometry: Geometry, radius: int) -> None:
        """Give the pixels close to clicks what their labels say; in place.

        Args:
            mask: bool [H, W].
            geometry: the image's.
            radius: what is close, in model pixels.
        """
        # Definite labels exist in the discs of clicks only. The label map knows which click is the later one.
        for row, column in {geometry.model_pixel(click.y, click.x) for click in self.clicks}:
            box = geometry.original_box(label_rules.disc_box(row, column, radius, *self.labels.shape))
            rows, columns = (
                geometry.model_rows[box.top : box.bottom, None],
                geometry.model_columns[box.left : box.right],
            )
            close = (rows - row) ** 2 + (columns - column) ** 2 <= radius * radius
            labels = self.labels[rows, columns]
            pixels = mask[box.slices]
            pixels |= close & (labels == label_rules.DEFINITE_FOREGROUND)
            pixels &= ~close | (labels != label_rules.DEFINITE_BACKGROUND)
