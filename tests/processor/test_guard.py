"""The guard: nothing above the ceiling, transparent under it, a stop for faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sweetspot.processor.dynamics import guard as rules
from sweetspot.processor.dynamics.guard import LOOK_AHEAD_S, MOST_LOW, RELEASE_S, Guard
from tests.processor.streams import ragged

Real = NDArray[Any]
FS = 47872


def run(guard: Guard, y: Real, cuts: tuple[int, ...] = (10**9,)) -> Real:
    return ragged(guard, y, cuts)


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


def tones(f: Real, y: Real) -> Real:
    """Complex amplitudes ``(driver, tone)`` of the last half second."""
    part = y[:, -FS // 2 :] * np.hanning(FS // 2)
    return part @ np.exp(-2j * np.pi * np.outer(np.arange(FS // 2), f) / FS)


def test_what_is_between_the_drivers_stays_as_it_is_at_every_frequency() -> None:
    f, t = np.array([70.0, 430.0, 2900.0]), np.arange(2 * FS) / FS
    level = np.array([[0.5, 0.4, 0.3], [0.3, 0.1, -0.2], [0.02, 0.01, 0.3]])
    y = level @ np.sin(2 * np.pi * f[:, None] * t + np.array([[0.1], [0.7], [2.0]]))
    guard = Guard(3, 0.5, FS)
    out = tones(f, run(guard, y)) / tones(f, y)
    assert guard.least_gain < 0.7
    assert out == pytest.approx(np.broadcast_to(out[:1], out.shape), rel=2e-3)


def test_low_frequencies_are_taken_first() -> None:
    f, t = np.array([60.0, 6000.0]), np.arange(2 * FS) / FS
    y = np.array([[0.5, 0.2], [0.4, -0.1]]) @ np.sin(2 * np.pi * f[:, None] * t)
    taken = 20 * np.log10(np.abs(tones(f, run(Guard(2, 0.5, FS), y)) / tones(f, y)))
    whole = 0.5 / (0.7 - MOST_LOW * 0.5)  # the low tone gives its most; the rest is taken from both tones
    assert taken[:, 0] == pytest.approx(20 * np.log10((1 - MOST_LOW) * whole), abs=0.4)
    assert taken[:, 1] == pytest.approx(20 * np.log10(whole), abs=0.4)
    assert np.all(taken[:, 0] < taken[:, 1] - 2.5)


@pytest.mark.parametrize("pair", [(60.0, 7000.0), (997.0, 1391.0), (19000.0, 20000.0), (41.0, 57.0)])
def test_two_tones_do_not_modulate_each_other_while_six_decibels_are_taken(pair: tuple[float, float]) -> None:
    t = np.arange(6 * FS) / FS
    y = 0.5 * np.sin(2 * np.pi * np.array(pair)[:, None] * t).sum(axis=0)
    guard = Guard(1, 0.5, FS)
    out = run(guard, y[None], (256,))[0, -4 * FS :]
    assert guard.least_gain < 0.56
    spectrum = np.abs(np.fft.rfft(out * np.blackman(out.size)))
    at = np.arange(spectrum.size) * FS / out.size
    own = np.min(np.abs(at[:, None] - np.array(pair)), axis=1) < 3.0
    rest = 20 * np.log10(spectrum[~own].max() / spectrum.max())
    print(f"{pair}: {rest:.1f} dB")
    assert rest < -50.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_square_waves_sweeps_and_noise_stay_under_the_ceiling(dtype: Any) -> None:
    t, rng = np.arange(FS) / FS, np.random.default_rng(2)
    square = np.sign(np.sin(2 * np.pi * 50 * t))
    sweep = np.sin(2 * np.pi * 20 / 6.9 * (np.exp(6.9 * t) - 1))
    y = (np.stack([square + sweep, rng.standard_normal(FS), square * sweep]) * 2.0).astype(dtype)
    guard = Guard(3, 0.251, FS)
    out = run(guard, y, (64,))
    assert out.dtype == dtype
    assert float(np.max(np.abs(out))) <= 0.251
    assert float(np.max(np.abs(out))) > 0.24


def test_a_single_peak_by_hand() -> None:
    """Low band, then the whole band; the fast release behind it, and nothing left in the end."""
    y = np.full((1, 4 * FS), 0.1)
    y[0, 5000] = 1.0
    guard = Guard(1, 0.5, FS)
    out = run(guard, y, (300,))[0, guard.latency :]
    p = 0.1 + guard.rule.bands[0, 0] * 0.9
    low = min(0.5 / p, MOST_LOW * 2 * p)
    whole = 1.0 - 0.5 / (1.0 - low * p)
    assert out[5000] == pytest.approx(0.5, abs=1e-9)
    after = round(0.04 * FS)
    fast = np.exp(-(0.04 - 1.5 * LOOK_AHEAD_S) / RELEASE_S)
    steady = 0.1 * (1 - low * fast) * (1 - whole * fast)
    assert out[5000 + after] == pytest.approx(steady, rel=0.01)
    assert np.array_equal(out[-2000:], y[0, -2000:])


def test_ragged_pieces_equal_one() -> None:
    y = np.random.default_rng(4).standard_normal((3, 6000)) * 0.4
    assert np.max(np.abs(run(Guard(3, 0.7, FS), y, (1, 100, 17, 999)) - run(Guard(3, 0.7, FS), y))) < 1e-9


def test_recovers_to_exact_transparency() -> None:
    y = np.full((2, 5 * FS), 0.25) * np.where(np.arange(5 * FS) // 50 % 2, 1.0, -1.0)
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


def test_the_short_way_through_quiet_pieces_leaves_no_other_trace_than_the_long_one() -> None:
    """Bursts far above the ceiling, seconds of quiet, and pieces of any length: the same bits, the same memory."""
    rng = np.random.default_rng(12)
    y = 0.1 * rng.standard_normal((3, 6 * FS))
    for at in (5000, 5100, 200_000):
        y[:, at : at + 300] *= 30.0
    y[:, 100_000:195_000:5000] = 0.5 + 1e-8  # needs less than is forgotten at once, but in each window again
    short, plain = Guard(3, 0.5, FS), Guard(3, 0.5, FS)
    wanted, done, out = plain.process(y), 0, []
    while done < y.shape[1]:
        out.append(short.process(y[:, done : done + int(rng.integers(1, 700))]))
        done += out[-1].shape[1]
    assert np.array_equal(np.concatenate(out, axis=1), wanted)
    assert np.array_equal(remembered(short), remembered(plain))
    assert short.limited == plain.limited > 0


def remembered(guard: Guard) -> Real:
    """All that a guard of three drivers may look back at, by band."""
    look, reach = guard._look, guard._look + rules.PIECE
    begins = rules.HEADER + 3 + reach + rules.PIECE
    rows = guard._memory[:, begins + rules.WINDOWS :].reshape(2, 6, reach)[:, :, :look]
    rows[1, 3:] = 0.0  # the whole band has no other part
    return np.concatenate(
        [
            guard._memory[:, : rules.HEADER + 3 + look],
            guard._memory[:, begins:][:, : rules.WINDOWS],
            rows.reshape(2, -1),
        ],
        axis=1,
    )


@pytest.mark.parametrize("drivers", [1, 8, 9])
def test_quiet_pieces_not_shorter_than_the_delay_are_only_delayed(
    monkeypatch: pytest.MonkeyPatch, drivers: int
) -> None:
    y = 0.1 * np.random.default_rng(13).standard_normal((drivers, 600))
    short, plain = Guard(drivers, 0.5, FS), Guard(drivers, 0.5, FS)
    wanted = run(plain, y, (95,))
    monkeypatch.setattr(rules, "loop", lambda function: function)
    monkeypatch.setattr(rules, "limit", None)  # the long way
    assert np.array_equal(run(short, y, (96, 100, 404)), wanted)
    held = slice(rules.HEADER, rules.HEADER + drivers)
    assert np.array_equal(short._memory[0, held], plain._memory[0, held]), "the low-pass goes on"


@pytest.mark.parametrize("cuts", [(301, 1, 5), (301, 100)])
def test_what_the_low_band_let_pass_is_not_taken_for_quiet(cuts: tuple[int, ...]) -> None:
    """A peak against the low band's own sign needs no reduction of it; the whole band must still meet the ceiling."""
    look, y = Guard(1, 0.5, FS)._look, np.full((1, 400), 0.4)
    y[0, 300] = -0.9
    out = run(Guard(1, 0.5, FS), np.concatenate([y, np.zeros((1, 3 * look))], axis=1), cuts)
    assert np.min(out) >= -0.5
