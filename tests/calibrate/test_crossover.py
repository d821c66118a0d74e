"""Units of which some drivers play low frequencies alone: a crossover under the reference drivers' band."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Design
from sweetspot.calibrate.filters.sides import crossover
from sweetspot.calibrate.plant import gate, plain
from sweetspot.measure import folder, plan
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means
from sweetspot.processor import listening, store
from sweetspot.processor.plain import on_pair
from sweetspot.rigs.layout import mirror_pairs
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.rig_file import Driver
from sweetspot.rigs.rig_file.description import parse
from sweetspot.rigs.units import Complex, Float, power_db

F = np.arange(0.0, 20000.0, 10.0)


def slope(low: float) -> Float:
    """A protection filter without phase that stops all below 0.9 of its edge."""
    return np.clip((F / low - 0.9) / 0.2, 0.0, 1.0)


def heard(gains: list[float], ways: list[tuple[float, float]], slopes: Float) -> Complex:
    """Responses ``(ear, driver, frequency)`` of drivers of some gains at distances from both ears, m."""
    out = np.empty((2, len(gains), len(F)), dtype=complex)
    for (ear, d), _ in np.ndenumerate(out[..., 0]):
        out[ear, d] = gains[d] / ways[d][ear] * np.exp(-2j * np.pi * F * ways[d][ear] / 343.0)
    return out * np.maximum(slopes, 1e-3)


def test_a_woofer_plays_below_two_tweeters_at_their_level_and_time() -> None:
    """It is 5 dB quieter and 4 cm farther: the sum at either ear is as even as the slopes of the filters allow."""
    slopes = np.stack([slope(60.0), slope(1500.0), slope(1500.0)])
    near = heard([0.56, 1.0, 1.0], [(2.05, 2.04), (2.0, 2.02), (2.02, 1.99)], slopes)
    x = crossover.shares(near, F, (1, 2), slopes)
    level = power_db(np.abs(crossover.responses(near, x)) ** 2)[:, (F > 70.0)]
    assert np.ptp(level, axis=1).max() < 0.6
    assert not x[0, 2].any()
    assert not x[1, 1].any()


def test_a_chain_of_three_bands_reaches_down_to_the_lowest() -> None:
    slopes = np.stack([slope(e) for e in (30.0, 200.0, 200.0, 2500.0, 2500.0)])
    near = heard([1.4, 0.8, 0.8, 1.0, 1.0], [(2.1, 2.1), (2.0, 2.03), (2.03, 2.0), (2.0, 2.02), (2.02, 2.0)], slopes)
    x = crossover.shares(near, F, (3, 4), slopes)
    level = power_db(np.abs(crossover.responses(near, x)) ** 2)[:, (F > 40.0)]
    assert np.ptp(level, axis=1).max() < 1.5
    assert [np.flatnonzero(np.abs(one).max(axis=-1)).tolist() for one in x] == [[0, 1, 3], [0, 2, 4]]


def test_woofers_that_are_the_reference_hand_over_to_tweeters() -> None:
    """They fall off above 4 kHz, by 12 dB an octave; tweeters are 5 dB louder, 2 cm nearer and begin at 2.5 kHz."""
    slopes = np.stack([slope(60.0), slope(60.0), slope(2500.0), slope(2500.0)])
    near = heard([0.56, 0.6, 1.0, 1.0], [(2.0, 2.03), (2.02, 2.01), (1.98, 2.0), (2.0, 1.99)], slopes)
    near[:, :2] /= 1.0 + (F / 4500.0) ** 2
    tops = np.array([4000.0, 4200.0, 20000.0, 20000.0])
    x = crossover.shares(near, F, (0, 1), slopes, tops)
    level = power_db(np.abs(crossover.responses(near, x)) ** 2)
    assert np.ptp(level[:, (F > 70.0) & (F < 1500.0)], axis=1).max() < 1.0
    assert np.ptp(level[:, F > 3900.0], axis=1).max() < 0.1
    assert np.ptp(level[:, F > 70.0], axis=1).max() < 6.0, "they are matched to the woofers at their edge"
    assert [np.flatnonzero(np.abs(one).max(axis=-1)).tolist() for one in x] == [[0, 2], [1, 3]]
    alike = crossover.shares(near, F, (0, 1), slopes, np.array([14000.0, 16000.0, 20000.0, 20000.0]))
    assert np.array_equal(alike, crossover.shares(near, F, (0, 1), slopes)), "bands that end alike"


def driver(name: str, at: tuple[float, float, float], band: tuple[float, float]) -> Driver:
    return Driver(name=name, channel=1, at=at, band_hz=band)


TWO_WAYS = (
    driver("wl", (0.0, 0.15, -0.05), (80.0, 3500.0)),
    driver("tl", (0.0, 0.15, 0.05), (1800.0, 20000.0)),
    driver("tr", (0.0, -0.15, 0.05), (1800.0, 20000.0)),
    driver("wr", (0.0, -0.15, -0.05), (80.0, 3500.0)),
)


def ears_of(drivers: tuple[Driver, ...], gains: list[float]) -> ImpulseResponse:
    """Drivers that play their bands alone, at gains of their own, 3 dB less at the other ear."""
    fs, n, zero = 47872, 8192, 40
    f = np.fft.rfftfreq(n, 1.0 / fs)
    H = np.zeros((1, 2, len(drivers), len(f)), dtype=complex)
    for d, one in enumerate(drivers):
        inside = (f > one.band_hz[0]) & (f < one.band_hz[1])
        for ear in (0, 1):
            far = (one.at[1] > 0.0) == (ear == 0) and one.at[1] != 0.0
            H[0, ear, d] = gains[d] * inside * np.exp(-2j * np.pi * f * (zero + 300) / fs) * (0.7 if far else 1.0)
    table = np.array([(0.0, 2.0, 0.0, 0.0, 0.0, b"score")], dtype=POSITION)
    h, names = np.fft.irfft(H, n), tuple(d.name for d in drivers)
    snr = np.full((1, 2, len(drivers)), 60.0)
    return ImpulseResponse(h, fs, table, ("ear_left", "ear_right"), names, zero, "Pa/FS", snr, (40.0, 20000.0))


def test_plain_stereo_of_two_ways_plays_all_drivers_of_a_side() -> None:
    """Tweeters are 6 dB louder than woofers, and alone the loudest pair: without woofers nothing is below 1.8 kHz."""
    ears = ears_of(TWO_WAYS, [1.0, 2.0, 2.0, 1.0])
    assert plain.best_pair(ears, np.array([d.at for d in TWO_WAYS])) == (2, 1)
    sides, delay = plain.plain_sides(ears, TWO_WAYS, 162)
    f = np.fft.rfftfreq(16384, 1.0 / ears.fs)
    heard = np.einsum("edf,sdf->sef", np.fft.rfft(ears.h[0], 16384), np.fft.rfft(sides, 16384))
    for side in (0, 1):
        level = power_db(np.abs(heard[side, side]) ** 2)
        assert np.ptp(level[(f > 120.0) & (f < 18000.0)]) < 1.0
    assert not sides[0, :2].any(), "left is at -y"
    assert not sides[1, 2:].any()
    assert np.abs(sides).max() <= 1.0
    alone, short = plain.plain_sides(ears_of(TWO_WAYS[1:3], [1.0, 1.0]), TWO_WAYS[1:3], 162)
    assert (short, np.argwhere(alone).tolist()) == (162, [[0, 1, 162], [1, 0, 162]]), "one way is a delay"
    assert delay >= 162


def test_ways_of_plain_stereo() -> None:
    """Three of a side, a woofer for both sides, bands that are alike, and a driver in the middle that plays higher."""
    low, mid, top = (60.0, 4000.0), (200.0, 8000.0), (1500.0, 20000.0)
    six = tuple(driver(f"{i}", (0.0, y, z), b) for i, (y, z, b) in enumerate(
        (y, z, b) for y in (0.1, -0.1) for z, b in ((-0.3, low), (0.0, mid), (0.15, top))
    ))  # fmt: skip
    ways, crossed = plain.ways_of((4, 1), six)
    assert ways == [(3, 0), (4, 1), (5, 2)]
    assert crossed == [400.0, 3000.0]
    shared = (driver("w", (0.1, 0.0, -0.2), (40.0, 1500.0)), six[2], six[5])
    assert plain.ways_of((2, 1), shared) == ([(0, 0), (2, 1)], [1500.0])
    alike = (driver("l", (0.0, 0.1, 0.0), (90.0, 20000.0)), driver("r", (0.0, -0.1, 0.0), (110.0, 16000.0)))
    assert plain.ways_of((1, 0), (*alike, driver("c", (0.1, 0.0, 0.0), (80.0, 25000.0)))) == ([(1, 0)], [])


def test_coaxial_drivers_are_in_one_mirror_pair_each() -> None:
    """A mid and a tweeter at one place: not the mid of one side with the tweeter of the other."""
    at = np.array([[0.06, 0.1, 0.0], [0.06, 0.1, 0.0], [0.06, -0.1, 0.0], [0.06, -0.1, 0.0], [0.0, -0.1, 0.0]])
    assert mirror_pairs(at) == [(2, 0), (3, 1)]
    assert mirror_pairs(at + np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.01]])[[0, 1, 1, 0, 0]]) == [(2, 1), (3, 0)]


def test_drivers_whose_bands_begin_alike_have_none() -> None:
    slopes = np.stack([slope(90.0), slope(110.0), slope(110.0)])
    near = heard([1.0, 1.0, 1.0], [(2.05, 2.04), (2.0, 2.02), (2.02, 1.99)], slopes)
    x = crossover.shares(near, F, (1, 2), slopes)
    assert np.array_equal(x, crossover.shares(near, F, (1, 2), None))
    assert np.array_equal(crossover.responses(near, x), near[[0, 1], [1, 2]])
    assert crossover.crossed(slopes) == []
    assert np.all(crossover.between_two(slopes) == 1.0)


RIG = """
schema = 1
name = "three-way"
fs = 44100
[interface]
driver = "lab"
loopback = { out = 4, in = 4 }
full_scale_v = 0.3
[stage]
driver = "lab"
[[driver]]
name = "woofer"
channel = 1
at = [0.0, 0.0, 0.0]
band_hz = [70, 2500]
[[driver]]
name = "tweeter_left"
channel = 2
at = [0.0, 0.08, 0.1]
band_hz = [1500, 20000]
[[driver]]
name = "tweeter_right"
channel = 3
at = [0.0, -0.08, 0.1]
band_hz = [1500, 20000]
[[mic]]
name = "ear_left"
channel = 1
[[mic]]
name = "ear_right"
channel = 2
[[mic]]
name = "polar"
channel = 3
[ears]
distance_m = 1.6
positions = [
    { x = 0.0, y = 0.0, use = "design" },
    { x = 0.0, y = 0.04, use = "design" },
    { x = 0.02, y = -0.03, yaw_deg = 4, use = "score" },
]
[polar]
distance_m = 1.6
step_deg = 30.0
[sweep]
band_hz = [40, 20000]
seconds = 0.8
level_dbfs = -14.0
after_ms = 60.0
"""


@pytest.fixture(scope="module")
def three_way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both sets of a woofer between two tweeters."""
    place = tmp_path_factory.mktemp("crossover")
    rig = parse(RIG, folder=place)
    run = folder.new(place, "W-1", rig, datetime(2026, 3, 4, tzinfo=UTC))
    with open_rig(rig, serial="W-1") as lab, Session.resume(run / "session.h5") as session:
        for name in plan.SETS:
            measure(lab, session, plan.make(lab.description, name), ask=lambda move: None, step=lambda note: None)
    return run


