"""The drivers' protection filters in the filters of a unit: part of the design and of the deployed filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from sweetspot.calibrate.filters.sides import Cost
from sweetspot.calibrate.plant import Plant
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.acoustics import Excursion
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.protection import Protection, protections
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float, db

LEAST = 1e-2
"""Gain of a protection filter below which weights cannot be derived from its output."""

AGAINST = 100.0
"""``K``: cost of driving against a protection filter."""

IDLE = 1e-3
"""Gain over a program's loudest driver below which a driver has no part in it."""

FAINT = 1e-3
"""Energy of what sides leave in a driver together, re that of both, below which it is silent."""

FLOOR = 1e-3
"""Gain that designs see at least."""


def slopes(rig: Description, f: Float, taps: int) -> Float:
    """Gain ``(driver, frequency)`` of every driver's protection filter, as resolved by filters of this many taps."""
    return np.stack([p.slope(f, taps) for p in protections(rig)])


def tops(rig: Description) -> Float:
    """Upper edge of every driver's band ``(driver,)``, Hz."""
    return np.array([d.band_hz[1] for d in rig.driver])


def protected(plant: Plant, slope: Float, rig: Description) -> Plant:
    """The plant of a design: the drivers behind their protection filters ``slope (driver, frequency)``, in their bands.

    No driver vanishes wholly: a design has nothing to go by where no driver makes a sound.
    """
    h = plant.h * np.maximum(slope, FLOOR)
    h.setflags(write=False)  # not to be copied again
    return replace(plant, h=h, slope=slope, top=tops(rig))


def costed(cost: Cost, slope: Float) -> Cost:
    """A cost that rises where protection filters attenuate: designs do not drive against them.

    ``Q (1 + K (1 / P^2 - 1))`` with ``P`` the filter's gain, for the diagonal of a matrix as well.

    Parameters
    ----------
    cost
        ``(frequency, driver)`` or ``(frequency, driver, driver)``.
    slope
        ``(driver, frequency)``
    """
    more = AGAINST * (1.0 / np.maximum(slope.T, FLOOR) ** 2 - 1.0)
    if cost.ndim == 2:
        return np.asarray(cost * (1.0 + more))
    diagonal = np.einsum("fdd->fd", cost).real * more
    return np.asarray(cost + diagonal[:, :, None] * np.eye(cost.shape[1]))


def ahead(w: Complex, slope: Float) -> Complex:
    """Weights ``(..., driver, frequency)`` ahead of the protection filters that weights ``w`` hold already."""
    return np.asarray(w * slope / (slope**2 + LEAST**2 * (1.0 - slope**2) ** 2))


def within_bands(taps: Float, rig: Description) -> Float:
    """Filters ``(..., program, driver, tap)`` of which no driver gets more below its band than a stimulus may there.

    Short ones cannot draw the edge of a band by themselves. Drivers whose bands begin alike are changed alike, so that
    they cancel each other as before. Sides that cancel each other in a driver's band keep to it together as well: what
    is the same in both, and what is opposite.
    """
    held, shapes = np.array(taps, dtype=np.float64), protections(rig)
    programs = held.shape[-3]
    for low in {p.low_hz for p in shapes} - {None}:
        same = [d for d, p in enumerate(shapes) if p.low_hz == low]
        some = held[..., same, :]
        all_of = np.concatenate([some, _together(some)], axis=-3)
        held[..., same, :] = shapes[same[0]].within_band(all_of, rig.fs)[..., :programs, :, :]
    return held


def _together(taps: Float) -> Float:
    """Filters ``(..., 2, driver, tap)`` of a sound that is the same at both sides, and of one that is opposite; zero
    where the sides leave nothing of it."""
    left, right = taps[..., 0, :, :], taps[..., 1, :, :]
    both = np.stack([left + right, left - right], axis=-3)
    energy = np.sum(both**2, axis=-1, keepdims=True)
    return np.where(energy > FAINT * energy.sum(axis=-3, keepdims=True), both, 0.0)


def limits(rig: Description, measured: ImpulseResponse) -> tuple[Protection, ...]:
    """The limits of every driver, with excursion from its responses if the rig file does not give it.

    Raises
    ------
    BadInput
        A driver's ``excursion_mm`` cannot be enforced: the levels of the responses are not known in pascal.
    """
    found = []
    for number, (driver, known) in enumerate(zip(rig.driver, protections(rig), strict=True)):
        if driver.excursion_m is None or known.excursion is not None:
            found.append(known)
            continue
        if measured.unit != "Pa/FS":
            raise BadInput(
                f"excursion_mm of {driver.name!r} cannot be enforced: the levels of these responses are not known in "
                "pascal; give its sensitivity_db_spl and v_per_fs in the rig file, or remove excursion_mm"
            )
        limit, area = driver.excursion_m
        low = driver.band_hz[0]
        moves = Excursion.of_level(limit, area, low, _level_at_low(measured, number, low))
        found.append(replace(known, excursion=moves))
    return tuple(found)


def _level_at_low(measured: ImpulseResponse, driver: int, low: float) -> float:
    """Pressure at 1 m (Pa) of a full-scale sine in the octave above ``low`` Hz: its louder half, mean of all places."""
    away = np.hypot(measured.positions["x"], measured.positions["y"])[:, None, None]
    f = np.fft.rfftfreq(measured.h.shape[-1], 1.0 / measured.fs)
    power = np.mean(np.abs(away * np.fft.rfft(measured.h[:, :, driver], axis=-1)) ** 2, axis=(0, 1))
    halves = (low, 2.0**0.5 * low, 2.0 * low)
    near = [np.interp([a, (a * b) ** 0.5, b], f, power).mean() for a, b in pairwise(halves)]
    return float(np.sqrt(max(near)))


def staged(taps: Float, shapes: Sequence[Protection]) -> tuple[Float, float]:
    """Scale filters so that full-scale stereo keeps every driver within its limits; also the attenuation, dB.

    Full-scale sines of any frequency and phase stay below the ceiling, and below what ``max_v`` and ``power_w`` of each
    driver allow; any programme within full scale stays below its ``excursion_mm``. A driver that has no part in a
    program is silent in it, rounding errors of its filter included.

    Parameters
    ----------
    taps
        ``(program, driver, tap)``: left, right, centre.
    shapes
        The drivers' limits.
    """
    magnitude = np.abs(np.fft.rfft(taps, 8192, axis=-1))
    idle = magnitude.max(axis=-1) < IDLE * magnitude.max(axis=(1, 2))[:, None]
    taps = np.where(idle[:, :, None], 0.0, taps)
    gain = float(np.min(rooms(taps, shapes)))
    return taps * gain, -float(db(gain))


def rooms(taps: Float, shapes: Sequence[Protection]) -> Float:
    """Gain up to which each driver stays within its limits ``(driver,)``: for full-scale sines, and excursion for all.

    Parameters
    ----------
    taps
        ``(program, driver, tap)``: left, right, centre.
    """
    magnitude, fs = np.abs(np.fft.rfft(taps, 8192, axis=-1)), shapes[0].fs
    loudest = np.maximum(magnitude[0] + magnitude[1], magnitude[2])
    sines = [np.min(p.sine / np.maximum(row, 1e-12)) for p, row in zip(shapes, loudest, strict=True)]
    return np.minimum(sines, [p.room_to_move(taps[:, d], fs) for d, p in enumerate(shapes)])
