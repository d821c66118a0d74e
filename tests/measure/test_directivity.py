"""Directivity and decay against patterns and decays that are known in closed form."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.share import decay, directivity, figures, places, plots
from sweetspot.measure.share.directivity import Orbit
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import P_REF, Float, db

F = np.array([500.0, 2000.0])


def ring(amplitude: Float, step: float) -> Orbit:
    """An orbit of one driver with this amplitude over the angles, in Pa."""
    degrees = np.arange(-180.0, 180.0, step)
    power = np.broadcast_to(amplitude[:, None, None] ** 2, (len(degrees), 1, 2)).astype(float)
    return Orbit(degrees, F, power, ("d",))


def angles(step: float) -> Float:
    return np.radians(np.arange(-180.0, 180.0, step))


@pytest.mark.parametrize("step", [2.5, 5.0, 10.0])
@pytest.mark.parametrize(
    ("pattern", "index"), [("omni", 0.0), ("cardioid", 4.771), ("dipole", 4.771), ("hyper", 6.021)]
)
def test_directivity_index_of_first_order_patterns(step: float, pattern: str, index: float) -> None:
    """1 / (a^2 + b^2/3) with a + b = 1: 3 for cardioid and dipole, 4 for the hypercardioid."""
    a = {"omni": 1.0, "cardioid": 0.5, "dipole": 0.0, "hyper": 0.25}[pattern]
    around = ring(np.abs(a + (1.0 - a) * np.cos(angles(step))), step)
    assert directivity.index_db(around)[0] == pytest.approx(index, abs=0.08)


def test_uneven_directions_of_one_side_stand_for_the_sphere() -> None:
    """A loudspeaker's imported set: half a circle, finer ahead; here of a cardioid."""
    degrees = np.array([-180.0, 0, 5, 10, 15, 20, 30, 40, 50, 60, 75, 90, 105, 120, 135, 150, 165])
    power = np.broadcast_to((0.5 + 0.5 * np.cos(np.radians(degrees)))[:, None, None] ** 2, (len(degrees), 1, 2))
    around = Orbit(degrees, F, power, ("d",))
    assert directivity.index_db(around) == pytest.approx(np.full((1, 2), 4.77), abs=0.1)
    assert directivity.beam_width_deg(around, float(-db(0.5))) == pytest.approx(np.full((1, 2), 180.0), abs=0.5)


def test_beam_width_of_a_cardioid_and_of_an_omni() -> None:
    """A cardioid is 6 dB down at 90 degrees on both sides."""
    around = ring(0.5 + 0.5 * np.cos(angles(5.0)), 5.0)
    limit = float(-db(0.5))
    assert directivity.beam_width_deg(around, limit)[0] == pytest.approx(180.0, abs=0.5)
    assert np.all(directivity.beam_width_deg(ring(np.ones(72), 5.0)) == 360.0)


def test_weights_are_those_of_the_standard() -> None:
    """Table of CTA-2034-A, appendix C, as published."""
    published = [0.000604486, 0.004730189, 0.008955027, 0.012387354, 0.014989611, 0.016868154, 0.018165962]
    published += [0.019006744, 0.019477787, 0.019629373]
    assert [directivity.weights()[a] for a in range(0, 91, 10)] == pytest.approx(published, abs=2e-9)
    assert directivity.weights()[130] == directivity.weights()[50]


def test_curves_of_an_omni_are_one_and_of_a_beam_fan_out() -> None:
    omni = ring(np.full(36, 0.2), 10.0)
    curves = directivity.cta2034(omni, omni, 0)
    level = float(db(0.2 / P_REF))
    for curve in (
        curves.on_axis,
        curves.listening_window,
        curves.early_reflections,
        curves.sound_power,
        curves.in_room,
    ):
        assert curve == pytest.approx(level, abs=1e-9)
    narrow = ring(np.exp(-((np.arange(-180.0, 180.0, 5.0) / 40.0) ** 2)), 5.0)
    fan = directivity.cta2034(narrow, narrow, 0)
    assert np.all(fan.on_axis > fan.listening_window)
    assert np.all(fan.listening_window > fan.early_reflections)
    assert np.all(fan.early_reflections > fan.sound_power)
    assert fan.sound_power_di == pytest.approx(fan.listening_window - fan.sound_power)


