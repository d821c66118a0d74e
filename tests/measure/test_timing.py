"""Group delay, its excess, gate, step and the time-frequency picture against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.share import decay, timing
from sweetspot.rigs.units import Float

FS, START, TAPS = 47872, 200, 4096
BAND = (100.0, 18000.0)


def delayed(samples: float) -> Float:
    """A pulse at a fraction of a sample, band-limited."""
    n = np.arange(TAPS) - START - samples
    return np.asarray(np.sinc(n) * np.exp(-0.5 * (n / 60.0) ** 2))


def through(h: Float, b: list[float], a: list[float]) -> Float:
    return np.asarray(signal.lfilter(b, a, h))


def inside(f: Float, low: float = 200.0, high: float = 12000.0) -> np.ndarray:
    return (f >= low) & (f <= high)


@pytest.mark.parametrize("octaves", [0.0, 1.0 / 6.0])
def test_a_pure_delay_is_group_delay_and_all_of_it_excess(octaves: float) -> None:
    f, delay, excess = timing.group_delays(delayed(37.4), FS, START, BAND, octaves)
    assert delay[inside(f)] == pytest.approx(np.full(inside(f).sum(), 37.4 / FS), abs=2e-7)
    assert excess[inside(f)] == pytest.approx(np.full(inside(f).sum(), 37.4 / FS), abs=2e-6)


def test_a_minimum_phase_filter_has_its_group_delay_and_no_excess() -> None:
    b, a = [1.0, -1.2, 0.62], [1.0, -1.7, 0.81]
    f, delay, excess = timing.group_delays(through(delayed(0.0), b, a), FS, START, BAND, 0.0)
    wanted = signal.group_delay((b, a), f[inside(f)], fs=FS)[1] / FS
    assert delay[inside(f)] == pytest.approx(wanted, abs=2e-7)
    assert np.ptp(wanted) > 1e-4
    assert np.abs(excess[inside(f)]).max() < 0.02 * np.ptp(wanted)


def test_an_all_pass_is_excess() -> None:
    """Its level is flat: none of its delay is that of a minimum phase."""
    a = [1.0, -1.6, 0.7]
    f, delay, excess = timing.group_delays(through(delayed(0.0), a[::-1], a), FS, START, BAND, 0.0)
    wanted = signal.group_delay((a[::-1], a), f[inside(f)], fs=FS)[1] / FS
    assert delay[inside(f)] == pytest.approx(wanted, abs=2e-7)
    assert excess[inside(f)] == pytest.approx(wanted, abs=3e-6)


def test_a_gate_leaves_out_the_reflection_of_each_path() -> None:
    h = np.zeros((2, 1, 3, TAPS))
    for path, at in enumerate(np.ndindex(2, 1, 3)):
        h[(*at, START + 20 * path)] = 1.0
        h[(*at, START + 20 * path + 300)] = 0.5
    zeros = np.zeros((2, 1, 3))
    ir = ImpulseResponse(h, FS, np.zeros(2, POSITION), ("m",), ("a", "b", "c"), 100, "Pa/FS", zeros, BAND)
    found = timing.gated(ir, 300 / FS).h
    assert found.sum(axis=-1) == pytest.approx(np.ones((2, 1, 3)), abs=1e-12)
    assert timing.gated(ir, 500 / FS).h.sum(axis=-1) == pytest.approx(np.full((2, 1, 3), 1.5), abs=1e-12)


def test_step_response_of_a_first_order_low_pass() -> None:
    tau, t = 0.001, np.arange(2000) / FS
    h = np.exp(-t / tau) / tau
    assert timing.step_response(h, FS)[1500] == pytest.approx(1.0 - np.exp(-1500 / FS / tau), abs=0.02)


def test_bursts_decay_at_the_rate_of_a_resonance() -> None:
    """60 dB in 120 ms at 1 kHz are 0.5 dB a period; at 4 kHz there is only a pulse 80 periods after the arrival."""
    t = np.arange(12000) / FS
    h = np.concatenate([np.zeros(START), np.exp(-6.9078 * t / 0.12) * np.sin(2.0 * np.pi * 1000.0 * t)])
    h[START + round(0.02 * FS)] += 1.0
    periods = np.linspace(0.0, 100.0, 401)
    level = decay.burst_decay(h, FS, START, periods, np.array([1000.0, 4000.0]))
    part = (periods > 30.0) & (periods < 55.0)
    assert np.polyfit(periods[part], level[part, 0], 1)[0] == pytest.approx(-0.5, rel=0.02)
    assert periods[int(np.argmax(level[:, 1]))] == pytest.approx(80.0, abs=0.3)
    assert level.max(axis=0) == pytest.approx(np.zeros(2), abs=0.2)


def test_a_spectrum_decays_from_the_arrival_on() -> None:
    """The slice at 0 s has the whole pulse, the one half a millisecond later nothing of it."""
    h = np.zeros(2000)
    h[700] = 1.0
    level, times = decay.spectral_decay(h, 48000, 700, 0.002, np.array([1000.0, 5000.0]), slices=21)
    assert level[0] == pytest.approx(np.zeros(2), abs=0.1)
    assert np.all(level[times > decay.RISE_S + 1e-4] < -100.0)
