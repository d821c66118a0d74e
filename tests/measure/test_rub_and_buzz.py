"""Rub and buzz of recordings whose harmonics, clicks and noises are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sweetspot.measure.judge import rub_and_buzz
from sweetspot.measure.sweep import Sweep, synchronised
from sweetspot.rigs.units import Float, from_db

FS, AT = 48000, 0.01


@pytest.fixture(scope="module", params=[(48000, 1.0), (44100, 0.6), (96000, 1.0)])
def sweep(request: pytest.FixtureRequest) -> Sweep:
    fs, seconds = request.param
    return synchronised((60.0, 19000.0), seconds, fs)


def recorded(sweep: Sweep, added: Float | None = None, noise_db: float = -90.0, seed: int = 1) -> NDArray[np.float32]:
    """The sweep and what is added to it at two microphones, each with noise of its own, dB re the sweep's power."""
    draw = np.random.default_rng(seed)
    x = 0.1 * (sweep.x if added is None else sweep.x + added)
    late, rest = round(AT * sweep.fs), round(0.3 * sweep.fs)
    x = np.concatenate([np.zeros(late), x, np.zeros(rest)])
    noise = 0.1 * from_db(noise_db) * np.sqrt(0.5)
    return (x + noise * draw.standard_normal((2, len(x)))).astype(np.float32)


def times(sweep: Sweep) -> Float:
    return np.arange(len(sweep.x)) / sweep.fs


def hz(sweep: Sweep) -> Float:
    return np.asarray(sweep.swept[0] * np.exp(times(sweep) / sweep.rate))


def harmonic(sweep: Sweep, order: int, level_db: float, low: float = 150.0, high: float = 600.0) -> Float:
    """A harmonic of a level re the sweep between two frequencies."""
    f = hz(sweep)
    phase = 2.0 * np.pi * sweep.swept[0] * sweep.rate * np.exp(times(sweep) / sweep.rate)
    fade = 0.5 + 0.5 * np.tanh(30.0 * np.log(f / low)) * np.tanh(
        30.0 * np.log(high / f)
    )  # a click of its own otherwise
    return np.asarray(from_db(level_db) * np.sin(order * phase) * np.clip(2.0 * fade - 1.0, 0.0, 1.0))


def clicks(sweep: Sweep, low: float = 200.0, high: float = 400.0) -> Float:
    """One sample a cycle, of full scale."""
    f, cycles = hz(sweep), np.floor(sweep.swept[0] * sweep.rate * np.exp(times(sweep) / sweep.rate))
    return np.asarray(((f > low) & (f < high) & (np.diff(cycles, prepend=cycles[0]) > 0)).astype(float))


def found(sweep: Sweep, *recordings: NDArray[np.float32]) -> rub_and_buzz.RubAndBuzz:
    of = rub_and_buzz.of_recordings([(x, AT) for x in recordings], sweep)
    assert of is not None
    return of


@pytest.mark.parametrize(("order", "level_db"), [(12, -30.0), (15, -45.0), (25, -55.0)])
def test_a_high_harmonic_has_its_level(sweep: Sweep, order: int, level_db: float) -> None:
    worst = found(sweep, recorded(sweep, harmonic(sweep, order, level_db))).worst
    assert worst is not None
    at, level = worst
    assert level == pytest.approx(level_db, abs=0.7)
    assert 140.0 < at < 640.0
    one = found(sweep, recorded(sweep, harmonic(sweep, order, level_db)))
    assert one.in_octave(250.0) == pytest.approx(level_db, abs=2.0)
    assert one.in_octave(1000.0) is None
    assert [one.covers(hz) for hz in (250.0, 8000.0)] == [True, False]


def test_low_harmonics_are_distortion_and_no_buzz(sweep: Sweep) -> None:
    low = sum((harmonic(sweep, n, -20.0, 10.0, 1e9) for n in range(2, 9)), np.zeros(len(sweep.x)))
    assert found(sweep, recorded(sweep, low)).worst is None


def test_the_power_of_clicks_that_are_above_the_high_pass(sweep: Sweep) -> None:
    """A click a cycle of period T has power 1 / (T fs), spread evenly up to half the sampling rate."""
    worst = found(sweep, recorded(sweep, 0.2 * clicks(sweep))).worst
    assert worst is not None
    at, level = worst
    heard = (19000.0 - 10.0 * at) / (sweep.fs / 2.0)
    expected = 10.0 * np.log10(0.04 * at / sweep.fs * heard / 0.5)
    assert level == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize("noise_db", [-80.0, -50.0, -20.0])
def test_noise_is_no_buzz_and_hides_what_it_covers(sweep: Sweep, noise_db: float) -> None:
    each = [found(sweep, *(recorded(sweep, None, noise_db, 10 * k + i) for i in range(3))) for k in range(4)]
    assert [one.worst for one in each] == [None] * 4
    assert noise_db - 6.0 < each[0].hidden_db < noise_db + 3.0
    covered = found(sweep, recorded(sweep, harmonic(sweep, 15, noise_db - 12.0), noise_db))
    assert covered.worst is None
    over = found(sweep, recorded(sweep, harmonic(sweep, 15, noise_db + 3.0), noise_db))
    assert over.worst is not None


def test_a_noise_in_one_of_three_recordings_is_none(sweep: Sweep) -> None:
    knock = harmonic(sweep, 15, -10.0)
    quiet = [recorded(sweep, None, seed=i) for i in (1, 2)]
    assert found(sweep, *quiet, recorded(sweep, knock)).worst is None
    assert found(sweep, quiet[0], recorded(sweep, knock), recorded(sweep, knock, seed=3)).worst is not None


def test_a_live_rooms_decay_is_no_buzz(sweep: Sweep) -> None:
    t = np.arange(round(1.2 * sweep.fs)) / sweep.fs
    room = np.random.default_rng(3).standard_normal(len(t)) * np.exp(-6.9 * t / 1.2) * 0.05
    room[0] = 1.0
    x = np.concatenate([sweep.x, np.zeros(round(0.3 * sweep.fs))])
    size = len(x) + len(t)
    heard = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(room, size), size)[: len(x)]
    draw = np.random.default_rng(4)
    late = np.zeros(round(AT * sweep.fs))
    each = np.stack([np.concatenate([late, heard]) + 1e-5 * draw.standard_normal(len(late) + len(x)) for _ in range(2)])
    one = rub_and_buzz.of_recordings([(each, AT)], sweep)
    assert one is not None
    assert one.worst is None or one.worst[1] < -60.0


def test_a_band_without_room_for_harmonics() -> None:
    narrow = synchronised((2000.0, 12000.0), 0.6, FS)
    assert rub_and_buzz.of_recordings([(recorded(narrow), AT)], narrow) is None
