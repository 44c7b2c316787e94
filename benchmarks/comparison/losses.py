"""Where the project loses, found in the measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .contestants import CONTESTANTS, REFERENCE
from .measurements import Measurement, Ratio, ratio


@dataclass(frozen=True)
class Loss:
    """A contestant that needs less than the reference; `ratio` is the reference over it."""

    measurement: Measurement
    name: str
    ratio: Ratio


def losses(measurements: Sequence[Measurement]) -> list[Loss]:
    """Find every quantity in which a variant or a peer needs less than the reference, the largest losses first."""
    found = []
    for measurement in measurements:
        for name in measurement.runs:
            if CONTESTANTS[name].role in ("variant", "peer") and REFERENCE in measurement.runs:
                against = ratio(measurement, REFERENCE, name)
                if against.value > 1:
                    found.append(Loss(measurement, name, against))
    return sorted(found, key=lambda loss: -loss.ratio.value)
