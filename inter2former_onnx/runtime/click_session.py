"""A person's clicks on one image: where labels, decoder and history come together."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import labels as label_rules
from .box import Box, whole
from .click import Click, make_click
from .islands import drop_islands
from .packed_labels import PackedLabels

if TYPE_CHECKING:
    from .encoded_image import EncodedImage
    from .segmenter import Decoded


@dataclass(frozen=True)
class _State:
    """Everything that a click changes. Never modified: a click makes a new one, so failing leaves the old one."""

    labels: NDArray[np.uint8]  # [height, width] in model pixels
    interesting: Box  # holds every label other than 1
    unknown: bool  # whether every label is "unknown"
    clicks: tuple[Click, ...] = ()
    before: tuple[PackedLabels, ...] = ()  # for every click, the labels before it
    decoded: Decoded | None = None  # the last prediction
    positive: NDArray[np.bool_] | None = None  # its logits > 0


class _Preview(NamedTuple):
    """A click that was tried: the state it started from, and the one it led to."""

    start: _State
    ahead: _State


def _begin(image: EncodedImage, labels: NDArray[np.uint8] | None) -> _State:
    if labels is None:
        extent = image.geometry.extent
        return _State(label_rules.initial(*extent), whole(*extent), unknown=True)
    own = image.checked_labels(labels).copy()
    return _State(own, label_rules.region_of_interest(own), unknown=bool((own == label_rules.UNKNOWN).all()))


class ClickSession:
    """Clicks, their undo, and the mask they lead to. Made by `EncodedImage.session`.

    A click that raises changes nothing. One session may be used from several threads; its calls then take turns.

    Attributes:
        image: the EncodedImage clicked on.
        enforce_clicks: whether pixels within a click's disc (click_radius model pixels; see the manifest) always get
            in masks what the click said, whatever the model predicts. False gives the model's mask as it is.
    """

    def __init__(
        self,
        image: EncodedImage,
        enforce_clicks: bool = True,
        labels: NDArray[np.uint8] | None = None,
        drop_islands: bool = True,
    ) -> None:
        """Begin without clicks.

        Args:
            image: what is clicked on.
            enforce_clicks, drop_islands: see the class.
            labels: the label map to begin with and to come back to, such as another session's `labels`: uint8
                [height, width] in model pixels (`image.geometry.extent`); by default everything is unknown.

        Raises:
            ArgumentError: labels of another type, shape or range.
        """
        self.image = image
        self.enforce_clicks = enforce_clicks
        self.drop_islands = drop_islands
        self._lock = threading.Lock()
        self._start = _begin(image, labels)
        self._state = self._start
        self._previewed: _Preview | None = None

    def click(self, x: float, y: float, positive: bool = True) -> NDArray[np.bool_]:
        """Say that the pixel containing the point (x, y) is part of the object (or, `positive=False`, is not).

        Of two clicks on one pixel the later holds.

        Args:
            x, y: pixels of the original image from its top left corner; fractions are allowed.

        Returns:
            The new mask, bool [height, width], the caller's own.

        Raises:
            ClickError: the point is not in the image or not a number; see make_click.
        """
        click = make_click(x, y, positive, self.image.width, self.image.height)
        with self._lock:
            state = self._foreseen(self._state, click) or self._clicked(self._state, click)
            mask = self._mask(state)  # before the state is replaced: this, too, could fail
            self._advance(state)
        return mask

    def preview(self, x: float, y: float, positive: bool = True) -> NDArray[np.bool_]:
        """The mask that `click` with the same arguments would give, without clicking.

        It holds no lock while it computes, so a click made meanwhile by another thread does not wait for it. A click on
        the pixel that was previewed last is answered from what the preview computed.

        Raises:
            ClickError: as `click`.
        """
        click = make_click(x, y, positive, self.image.width, self.image.height)
        state = self._state  # states are never modified, so this one stays whole whatever other threads do
        ahead = self._foreseen(state, click) or self._clicked(state, click)
        mask = self._mask(ahead)
        with self._lock:
            if self._state is state:
                self._previewed = _Preview(state, ahead)
        return mask

    def undo(self) -> NDArray[np.bool_]:
        """Take the last click back; without one, change nothing. Returns the mask as `mask` does."""
        with self._lock:
            state = self._state
            if len(state.clicks) > 1:
                # Back to before the last click but one, and make that one again: its prediction was not kept.
                earlier = replace(
                    state,
                    labels=state.before[-2].unpack(),
                    interesting=state.before[-2].box,
                    unknown=self._start.unknown and len(state.clicks) == 2,
                    clicks=state.clicks[:-2],
                    before=state.before[:-2],
                )
                state = self._clicked(earlier, state.clicks[-2])
            elif state.clicks:
                state = self._start
            mask = self._mask(state)
            self._advance(state)
        return mask

    def reset(self) -> None:
        """Forget all clicks."""
        with self._lock:
            self._advance(self._start)

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks so far, oldest first."""
        return self._state.clicks

    @property
    def labels(self) -> NDArray[np.uint8]:
        """A copy of the label map: uint8 [height, width] in model pixels; see labels.py for its states."""
        return self._state.labels.copy()

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The current mask, bool [height, width]; all False before the first click. Computed anew at every access."""
        return self._mask(self._state)

    @property
    def logits(self) -> NDArray[np.float32]:
        """The model's logits in the original image, float32 [height, width]; computed anew at every access.

        Positive means object; where an island was dropped, the sign is turned. Where the model did not look, and before
        the first click: outside_logit (-100).
        """
        decoded = self._state.decoded
        outside = self.image.segmenter.manifest.outside_logit
        if decoded is None:
            return np.full((self.image.height, self.image.width), outside, dtype=np.float32)
        return self.image.geometry.logits(decoded.logits, decoded.box, outside)

    def __repr__(self) -> str:
        return f"ClickSession({len(self.clicks)} clicks on {self.image!r})"

    def _advance(self, state: _State) -> None:
        self._state = state
        self._previewed = None

    def _foreseen(self, state: _State, click: Click) -> _State | None:
        """The state after one more click, where the last preview has computed just that."""
        previewed = self._previewed
        if previewed is None or previewed.start is not state or previewed.ahead.clicks[-1] != click:
            return None
        return previewed.ahead

    def _clicked(self, state: _State, click: Click) -> _State:
        """The state after one more click."""
        segmenter = self.image.segmenter
        labels = state.labels.copy()
        row, column = self.image.geometry.model_pixel(click.y, click.x)
        disc = label_rules.draw_click(labels, row, column, click.positive, segmenter.manifest.click_radius)
        region = label_rules.region_of_interest(labels, state.interesting.hull(disc))
        decoded = segmenter.decode_region(self.image, labels, region, touched=disc if state.unknown else None)
        positive = decoded.logits > 0
        if self.drop_islands:
            clicked = labels[decoded.box.slices] == label_rules.DEFINITE_FOREGROUND
            logits, positive = drop_islands(decoded.logits, positive, clicked)
            decoded = decoded._replace(logits=logits)
        interesting = label_rules.apply_prediction(labels, region, positive, decoded.box)
        before = PackedLabels.pack(state.labels, state.interesting)
        return _State(labels, interesting, False, (*state.clicks, click), (*state.before, before), decoded, positive)

    def _mask(self, state: _State) -> NDArray[np.bool_]:
        if state.decoded is None or state.positive is None:
            return np.zeros((self.image.height, self.image.width), dtype=np.bool_)
        outside = self.image.segmenter.manifest.outside_logit
        mask = self.image.geometry.mask(state.decoded.logits, state.positive, state.decoded.box, outside)
        if self.enforce_clicks:
            self._enforce(mask, state)
        return mask

    def _enforce(self, mask: NDArray[np.bool_], state: _State) -> None:
        """Give the pixels close to clicks what their labels say; in place."""
        geometry = self.image.geometry
        radius = self.image.segmenter.manifest.click_radius // 2
        # Definite labels exist in the discs of clicks only. The label map knows which click is the later one.
        for row, column in {geometry.model_pixel(click.y, click.x) for click in state.clicks}:
            box = geometry.original_box(label_rules.disc_box(row, column, radius, *state.labels.shape))
            rows, columns = (
                geometry.model_rows[box.top : box.bottom, None],
                geometry.model_columns[box.left : box.right],
            )
            close = (rows - row) ** 2 + (columns - column) ** 2 <= radius * radius
            labels = state.labels[rows, columns]
            pixels = mask[box.slices]
            pixels |= close & (labels == label_rules.DEFINITE_FOREGROUND)
            pixels &= ~close | (labels != label_rules.DEFINITE_BACKGROUND)