def test_curves_know_above_from_below_and_side_from_rear() -> None:
    """Sound from the floor's angles alone feeds the floor bounce: a fifth of the early reflections, no window."""
    flat = ring(np.zeros(36), 10.0)
    floor = np.isin(np.arange(-180, 180, 10), (-40, -30, -20)).astype(float)
    curves = directivity.cta2034(flat, ring(floor, 10.0), 0)
    assert curves.early_reflections == pytest.approx(float(db(np.sqrt(0.2) / P_REF)), abs=1e-9)
    assert np.all(curves.listening_window < -100.0)
    high = np.isin(np.arange(-180, 180, 10), (40, 50, 60)).astype(float)
    assert directivity.cta2034(flat, ring(high, 10.0), 0).early_reflections == pytest.approx(
        curves.early_reflections, abs=1e-9
    )
    assert np.all(directivity.cta2034(flat, ring(floor[::-1], 10.0), 0).early_reflections < curves.early_reflections)


def test_an_orbit_without_a_wanted_direction_is_refused() -> None:
    coarse = ring(np.ones(24), 15.0)
    with pytest.raises(BadInput) as refused:
        directivity.cta2034(coarse, coarse, 0)
    assert str(refused.value) == (
        "CTA-2034 needs a direction every 10 degrees: none at -170 degrees in the horizontal orbit. Measure with "
        "polar.step_deg = 10, 5 or 2.5"
    )


def test_an_orbit_keeps_angles_and_drivers_apart() -> None:
    """Three directions in an odd order, two drivers: the levels come out where they were put."""
    table = np.zeros(3, dtype=POSITION)
    table["azimuth_deg"] = [40.0, -120.0, 0.0]
    h = np.zeros((3, 1, 2, 64))
    gains = np.array([[0.5, 3.0], [0.25, 2.0], [1.0, 4.0]])
    h[:, 0, :, 10] = gains
    set_ = ImpulseResponse(h, 47872, table, ("m",), ("a", "b"), 10, "Pa/FS", np.zeros((3, 1, 2)), (200.0, 9000.0))
    around = directivity.orbit(set_, 0)
    assert around.degrees.tolist() == [-120.0, 0.0, 40.0]
    expected = db(gains[[1, 2, 0]] / np.sqrt(2.0) / P_REF)
    assert around.level_db == pytest.approx(np.repeat(expected[..., None], len(around.f), axis=2), abs=1e-6)
    assert around.re_axis_db()[2, 1] == pytest.approx(float(db(0.75)), abs=1e-6)


def test_an_orbit_reads_the_power_between_its_bins_up_to_the_last() -> None:
    """Frequencies from a sixteenth of half the sampling rate to half of it."""
    table = np.zeros(2, dtype=POSITION)
    table["azimuth_deg"] = [0.0, 180.0]
    h = np.random.default_rng(3).standard_normal((2, 1, 1, 64))
    set_ = ImpulseResponse(h, 47872, table, ("m",), ("a",), 10, "Pa/FS", np.zeros((2, 1, 1)), (1496.0, 23936.0))
    around = directivity.orbit(set_, 0, smoothing=0.0)
    assert around.f == pytest.approx(1496.0 * 2.0 ** (np.arange(193) / 48))
    bins, power = np.arange(28) * 47872 / 54, np.abs(np.fft.rfft(h[..., 10:])) ** 2 / 2.0
    for i in range(2):
        assert around.power[i, 0] == pytest.approx(np.interp(around.f, bins, power[i, 0, 0]), rel=1e-9)


