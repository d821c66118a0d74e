"""The drivers' protection filters within the filters of a unit: designs see them, and what is deployed holds them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sweetspot.calibrate.filters.effort import Cost
from sweetspot.calibrate.plant import Plant
from sweetspot.rigs.protection import protections
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float, db

LEAST = 1e-2
"""Gain of a protection filter below which weights are no longer told from what it lets through."""

AGAINST = 100.0
"""``K``: how much it costs to drive against a protection filter."""

IDLE = 1e-3
"""Gain over a program's loudest driver below which a driver has no part in it."""

FLOOR = 1e-3
"""Gain that designs see at least."""


def slopes(rig: Description, f: Float, taps: int) -> Float:
    """Gain ``(driver, frequency)`` of every driver's protection filter, as filters of so many taps can draw it."""
    return np.stack([p.slope(f, taps) for p in protections(rig)])


def protected(plant: Plant, slope: Float) -> Plant:
    """What a design drives: the drivers behind their protection filters ``slope (driver, frequency)``.

    No driver vanishes wholly: a design has nothing to go by where no driver makes a sound.
    """
    return replace(plant, h=plant.h * np.maximum(slope, FLOOR))


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
    """Filters ``(..., driver, tap)`` of which no driver gets more below its band than a stimulus may have there.

    Short ones cannot draw the edge of a band by themselves. Drivers whose bands begin alike are changed alike, so that
    they cancel each other as before.
    """
    held, shapes = np.array(taps, dtype=np.float64), protections(rig)
    for low in {p.low_hz for p in shapes} - {None}:
        same = [d for d, p in enumerate(shapes) if p.low_hz == low]
        held[..., same, :] = shapes[same[0]].within_band(held[..., same, :], rig.fs)
    return held


def staged(taps: Float, rig: Description) -> tuple[Float, float]:
    """Scale filters so that full-scale stereo keeps every driver within its limits; also the attenuation, dB.

    Full-scale sines of any frequency and phase stay below the ceiling, and below what ``max_v`` and ``power_w`` of each
    driver allow. A driver that has no part in a program is silent in it, rounding errors of its filter included.

    Parameters
    ----------
    taps
        ``(program, driver, tap)``: left, right, centre.
    """
    magnitude = np.abs(np.fft.rfft(taps, 8192, axis=-1))
    idle = magnitude.max(axis=-1) < IDLE * magnitude.max(axis=(1, 2))[:, None]
    taps, magnitude = (np.where(idle[:, :, None], 0.0, x) for x in (taps, magnitude))
    loudest = np.maximum((magnitude[0] + magnitude[1]).max(axis=-1), magnitude[2].max(axis=-1))
    limit = np.array([p.sine for p in protections(rig)])
    gain = float(np.min(limit / np.maximum(loudest, 1e-12)))
    return taps * gain, -float(db(gain))
