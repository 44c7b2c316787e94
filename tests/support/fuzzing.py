"""How long the fuzz tests run: a bounded and repeatable number of examples, or more by an environment variable.

    INTER2FORMER_FUZZ=100 pytest tests -k "any_" --hypothesis-show-statistics

runs a hundred times as many examples, random ones, of every test that uses `fuzz`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("INTER2FORMER_FUZZ", "1"))


def fuzz(examples: int) -> settings:
    """Settings for `examples` examples: the same ones in every run, unless the variable asks for more."""
    return settings(
        max_examples=examples * FACTOR,
        derandomize=FACTOR == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