def test_energy_decay_of_an_exponential_is_a_line() -> None:
    fs, rt = 47872, 0.05
    t = np.arange(8000) / fs
    level = decay.energy_decay_db(np.exp(-6.908 * t / rt))
    slope = np.polyfit(t[:1500], level[:1500], 1)[0]
    assert slope == pytest.approx(-60.0 / rt, rel=0.01)


def test_a_circle_is_closed_and_half_a_circle_is_not() -> None:
    degrees = np.array([-180.0, -90.0, 0.0, 90.0])
    turned, level = directivity.circle(degrees, np.arange(4.0)[:, None])
    assert turned.tolist() == [-180.0, -90.0, 0.0, 90.0, 180.0]
    assert level[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 0.0]
    turned, level = directivity.circle(np.array([-180.0, 0.0, 60.0, 120.0]), np.arange(4.0)[:, None])
    assert turned.tolist() == [0.0, 60.0, 120.0, 180.0]  # nothing between -180 and 0 degrees
    assert level[:, 0].tolist() == [1.0, 2.0, 3.0, 0.0]


def test_what_rings_beside_the_band_is_no_decay() -> None:
    """A spike, and a ringing above the swept band 20 dB below it: only the spike is a decay of the device."""
    fs, t = 48000, np.arange(4000) / 48000
    h = np.zeros((1, 4300))
    h[0, 300] = 1.0
    h[0, 300:] += 0.1 * np.sin(2 * np.pi * 22500.0 * t)
    level = decay.energy_decay_db(decay.in_band(h, fs, (40.0, 20000.0))[:, 300:])[0]
    assert level[0] == 0.0
    assert decay.energy_decay_db(h[:, 300:])[0, 960] > -2.0
    assert level[960] < -40.0  # the tone begins within the band


def test_spectral_decay_finds_the_resonance_that_rings() -> None:
    """A spike and a ringing tone 20 dB below: after a millisecond only the tone's frequency is left."""
    fs, start = 48000, 300
    t = np.arange(4000) / fs
    h = np.zeros(4300)
    h[start] = 1.0
    h[start:] += 0.1 * np.exp(-t / 0.002) * np.sin(2 * np.pi * 3000.0 * t)
    f = np.geomspace(300.0, 15000.0, 120)
    level, times = decay.spectral_decay(h, fs, start, 0.005, f)
    late = level[np.searchsorted(times, 0.0025)]
    assert f[int(np.argmax(late))] == pytest.approx(3000.0, rel=0.05)
    assert late.max() - late[np.argmin(np.abs(f - 12000.0))] > 20.0
    assert decay.arrival(h[None], 100) == start


def uneven(step: float, seed: int) -> Orbit:
    """An orbit of two drivers without any symmetry."""
    degrees = np.arange(-180.0, 180.0, step)
    return Orbit(degrees, F, np.random.default_rng(seed).uniform(0.1, 1.0, (len(degrees), 2, 2)), ("a", "b"))


def test_index_of_a_ring_without_symmetry_by_hand() -> None:
    """The sphere in a hundred slices a step, each with the power of the nearest direction on its side."""
    around = uneven(30.0, 1)
    edges = np.radians(np.arange(0.0, 180.0, 0.3))
    solid = np.cos(edges) - np.cos(edges + np.radians(0.3))
    total = np.zeros((2, 2))
    for middle, share in zip(np.degrees(edges) + 0.15, solid, strict=True):
        for side in (1, -1):
            row = round((side * 30.0 * np.floor(middle / 30.0 + 0.5) + 180.0) / 30.0) % 12
            total += share / 4.0 * around.power[row]
    expected = 10.0 * np.log10(around.power[6] / total)
    assert directivity.index_db(around) == pytest.approx(expected, abs=1e-6)
    silent = Orbit(around.degrees, F, 1e-13 * around.power, ("a", "b"))
    assert directivity.index_db(silent) == pytest.approx(expected, abs=1e-6)  # a ratio, whatever the level
    assert silent.re_axis_db() == pytest.approx(around.re_axis_db(), abs=1e-9)


