"""Directivity and decay against patterns and decays that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.share import decay, directivity
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
    with pytest.raises(BadInput, match=r"horizontal orbit.*step_deg = 10"):
        directivity.cta2034(coarse, coarse, 0)


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


def test_energy_decay_of_an_exponential_is_a_line() -> None:
    fs, rt = 47872, 0.05
    t = np.arange(8000) / fs
    level = decay.energy_decay_db(np.exp(-6.908 * t / rt))
    slope = np.polyfit(t[:1500], level[:1500], 1)[0]
    assert slope == pytest.approx(-60.0 / rt, rel=0.01)


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
