"""Captures of converters up to 24 bits are kept as integers: smaller, bit by bit the same, refused where wrong."""

from __future__ import annotations

import numpy as np
import pytest

from sweetspot.measure.session.samples import ALIGNED, COUNTS, FULL_SCALE, kept, restored


@pytest.mark.parametrize(("bits", "largest"), [(16, 1.0), (24, 1.0), (16, -1.0), (24, 1.0 - 2.0**-23)])
def test_whole_counts_are_kept_as_integers_without_loss(bits: int, largest: float) -> None:
    full = 2 ** (bits - 1)
    x = (np.random.default_rng(3).integers(-full, full, (3, 997)) / full).astype(np.float32)
    x[0, :2] = -1.0, largest
    stored, attrs = kept(x)
    assert stored.dtype == np.int32
    assert attrs == {FULL_SCALE: COUNTS if largest == 1.0 else ALIGNED}
    np.testing.assert_array_equal(stored / attrs[FULL_SCALE], x)
    again = restored(stored, attrs[FULL_SCALE])
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, x)


@pytest.mark.parametrize("x", [0.1, 1.5, 2.0**-24, np.nan, np.inf])
def test_other_samples_stay_as_they_are(x: float) -> None:
    samples = np.array([[0.5, x, -0.25]], dtype=np.float32)
    stored, attrs = kept(samples)
    assert not attrs
    assert stored is samples
    np.testing.assert_array_equal(restored(stored, None), samples)


@pytest.mark.parametrize(
    ("values", "full_scale"),
    [
        (np.zeros((1, 3), np.int32), None),
        (np.zeros((1, 3), np.int32), 0),
        (np.zeros((1, 3), np.float32), COUNTS),
        (np.full((1, 3), COUNTS + 1, np.int32), COUNTS),
        (np.full((1, 3), 257, np.int32), ALIGNED),
        (np.zeros((1, 3), np.int16), COUNTS),
    ],
)
def test_integers_that_are_not_ours_are_refused(values: np.ndarray, full_scale: int | None) -> None:
    with pytest.raises(ValueError, match=r"is needed|beyond|finer"):
        restored(values, full_scale)
