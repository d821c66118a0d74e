"""The SPL limiter's rule against a numpy form of its formulas, on a slow clock, so that a second is short.

It runs as it is written too (``NUMBA_DISABLE_JIT=1``): mutation tests change it line by line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import hilbert, lfilter

from sweetspot.processor.dynamics import SplLimiter, covering, largest_level, spl_limiter, together

Real = NDArray[Any]
FS = 9000
PART = 6


def running(parts: Real, seconds: float) -> Real:
    """Running mean power of parts of so many samples, ``(row, part)``."""
    left = float(np.exp(-PART / (seconds * FS)))
    return lfilter([1.0 - left], [1.0, -left], parts)


def in_parts(x: Real) -> Real:
    """Power of each part of rows."""
    return np.mean(x[:, : x.shape[1] // PART * PART].reshape(len(x), -1, PART) ** 2, axis=2)


def level_of(x: Real) -> Real:
    """Sum of the amplitudes of all rows in each part: the slow one, or the fast one less 3 dB."""
    slow, fast = (np.sqrt(running(in_parts(x), t)).sum(axis=0) for t in (spl_limiter.SLOW_S, spl_limiter.FAST_S))
    return np.maximum(slow, fast / np.sqrt(2.0))


def reductions(level: Real, left: float) -> Real:
    """What is taken off each sample, from the level at the end of each part."""
    held = [0.0, 0.0]
    for one in level:
        now = max(1.0 - 1.0 / max(one, 1.0), left * held[-1])
        held.append(now if now > spl_limiter.NONE else 0.0)
    ends = np.array(held)
    steps = (np.arange(PART) + 1) / PART
    return (ends[:-1, None] + np.diff(ends)[:, None] * steps).ravel()


def heard(x: Real, detectors: Real) -> Real:
    return np.stack([lfilter(taps, 1.0, row) for taps, row in zip(detectors, x, strict=True)])


def sounds(seed: int = 1) -> Real:
    """Three programs: silence, noise that rises to three times the limit, a burst, a low floor."""
    rng, t = np.random.default_rng(seed), np.arange(700 * PART) / FS
    x = rng.standard_normal((3, t.size)) * np.interp(t, [0.0, 0.02, 0.25, 0.3, t[-1]], [0.0, 0.05, 1.0, 0.05, 0.02])
    x[1, 2400:2430] *= 40.0
    x[2] += 0.3 * np.sin(2.0 * np.pi * 700.0 * t)
    return x.astype(np.float32)


def some_detectors(taps: int = 23) -> Real:
    return np.random.default_rng(7).standard_normal((3, taps)) * np.exp(-np.arange(taps) / 5.0) * 0.4


@pytest.fixture(autouse=True)
def always_running(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectors that never rest, as their past is then that of the formula; not for what is about resting."""
    if "rest" not in request.node.name:
        monkeypatch.setattr(spl_limiter, "prepared", lambda detectors: _never_resting(detectors))


PREPARED = spl_limiter.prepared


def _never_resting(detectors: Real) -> tuple[Real, Real]:
    taps, most = PREPARED(detectors)
    return taps, np.full_like(most, 1e9)


@pytest.mark.parametrize(("gain", "release_s"), [(1.0, 0.1), (0.3, 0.005), (2.5, 0.1)])
def test_the_limiter_is_its_formula(gain: float, release_s: float) -> None:
    x, detectors, left = sounds(), some_detectors(), float(np.exp(-PART / (release_s * FS)))
    limiter = SplLimiter(detectors, FS)
    limiter.rule[3] = left
    cuts = np.cumsum(np.random.default_rng(5).integers(1, 60, 400))
    pieces = np.split(x, cuts[cuts < x.shape[1]], axis=1)
    out = np.concatenate([limiter.process(p, gain) for p in pieces], axis=1)
    less = reductions(gain * level_of(heard(x, detectors)), left)[: x.shape[1]]
    assert out == pytest.approx(x * (1.0 - less), rel=1e-4, abs=1e-6)
    assert limiter.limiter[0] == pytest.approx(1.0 - less.max(), rel=1e-4)
    assert limiter.limiter[1] == pytest.approx(np.count_nonzero(less), abs=2 * PART)
    assert (less > 0.3).any()
    assert (less[-1] == 0.0) == (release_s < 0.1)


@pytest.mark.parametrize("taps", [1, 4, 5, 90])
def test_the_largest_level_is_that_of_the_formula(taps: int) -> None:
    """Whatever the length, also where the past is longer than the parts that are kept behind each other."""
    x, detectors = sounds(2), some_detectors(taps)
    assert largest_level(detectors, x, FS) == pytest.approx(level_of(heard(x, detectors)).max(), rel=1e-4)
    assert largest_level(detectors, 1e-6 * x, FS) == pytest.approx(1e-6 * level_of(heard(x, detectors)).max(), rel=1e-4)