@pytest.mark.parametrize(("left", "right"), [(1, 2), (2, 5), (3, 1)])
def test_beam_width_is_read_between_directions_on_each_side(left: int, right: int) -> None:
    """Level -1 dB up to one direction and -11 dB from the next on: 6 dB down half-way between; beyond, all again."""
    level = np.zeros(12)
    rows = np.arange(-6, 6)
    level[(rows > 0) & (rows < left)] = level[(rows < 0) & (rows > -right)] = -1.0
    level[(rows >= left) & (rows < left + 1)] = level[(rows <= -right) & (rows > -right - 1)] = -11.0
    around = ring(10.0 ** (level / 20.0), 30.0)
    first = [6.0 / 11.0 if n == 1 else n - 1 + 0.5 for n in (left, right)]
    assert directivity.beam_width_deg(around) == pytest.approx(np.full((1, 2), 30.0 * sum(first)), abs=1e-9)
    behind = ring(np.where(np.abs(rows) == 6, 10.0 ** (-12.0 / 20.0), 1.0), 30.0)
    assert directivity.beam_width_deg(behind) == pytest.approx(np.full((1, 2), 2 * 165.0), abs=1e-9)
    even = ring(np.where(rows == 0, 1.0, 10.0 ** (-6.0 / 20.0)), 30.0)
    assert np.all(directivity.beam_width_deg(even, 6.0 + 1e-9) == 360.0)


