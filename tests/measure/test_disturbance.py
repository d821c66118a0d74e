"""Bursts, hum, clipping, gaps and shifts are found in rooms and noise, and clean captures pass: seeded trials."""

from __future__ import annotations

import numpy as np
import pytest

from sweetspot.measure.judge import burst, disturbance
from sweetspot.measure.sweep import synchronised
from tests.bench import disturbances as bench

FS = 48000


@pytest.mark.parametrize("snr", [40.0, 60.0])
def test_clean_captures_pass(snr: float) -> None:
    assert bench.found("score", snr, ("clean",), range(9000, 9006))["clean"] == 0.0


@pytest.mark.parametrize("snr", [40.0, 60.0])
def test_disturbances_are_found(snr: float) -> None:
    kinds = tuple(k for k in bench.KINDS if k != "clean" and not k.startswith(bench.BEYOND) and "-20" not in k)
    seed = 9100 + round(snr)
    shares = bench.found("score", snr, kinds, range(seed, seed + 2))
    assert shares == dict.fromkeys(kinds, 1.0)


def test_a_burst_is_found_where_it_was() -> None:
    here, x = bench.clean(np.random.default_rng(3), "tune", 50.0)
    fs = here.sweep.fs
    n = round(0.08 * fs)
    at = round(1.2 * fs)
    x[0, at : at + n] += 0.003 * np.sin(2 * np.pi * 5000.0 * np.arange(n) / fs) * np.hanning(n)
    transfer = here.inverse.transfer(here.inverse.recorded(x[:1].astype(np.float32)))
    found = burst.burst(transfer[0], here.lags, bench.LATE / fs)
    assert found is not None
    assert found[0] == pytest.approx(1.24, abs=0.06)
    assert found[1] == pytest.approx(5000.0, rel=0.13)
    assert found[2] > 6.0


def test_a_source_that_is_known_to_begin_later_is_no_burst() -> None:
    """A second source in a room of its own that plays 0.45 s later, as in overlapped sweeps; a burst is still found."""
    (here, x), (other, y) = (bench.clean(np.random.default_rng(s), "tune", 50.0) for s in (11, 14))
    assert here.sweep is other.sweep
    late = round(0.45 * here.sweep.fs)
    both = x[:1] + np.concatenate([np.zeros((1, late)), y[:1, :-late]], axis=1)
    known = burst.lags(here.sweep, here.inverse.size, arrivals=(0.45,))
    spoilt = bench.burst(np.random.default_rng(4), here, np.concatenate([both, x[1:]]), -20.0, 2.0)[:1]
    clean, found = (
        burst.burst(
            here.inverse.transfer(here.inverse.recorded(heard.astype(np.float32)))[0], known, bench.LATE / here.sweep.fs
        )
        for heard in (both, spoilt)
    )
    assert clean is None
    assert found is not None


def test_clipping_is_three_equal_extremes() -> None:
    x = np.random.default_rng(5).standard_normal(4000).astype(np.float32)
    assert disturbance.stuck(x) is None
    level = np.sort(np.abs(x))[-3]
    assert disturbance.stuck(np.clip(x, -level, level)) is not None
    assert disturbance.stuck(np.round(x * 20.0).astype(np.float32)) is None
    assert disturbance.stuck(np.zeros(100, np.float32)) is None


@pytest.mark.parametrize(("level", "found"), [(1.0, False), (0.9, True)])
def test_a_rounded_crest_is_not_clipped(level: float, found: bool) -> None:
    """The largest of decaying crests in 16 bits: its three uppermost samples are equal, and few others are."""
    n = np.arange(40000.0)
    x = 0.5 * np.exp(-n / 20000.0) * np.cos(2.0 * np.pi * 54.0 / 48000.0 * (n - 480.2))
    clipped = np.round(np.clip(x, -level * np.max(x), level * np.max(x)) * 2.0**15) / 2.0**15
    assert np.count_nonzero(np.abs(clipped) == np.max(np.abs(clipped))) >= 3
    assert (disturbance.stuck(clipped.astype(np.float32)) is not None) == found