def test_detectors_rest_while_power_alone_says_that_nothing_can_pass() -> None:
    """The bound is the programs' power times each detector's largest magnitude: from 0.9 on they run, below 0.5 not."""
    limiter = SplLimiter(np.array([[1.0, 1.0], [0.5, 0.0], [0.25, 0.0]]), FS)
    one = np.ones((3, 900 * PART), dtype=np.float32)
    runs = []
    for level in (0.31, 0.33, 0.2, 0.17, 0.31, 0.33):
        out = limiter.process(level * one)
        assert np.array_equal(out, level * one)
        runs.append(int(limiter.memory.runs))
        assert limiter.room[1][2:].any() == bool(runs[-1]), "at rest the detectors' levels are forgotten"
    bound = [level * 2.75 for level in (0.31, 0.33, 0.2, 0.17)]
    assert [b > spl_limiter.NEAR for b in bound] == [False, True, False, False]
    assert [b > spl_limiter.FAR for b in bound] == [True, True, True, False]
    assert runs == [0, 1, 1, 0, 0, 1]
    limiter.reset()
    for gain, runs_then in ((0.98, 0), (1.02, 1)):
        fast = 1.0 - np.exp(-PART / (spl_limiter.FAST_S * FS))
        power = fast + (1.0 - fast) * fast  # two parts
        level = gain * spl_limiter.NEAR * np.sqrt(2.0) / (2.75 * np.sqrt(power))
        limiter.process(np.full((3, 2 * PART), level, dtype=np.float32))
        assert limiter.memory.runs == runs_then
        limiter.reset()
    limiter.process(0.1 * one, 3.2)
    assert limiter.memory.runs == 0
    limiter.process(0.1 * one, 3.4)
    assert limiter.memory.runs == 1, "what follows with a gain counts"


def test_after_a_rest_detectors_begin_with_the_sound_that_was_there_and_without_power() -> None:
    """Samples before the moment are in their past; levels of before are forgotten."""
    limiter = SplLimiter(np.array([[0.0, 0.0, 0.0, 1.0]] * 3), FS)
    x = np.zeros((3, 240 * PART), dtype=np.float32)
    x[0, : 20 * PART] = 0.4
    x[0, 20 * PART - 2] = 0.6
    x[0, 20 * PART :] = 0.95
    limiter.process(x[:, : 20 * PART])
    assert limiter.memory.runs == 0
    assert not limiter.room[1][2:].any()
    first = next(n for n in range(200) if _run_after(limiter, x[:, (20 + n) * PART : (21 + n) * PART]))
    at = (20 + first) * PART - 3
    assert limiter.room[1][2, 0] == pytest.approx(limiter.rule[1] * np.mean(x[0, at : at + PART] ** 2), rel=1e-5)
    assert limiter.room[1][3, 0] == pytest.approx(limiter.rule[2] * np.mean(x[0, at : at + PART] ** 2), rel=1e-5)


def _run_after(limiter: SplLimiter, piece: Real) -> bool:
    limiter.process(piece)
    return bool(limiter.memory.runs)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_powers_that_are_no_number_are_followed_as_the_largest() -> None:
    limiter, x = SplLimiter(np.ones((3, 4)), FS), np.zeros((3, 600 * PART), dtype=np.float32)
    x[0, 200:210] = 3e25
    x[1, 220:230] = np.nan
    out = limiter.process(x)
    assert limiter.limiter[0] == pytest.approx(0.0, abs=1e-9)
    assert np.isfinite(limiter.room[1]).all()
    assert np.isnan(out[1, 220:230]).all()
    assert (spl_limiter.capped(2.0), spl_limiter.capped(1e30), spl_limiter.capped(np.nan)) == (2.0, 1e24, 1e24)


def test_nothing_is_limited_without_levels_and_a_change_of_length_forgets() -> None:
    x = sounds()
    limiter = SplLimiter(np.zeros((3, 0)), FS)
    assert limiter.process(x) is x
    limiter.exchange(some_detectors(8))
    limiter.process(x[:, :2000])
    kept = limiter.room[0].copy()
    limiter.exchange(2.0 * some_detectors(8))
    assert np.array_equal(limiter.room[0], kept)
    assert kept.any()
    limiter.exchange(some_detectors(12))
    assert not limiter.room[0].any()
    assert limiter.limiter == (1.0, 0)
    assert limiter.detectors[0].dtype == limiter.room[0].dtype == np.float32


