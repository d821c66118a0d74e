"""The filter matrix against the naive sum, on ragged streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sweetspot.processor.partition import PartitionedMatrix
from tests.processor.streams import ragged

Real = NDArray[Any]


def naive(h: Real, x: Real) -> Real:
    """``y[o][n] = sum_i sum_k h[i, o, k] x[i, n - k]``, term by term."""
    y = np.zeros((h.shape[1], x.shape[1]))
    for i in range(h.shape[0]):
        for o in range(h.shape[1]):
            for k in range(min(h.shape[2], x.shape[1])):
                y[o, k:] += h[i, o, k] * x[i, : x.shape[1] - k]
    return y


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    inputs=st.integers(1, 3),
    outputs=st.integers(1, 5),
    taps=st.integers(1, 150),
    block=st.sampled_from([1, 2, 16, 31, 64]),
    cuts=st.lists(st.integers(0, 90), min_size=1, max_size=5).filter(any),
)
def test_equals_the_naive_sum_over_ragged_pieces(
    seed: int, inputs: int, outputs: int, taps: int, block: int, cuts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    h, x = rng.standard_normal((inputs, outputs, taps)), rng.standard_normal((inputs, 333))
    wanted = naive(h, x)
    assert np.max(np.abs(ragged(PartitionedMatrix(h, block), x, cuts) - wanted)) < 1e-11 * (
        1.0 + np.max(np.abs(wanted))
    )


def test_one_large_frame_equals_the_naive_sum() -> None:
    rng = np.random.default_rng(1)
    h, x = rng.standard_normal((3, 5, 100)), rng.standard_normal((3, 2000))
    matrix = PartitionedMatrix(h, 512 - 99, frame=512)
    assert np.max(np.abs(ragged(matrix, x, [700, 1, 0, 413, 20]) - naive(h, x))) < 1e-10


def test_single_precision_stays_within_120_db() -> None:
    rng = np.random.default_rng(2)
    h, x = rng.standard_normal((3, 5, 700)), rng.standard_normal((3, 3000)).astype(np.float32)
    y, wanted = ragged(PartitionedMatrix(h, 64, dtype=np.float32), x, [64, 10, 200]), naive(h, x.astype(float))
    assert y.dtype == np.float32
    assert np.sqrt(np.mean((y - wanted) ** 2) / np.mean(wanted**2)) < 1e-6


def test_an_impulse_on_one_input_gives_that_inputs_filters_at_once() -> None:
    h = np.arange(1.0, 3 * 5 * 7 + 1).reshape(3, 5, 7)
    x = np.zeros((3, 12))
    x[1, 2] = 1.0
    y = PartitionedMatrix(h, 4).process(x)
    assert np.allclose(y[:, 2:9], h[1], atol=1e-12)
    assert np.allclose(y[:, :2], 0.0, atol=1e-12)


def test_reset_forgets_the_past() -> None:
    rng = np.random.default_rng(3)
    matrix, x = PartitionedMatrix(rng.standard_normal((2, 3, 50)), 16), rng.standard_normal((2, 100))
    first = ragged(matrix, x, [7])
    matrix.reset()
    assert np.array_equal(ragged(matrix, x, [7]), first)


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="at least 1 sample"):
        PartitionedMatrix(np.ones((2, 3, 4)), 0)
    with pytest.raises(ValueError, match=r"shape \(3, 9\)"):
        PartitionedMatrix(np.ones((2, 3, 4)), 8).process(np.zeros((3, 9)))
    with pytest.raises(ValueError, match="finite"):
        PartitionedMatrix(np.full((2, 3, 4), np.nan), 8)
    with pytest.raises(ValueError, match="frame is 10"):
        PartitionedMatrix(np.ones((2, 3, 40)), 8, frame=10)
