"""How outputs of an op are compared: closely, but for what a rounding may decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ONE_STEP = 0.02  # of the largest output of an 8-bit op: far more than one step, far less than a wrong product


def assert_close(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float, what: str) -> None:
    """Check for the same shapes and the same values.

    Integers agree exactly, floats to `tolerance` times the largest expected value or 1.
    """
    assert len(actual) == len(expected), what
    for number, (got, want) in enumerate(zip(actual, expected, strict=True)):
        assert got.shape == want.shape, f"{what}, output {number}: shape {got.shape}, expected {want.shape}"
        if np.issubdtype(want.dtype, np.integer):
            np.testing.assert_array_equal(got, want, err_msg=f"{what}, output {number}")
            continue
        assert got.dtype == np.float32, f"{what}, output {number}: {got.dtype}, expected float32"
        allowed = tolerance * max(1.0, float(np.abs(want).max(initial=0)))
        np.testing.assert_allclose(got, want, rtol=0, atol=allowed, err_msg=f"{what}, output {number}")


def assert_quantised_agree(found: Sequence[np.ndarray], expected: Sequence[np.ndarray], what: str) -> None:
    """Check that rows of an 8-bit op agree to float32 precision, but for a few.

    A value that lies between two steps may be rounded either way by forms that differ in the last bit: such a row is
    off by one step's worth.
    """
    assert_close(found, expected, ONE_STEP, what)
    error = np.abs(found[0] - expected[0]).max(axis=1, initial=0)
    precise = error <= 2e-5 * max(1.0, float(np.abs(expected[0]).max(initial=0)))
    assert precise.mean() >= 0.7 or len(precise) <= 5, (
        f"{what}: {np.count_nonzero(~precise)} of {len(precise)} rows off"
    )


def assert_edges_agree(found: np.ndarray, expected: np.ndarray, plain: bool, what: str) -> None:
    """Check that edge maps agree, but for a few pixels.

    Those are the pixels whose orientation or neighbourhood lies on a border between two decisions.
    On a plain image rounding decides on the orientation where it is flat, and on which of the equal neighbours along a
    straight edge are thinned away: only the magnitude is certain.
    """
    assert found.shape == expected.shape and np.isfinite(found).all()
    channels = [0, 4] if plain else [0, 1, 2, 3, 4]
    off = np.abs(found - expected)[:, :, channels].max(-1) > 1e-4 * np.abs(expected).max(initial=1e-3)
    assert np.count_nonzero(off) <= 1 + off.size // 100, f"{what}: {np.count_nonzero(off)} of {off.size} pixels"