@pytest.mark.parametrize("fs", [9000, 48000, 192000])
def test_its_times_are_seconds_at_every_rate(fs: int) -> None:
    part, fast, slow, left = spl_limiter.rule_at(fs)
    assert part == round(fs / 1500)
    for share, seconds in ((1.0 - fast, 0.005), (1.0 - slow, 0.04), (left, 0.1)):
        assert share == pytest.approx(np.exp(-part / (seconds * fs)), rel=1e-12)
    assert spl_limiter.rule_at(100)[0] == 1


def test_detectors_are_turned_around_and_filled_up_to_whole_steps_at_rest() -> None:
    taps, most = PREPARED(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]] * 3))
    assert taps.tolist() == [[0.0, 0.0, 0.0, 5.0, 4.0, 3.0, 2.0, 1.0]] * 3
    assert most == pytest.approx([15.0] * 3, rel=1e-12)
    taps, most = PREPARED(np.array([[1.0, -1.0]] * 3), 9)
    assert taps.shape == (3, 9)
    assert most == pytest.approx([2.0] * 3, rel=1e-12)
    taps, most = PREPARED(np.zeros((3, 0)))
    assert taps.shape == (3, 0)
    assert most.tolist() == [0.0] * 3


def covered(wanted: Real, taps: int) -> Real:
    """One row of :func:`covering`, frequency by frequency, with the phase by Hilbert's transform of the level."""
    size = 2 * (wanted.size - 1)
    by = round(0.5 * size / taps)
    near = [np.clip(np.arange(k - by, k + by + 1), 0, wanted.size - 1) for k in range(wanted.size)]
    level = np.log([max(wanted[each].max(), 1e-4 * wanted.max()) for each in near])
    weight = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(2 * by + 1) + 1) / (2 * by + 2))
    level = np.array([level[each] @ weight / weight.sum() for each in near])
    phase = -np.imag(hilbert(np.concatenate([level, level[-2:0:-1]])))[: wanted.size]
    made = np.fft.irfft(np.exp(level + 1j * phase))[:taps]
    end = taps // 4
    made[-end:] *= np.cos(0.5 * np.pi * (np.arange(end) + 1) / (end + 1)) ** 2
    return made * (wanted / np.abs(np.fft.rfft(made, size))).max()


@pytest.mark.parametrize(("taps", "size"), [(64, 1025), (48, 513), (100, 801)])
def test_covering_filters_are_their_formula(taps: int, size: int) -> None:
    """Quiet rows and loud ones, rough ones, and one with bands of silence."""
    wanted = np.random.default_rng(3).random((4, size)) ** 3 * np.array([[1e-4], [3.0], [50.0], [0.2]])
    wanted[2, : size // 5] = wanted[2, size // 2 : -size // 4] = 0.0
    assert covering(wanted, taps) == pytest.approx(np.stack([covered(w, taps) for w in wanted]), rel=1e-9, abs=1e-12)
    assert covering(wanted[:1] * 0.0, taps) == pytest.approx(0.0, abs=1e-20)


def test_covering_filters_have_minimum_phase_and_cover_narrow_peaks() -> None:
    """A peak of one line is widened to what 64 taps resolve; silence everywhere else is 80 dB below it."""
    wanted = np.zeros((2, 1025))
    wanted[0, 300], wanted[1] = 2.0, 0.7
    made = covering(wanted, 64)
    assert made.shape == (2, 64)
    size = np.abs(np.fft.rfft(made, 2048))
    assert (size >= wanted * (1.0 - 1e-9)).all()
    assert size[1] == pytest.approx(np.full(1025, 0.7), rel=1e-9)
    assert size[0].max() < 3.0
    assert size[0, [100, 500, 1000]].max() < 0.1
    simple = np.abs(np.fft.rfft([1.0, 0.5], 2048))
    assert covering(np.stack([simple]), 64)[0, :4] == pytest.approx([1.0, 0.5, 0.0, 0.0], abs=0.02)


def test_what_covers_two_sets_is_as_long_as_the_longer_and_loud_as_the_louder() -> None:
    one, two = np.zeros((3, 8)), np.zeros((3, 16))
    one[:, 0], two[:, 0], none = 0.3, 0.5, np.zeros((3, 0))
    both = together(one, two, none)
    assert both.shape == (3, 16)
    assert both[:, 0] == pytest.approx([0.5] * 3, rel=1e-6)
    assert together(none, none.copy()) is none
    assert together(none, one) is one
    assert together(one, one.copy(), none) is one
