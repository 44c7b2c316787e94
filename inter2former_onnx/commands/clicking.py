"""Opening a bundle, encoding one image and clicking through it, timed: what `segment` and `demo` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError
from ..runtime import Segmenter
from ..runtime.click import Click


@dataclass(frozen=True)
class Step:
    """The answer to one click.

    Attributes:
        click: as it was made.
        mask: bool [height, width].
        seconds: what it took.
    """

    click: Click
    mask: NDArray[np.bool_]
    seconds: float


@dataclass(frozen=True)
class Run:
    """One image, clicked through.

    Attributes:
        encode_seconds: what its encoding took.
        steps: one for every click, in order.
    """

    encode_seconds: float
    steps: list[Step]

    def times(self) -> str:
        """Write the times as one line of text."""
        clicks = ", ".join(f"{1000 * step.seconds:.0f}" for step in self.steps)
        return f"encoded in {self.encode_seconds:.2f} s; clicks answered in {clicks} ms"


def open_segmenter(bundle: Path | None, threads: int | None) -> Segmenter:
    """Open the Segmenter for `--bundle` and `--threads`, where None stands for an option that was not given.

    Raises:
        BundleError: it cannot be used.
    """
    try:
        return Segmenter(bundle, threads=threads)
    except BundleError as error:
        if bundle is None:
            raise BundleError(f"{error} (on the command line: --bundle DIR)") from None
        raise


def click_through(segmenter: Segmenter, image: NDArray[np.uint8], clicks: Sequence[Click]) -> Run:
    """Encode an image and make clicks one after another in one session.

    Args:
        segmenter: what encodes and clicks.
        image: uint8 [height, width, 3].
        clicks: in their order.

    Returns:
        The masks and the times.
    """
    start = perf_counter()
    session = segmenter.encode(image).session()
    encoded = perf_counter()
    steps = []
    for click in clicks:
        start_click = perf_counter()
        mask = session.click(click.x, click.y, positive=click.positive)
        steps.append(Step(click, mask, perf_counter() - start_click))
    return Run(encoded - start, steps)