def test_a_gap_is_a_run_of_equal_samples_within_what_sounds() -> None:
    x = np.concatenate([np.zeros(50), np.random.default_rng(6).standard_normal(500), np.zeros(70)]).astype(np.float32)
    assert disturbance.held(x) is None
    x[200:207] = x[199]
    assert disturbance.held(x) == (199, 8)
    x[300:340] = 0.0
    assert disturbance.held(x) == (300, 40)


def test_a_room_that_rings_at_multiples_of_the_mains_does_not_hum() -> None:
    fs = 47872
    sweep = synchronised((60.0, 18000.0), 1.0, fs)
    t = np.arange(2 * fs) / fs
    quiet = 1e-4 * np.random.default_rng(2).standard_normal(len(t))
    quiet[: len(sweep.x)] += 0.3 * sweep.x
    tones = sum(np.sin(2.0 * np.pi * 60.0 * k * t) for k in (3, 4, 5))
    mode = 0.2 * tones * np.exp(-6.9 * np.maximum(t - 0.3, 0.0) / 0.9) * (t > 0.3)  # 60 dB in 0.9 s
    hummed = disturbance.hum((quiet + 4e-3 * tones).astype(np.float32), sweep, 0.0, 0.1)
    assert hummed is not None
    assert hummed[0] == 60.0
    assert disturbance.hum((quiet + mode).astype(np.float32), sweep, 0.0, 0.1) is None


@pytest.mark.parametrize(("decay_s", "steady"), [(8.0, True), (7.0, False), (-7.0, False)])
def test_a_line_is_steady_if_its_level_holds_to_the_end(decay_s: float, steady: bool) -> None:
    """Of 0.75 s the last two thirds count: 60 dB in 7.5 s are 2 dB between their middles."""
    t = np.arange(36000) / 48000
    line = np.sin(2.0 * np.pi * 60.0 * t) * 10.0 ** (-3.0 * t / decay_s)
    line[:12000] *= 10.0  # ahead of what is looked at
    assert disturbance._steady(line.astype(np.float32), 60.0 / 48000) == steady


@pytest.mark.parametrize(("at", "found"), [(180.0, True), (180.8, True), (183.2, False), (177.7, False)])
def test_a_line_beside_a_multiple_of_the_mains_is_no_hum(at: float, found: bool) -> None:
    """Three quarters of a second after the lowest octaves: bins of 1.4 Hz."""
    sweep = synchronised((40.0, 20000.0), 1.0, FS)
    x = 1e-5 * np.random.default_rng(2).standard_normal(round(1.33 * FS))
    x[: len(sweep.x)] += 0.3 * sweep.x
    x += 4e-3 * np.sin(2.0 * np.pi * at * np.arange(len(x)) / FS)
    assert (disturbance.hum(x.astype(np.float32), sweep, 0.0, 0.15) is not None) == found


def test_a_hall_does_not_hum_and_hides_no_hum() -> None:
    """Modes between 30 and 330 Hz that ring for 2.5 s after the sweep; hum as loud as one of them is found."""
    sweep, rng = synchronised((40.0, 20000.0), 1.0, FS), np.random.default_rng(8)
    t = np.arange(round(1.33 * FS)) / FS
    hums = 0.0
    for k, a in enumerate((1.0, 0.3, 0.5, 0.1, 0.2), 1):
        hums = hums + a * np.sin(2.0 * np.pi * 50.02 * k * t + k)
    for _ in range(8):
        x = 1e-5 * rng.standard_normal(len(t))
        x[: len(sweep.x)] += 0.1 * sweep.x
        for f, phase in zip(30.0 + 300.0 * rng.random(60) ** 0.5, 2.0 * np.pi * rng.random(60), strict=True):
            since = t - sweep.rate * np.log(f / sweep.swept[0])
            x += 0.02 * np.sin(2.0 * np.pi * f * t + phase) * np.where(since > 0.0, 10.0 ** (-3.0 * since / 2.5), 0.0)
        assert disturbance.hum(x.astype(np.float32), sweep, 0.0, 0.15) is None
        found = disturbance.hum((x + 0.02 * hums).astype(np.float32), sweep, 0.0, 0.15)
        assert found is not None
        assert found[0] == 50.0