def test_curves_of_two_orbits_without_symmetry_by_the_table() -> None:
    """Every angle of CTA-2034-A written out, for the second of two drivers."""
    h, v = (uneven(5.0, seed) for seed in (2, 3))

    def mean(around: Orbit, *degrees: int) -> Float:
        return np.mean([around.power[(d + 180) // 5, 1] for d in degrees], axis=0)

    window = (6 * mean(h, 10, 20, 30, -10, -20, -30) + 3 * mean(v, 0, 10, -10)) / 9
    early = (
        mean(v, -20, -30, -40)
        + mean(v, 40, 50, 60)
        + mean(h, 0, 10, 20, 30, -10, -20, -30)
        + mean(h, 40, 50, 60, 70, 80, -40, -50, -60, -70, -80)
        + mean(h, *(s * a for a in (90, 100, 110, 120, 130, 140, 150, 160, 170) for s in (1, -1)), -180)
    ) / 5
    shares = {a: directivity.weights()[a] for a in range(0, 181, 10)}
    there = [(o, s * a) for o in (h, v) for a in range(10, 180, 10) for s in (1, -1)]
    there += [(o, a) for o in (h, v) for a in (0, -180)]
    power = sum(shares[abs(a)] * mean(o, a) for o, a in there) / sum(shares[abs(a)] for _, a in there)
    curves = directivity.cta2034(h, v, 1)
    room = 0.12 * window + 0.44 * early + 0.44 * power
    for curve, expected in (
        (curves.on_axis, mean(h, 0)),
        (curves.listening_window, window),
        (curves.early_reflections, early),
        (curves.sound_power, power),
        (curves.in_room, room),
    ):
        assert curve == pytest.approx(10.0 * np.log10(expected / P_REF**2), abs=1e-9)
    assert np.array_equal(curves.f, F)
    assert curves.early_reflections_di == pytest.approx(curves.listening_window - curves.early_reflections)
    assert list(directivity.weights()) == list(range(0, 181, 10))
    assert all(directivity.weights()[a] == directivity.weights()[180 - a] for a in range(0, 181, 10))


@pytest.mark.parametrize("away", [0.45, 0.55])
@pytest.mark.parametrize("at", [-180.0, 60.0])
def test_a_direction_counts_up_to_half_a_degree_beside_its_own(away: float, at: float) -> None:
    whole = uneven(10.0, 4)
    moved = Orbit(np.where(whole.degrees == at, at - away, whole.degrees), F, whole.power, whole.drivers)
    if away < 0.5:
        assert directivity.cta2034(moved, whole, 0).in_room == pytest.approx(
            directivity.cta2034(whole, whole, 0).in_room
        )
        return
    with pytest.raises(BadInput) as refused:
        directivity.cta2034(whole, moved, 0)
    assert f"none at {at:.0f} degrees in the vertical orbit" in str(refused.value)


@pytest.mark.parametrize("band", [(250.0, 2000.0), (200.0, 23936.0)])
@pytest.mark.parametrize("smoothing", [0.0, 1.0, None])
def test_an_orbit_is_read_between_bins_up_to_half_the_rate(band: tuple[float, float], smoothing: float | None) -> None:
    """A difference of two samples: ``|H|^2 = 2 - 2 cos``; between bins linear, as mean over the width before."""
    fs, taps = 47872, 254
    table = np.zeros(2, dtype=POSITION)
    table["azimuth_deg"] = [10.0, -20.0]
    h = np.zeros((2, 2, 3, 6 + taps))
    h[0, 1, 2, 5:9] = [9.0, 1.0, -1.0, 0.0]
    set_ = ImpulseResponse(h, fs, table, ("m", "n"), ("a", "b", "c"), 6, "Pa/FS", np.zeros((2, 2, 3)), band)
    around = directivity.orbit(set_, 1) if smoothing is None else directivity.orbit(set_, 1, 7, smoothing)
    per, wide = (48, 1.0 / 12.0) if smoothing is None else (7, smoothing)
    f = [band[0] * 2.0 ** (k / per) for k in range(1000) if band[0] * 2.0 ** (k / per) <= band[1] * (1.0 + 1e-9)]
    assert around.f == pytest.approx(np.array(f))
    assert around.drivers == ("a", "b", "c")
    bins = fs / taps * np.arange(taps // 2 + 1)
    at_bins = 1.0 - np.cos(2.0 * np.pi * bins / fs)
    half = 2.0 ** (wide / 2.0)
    near = [at_bins[(bins >= b / half - 1e-9) & (bins <= b * half + 1e-9)].mean() for b in bins]
    assert around.power[1, 2] == pytest.approx(np.interp(f, bins, near), rel=1e-9)
    assert not around.power[0].any()


def test_pictures_of_a_grid_name_their_scales_and_leave_out_what_was_not_played() -> None:
    """Three of five drivers had no frequencies beneath; the noise below a tweeter's band was drawn as directivity."""
    fs, drivers = 47872, ("a", "b", "c", "d", "tweeter")
    table = np.zeros(8, dtype=POSITION)
    table["azimuth_deg"] = np.arange(8) * 45.0
    h = 1e-6 * np.random.default_rng(1).standard_normal((8, 1, 5, 1030))
    h[:, :, :, 6] = 1.0
    set_ = ImpulseResponse(h, fs, table, ("m",), drivers, 6, "Pa/FS", np.zeros((8, 1, 5)), (200.0, 16000.0))
    played = (*4 * [(200.0, 16000.0)], (2000.0, 16000.0))
    seen: Any = SimpleNamespace(title="T-1", played=played, polar=set_)
    with matplotlib.rc_context(plots.STYLE):
        around, index = figures._polar(seen, set_), figures._directivity(seen, set_)
        FigureCanvasAgg(around).draw()
    grid = [ax for ax in around.axes if ax.get_title(loc="left")]
    below = [ax for ax in grid if ax.xaxis.get_tick_params().get("labelbottom", True)]
    assert [ax.get_title(loc="left") for ax in below] == ["b", "c", "d", "tweeter"]
    assert [ax.get_xlabel() for ax in below] == 4 * ["frequency, Hz"]
    *_, lowest = (line.get_xdata()[np.isfinite(line.get_ydata())].min() for line in index.axes[0].lines)
    assert lowest == pytest.approx(2000.0, rel=0.02)
    rows, _ = places.table(set_, played, (200.0, 16000.0))
    assert min(row["hz"] for row in rows if row["driver"] == "tweeter") > 1900.0
    assert min(row["hz"] for row in rows if row["driver"] == "a") < 260.0
