"""The guard: nothing above the ceiling, transparent under it, a stop for faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sweetspot.processor.guard import Guard

Real = NDArray[Any]
FS = 47872


def run(guard: Guard, y: Real, cuts: tuple[int, ...] = (10**9,)) -> Real:
    pieces, done, turn = [], 0, 0
    while done < y.shape[1]:
        n = cuts[turn % len(cuts)]
        pieces.append(guard.process(y[:, done : done + n]))
        done, turn = done + n, turn + 1
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_is_a_pure_delay_bit_for_bit_under_the_ceiling(dtype: Any) -> None:
    y = np.random.default_rng(0).uniform(-0.5, 0.5, (5, 5000)).astype(dtype)
    y[3, 77] = dtype(0.5)
    guard = Guard(5, 0.5, FS)
    out = run(guard, y, (100, 1, 0, 333))
    assert out.dtype == dtype
    assert np.array_equal(out[:, guard.latency :], y[:, : -guard.latency])
    assert guard.least_gain == 1.0


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    level=st.floats(0.1, 30.0),
    ceiling=st.floats(0.01, 1.0),
    single=st.booleans(),
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=4),
)
def test_nothing_passes_the_ceiling(seed: int, level: float, ceiling: float, single: bool, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((3, 1500)) * level * (rng.random((3, 1500)) < 0.05)
    out = run(Guard(3, ceiling, FS), y.astype(np.float32) if single else y, tuple(cuts))
    assert float(np.max(np.abs(out))) <= ceiling


def test_all_drivers_share_one_gain() -> None:
    t = np.arange(4000) / FS
    y = np.stack([1.4 * np.sin(2 * np.pi * 300 * t), 0.2 * np.cos(2 * np.pi * 170 * t), np.full(t.size, 0.1)])
    guard = Guard(3, 0.5, FS)
    out, before = run(guard, y)[:, guard.latency :], y[:, : -guard.latency]
    gain = out[2] / before[2]
    assert gain.min() < 0.4
    assert np.max(np.abs(out - gain * before)) < 1e-12
    assert np.max(np.abs(np.diff(gain))) < 0.05


def test_ragged_pieces_equal_one() -> None:
    y = np.random.default_rng(4).standard_normal((3, 6000)) * 0.4
    assert np.max(np.abs(run(Guard(3, 0.7, FS), y, (1, 100, 17, 999)) - run(Guard(3, 0.7, FS), y))) < 1e-9


def test_recovers_to_exact_transparency() -> None:
    y = np.full((2, 3 * FS), 0.25) * np.where(np.arange(3 * FS) // 50 % 2, 1.0, -1.0)
    y[0, 100] = 3.0
    guard = Guard(2, 0.5, FS)
    out = run(guard, y, (4096,))
    assert np.array_equal(out[:, -FS:], y[:, -FS - guard.latency : -guard.latency])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_stops_the_output(bad: float) -> None:
    guard, y = Guard(2, 0.5, FS), np.full((2, 256), 0.1)
    guard.process(y)
    y[1, 3] = bad
    assert not guard.process(y).any()
    assert "not finite" in guard.stopped
    assert not guard.process(np.full((2, 256), 0.1)).any()
    guard.reset()
    assert guard.process(np.full((2, 256), 0.1)).any()


def test_a_constant_offset_stops_the_output_and_bass_does_not() -> None:
    bass = 0.5 * np.sin(2 * np.pi * 10.0 * np.arange(2 * FS) / FS)
    guard = Guard(2, 0.5, FS)
    run(guard, np.stack([bass, bass]), (256,))
    assert guard.stopped == ""
    out = run(guard, np.stack([bass, np.full(bass.size, 0.45)]), (256,))
    assert "driver 2" in guard.stopped
    assert not out[:, FS:].any()


def test_a_ceiling_above_full_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="full scale"):
        Guard(2, 1.2, FS)
