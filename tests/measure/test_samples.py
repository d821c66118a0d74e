"""Captures of converters up to 24 bits are kept as integers: smaller, bit by bit the same, refused where wrong."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from sweetspot.measure.session.samples import COUNTS, FULL_SCALE, OFFSET, SILENCE, kept, restored


@pytest.mark.parametrize(("bits", "largest"), [(16, 1.0), (24, 1.0), (24, -1.0)])
def test_whole_counts_are_kept_as_integers_without_loss(bits: int, largest: float) -> None:
    full = 2 ** (bits - 1)
    x = (np.random.default_rng(3).integers(-full, full, (3, 997)) / full).astype(np.float32)
    x[0, :2] = -1.0, largest
    stored, attrs = kept(x)
    assert stored.dtype == np.int32
    assert attrs == {FULL_SCALE: COUNTS, OFFSET: SILENCE}
    assert (stored > 0).all()
    np.testing.assert_array_equal((stored - attrs[OFFSET]) / attrs[FULL_SCALE], x)
    again = restored(stored, attrs[FULL_SCALE], attrs[OFFSET])
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
        (np.zeros((1, 3), np.int16), COUNTS),
    ],
)
def test_integers_that_are_not_ours_are_refused(values: np.ndarray, full_scale: int | None) -> None:
    with pytest.raises(ValueError, match=r"is needed|beyond"):
        restored(values, full_scale)


def test_counts_of_older_sessions_are_read_as_before() -> None:
    values = np.array([[-COUNTS, 0, COUNTS // 4, COUNTS]], np.int32)
    np.testing.assert_array_equal(restored(values, COUNTS), np.array([[-1.0, 0.0, 0.25, 1.0]], np.float32))
    np.testing.assert_array_equal(restored(values + SILENCE, COUNTS, SILENCE), restored(values, COUNTS))
    with pytest.raises(ValueError, match="offset = 7; int32"):
        restored(values, COUNTS, 7)
    with pytest.raises(ValueError, match="beyond"):
        restored(values, COUNTS, SILENCE)


def test_quiet_captures_compress_to_little_more_than_their_own_bits() -> None:
    """Noise of 5 bits: 7 bits of entropy of the 32 that are kept, in the filters that every HDF5 library has."""
    noise = np.round(np.random.default_rng(8).normal(0.0, 32.0, (1, 1 << 16)))
    stored, _ = kept((noise / COUNTS).astype(np.float32))
    planes = stored.view(np.uint8).reshape(-1, 4).T.tobytes()
    assert len(zlib.compress(planes, 4)) < 7.4 / 32.0 * stored.nbytes