def test_a_woofer_between_two_tweeters_plays_the_bass_of_all_programs(three_way: Path) -> None:
    """Predicted at a held-out head: a side at its ear, and the centre at both, from 200 Hz to 8 kHz."""
    fitted = steps.fitted(three_way, Design())
    p, inside = fitted.prediction, (THIRD_OCTAVES >= 200.0) & (THIRD_OCTAVES <= 8000.0)
    sides = power_db(band_means(np.abs(np.stack([p.score[0, 0, 0], p.score[0, 1, 1]])) ** 2, p.f))[:, inside]
    centre = power_db(band_means(np.abs(p.score[0, :, 2]) ** 2, p.f))[:, inside]
    assert np.ptp(sides, axis=1).max() < 9.0
    assert np.ptp(centre, axis=1).max() < 12.0
    taps = np.abs(np.fft.rfft(fitted.filters.taps, 8192, axis=-1))
    at = round(500.0 * 8192 / 44100)
    assert np.all(power_db(taps[:, 1:, at] / taps[:, :1, at]) < -30.0), "no tweeter plays there"
    canceled = power_db(band_means(np.abs(p.score[0, 0, 0] / p.score[0, 1, 0]) ** 2, p.f))
    assert canceled[np.argmin(np.abs(THIRD_OCTAVES - 5000.0))] > 6.0


def test_the_bypass_of_several_ways_plays_all_of_them(three_way: Path) -> None:
    """Each side by itself at its own ear: two tweeters alone have 52 dB less from 200 Hz to 1 kHz than above."""
    steps.calibrate(three_way, Design(), "")
    head, filters = listening.dummy_head(three_way), store.read(three_way)
    for side in (0, 1):
        heard = listening.at_ears(listening.unprocessed(filters, head), head, np.eye(2)[side][:, None])[side]
        f = np.fft.rfftfreq(heard.size, 1.0 / filters.fs)
        level = power_db(band_means((np.abs(np.fft.rfft(heard)) ** 2)[None], f))[0]
        low, high = (level[(a < THIRD_OCTAVES) & (b > THIRD_OCTAVES)].mean() for a, b in ((200, 1000), (2500, 9000)))
        assert abs(low - high) < 6.0
    pair = listening.unprocessed(filters, replace(head, plain=on_pair(store.reference_of(three_way, filters), 3)))
    assert not pair.taps[:, 0].any()


def test_a_subwoofer_does_not_arrive_before_the_others() -> None:
    """Its response rises for 20 ms before the others arrive: 5 ms after time zero is the sound's arrival."""
    fs, t = 48000, np.arange(4800) / 48000.0 - 0.04
    h = np.zeros((1, 2, 3, 4800))
    h[..., 0, :] = 0.01 * np.exp(-(((t - 0.005) / 0.008) ** 2)) * np.cos(2.0 * np.pi * 60.0 * (t - 0.005))
    h[..., 1, round(0.045 * fs)], h[..., 2, round(0.046 * fs)] = 1.0, 0.8
    table, snr = np.zeros(1, dtype=[("use", "S8")]), np.full((1, 2, 3), 60.0)
    ir = ImpulseResponse(
        h, fs, table, ("ear_left", "ear_right"), ("sub", "a", "b"), 1920, "Pa/FS", snr, (30.0, 19000.0)
    )
    assert gate.arrivals(ir)[0].min() < 0.0
    assert gate.first_arrival(ir)[0] == pytest.approx(0.005, abs=1e-4)
