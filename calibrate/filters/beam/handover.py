"""The front drivers by themselves: what plays the centre where no beam is steered, with a crossover in their bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.design import BeamDesign, target_power
from sweetspot.rigs.acoustics import half_cosine
from sweetspot.rigs.arrays import median
from sweetspot.rigs.units import Complex, Float, power_db

ALIKE_DB = 1.0
"""Groups of front drivers that differ by no more are as loud as each other."""

HIGHER = 1.5
"""Drivers whose band ends higher by this ratio take over where that of the front drivers ends."""

FADE_OCTAVES = 0.5
"""Width of that handover, below the edge."""

Fronts = Sequence[tuple[int, ...]]

Bands = tuple[Float, Float]
"""Gains of the protection filters ``(driver, frequency)``, and the upper edges of the bands ``(driver,)``, Hz."""


def in_phase(ahead: Complex, wanted: Complex) -> Complex:
    """Weights ``(frequency, driver)`` of all drivers in phase on axis, each at its own level there.

    Parameters
    ----------
    ahead
        Paths on axis ``(frequency, driver)``.
    wanted
        Response on axis ``(frequency,)``.
    """
    return np.asarray(wanted[:, None] * ahead.conj() / np.sum(np.abs(ahead) ** 2, axis=1)[:, None])


def top_of(design: BeamDesign, f: Float) -> float:
    """Frequency of the target's largest value, Hz: front drivers take over from the beam above it."""
    level = power_db(target_power(design.target_db, f))
    return median(f[level >= level.max() - 0.1])


def alone(
    ahead: Complex, wanted: Complex, f: Float, design: BeamDesign, front: Fronts | None, bands: Bands | None = None
) -> Complex:
    """Weights ``(frequency, driver)`` of the front drivers, with the wanted response on axis.

    They are the first group, in phase, that is within :data:`ALIKE_DB` of the loudest on axis above the steered band;
    without groups the loudest driver. Where its band begins higher or ends lower than that of others, these play there:
    each share of a crossover has the same response on axis, so that they add up to it.

    Parameters
    ----------
    ahead, wanted
        As of :func:`in_phase`, behind the protection filters.
    front
        Groups of drivers; by default any single driver.
    bands
        Without them every driver plays at all frequencies.
    """
    above = (f > top_of(design, f)) & (f < 0.8 * f[-1])
    groups: Fronts = front or [(i,) for i in range(ahead.shape[1])]
    alike = ALIKE_DB if front else 0.0
    loud = [_level_db(ahead, group, above) for group in groups]
    chosen = next(i for i, it in enumerate(loud) if it >= max(loud) - alike)
    shares = np.zeros((len(groups), len(f)))
    shares[chosen] = 1.0
    if bands is not None:
        slope = np.array([bands[0][list(group)].min(axis=0) for group in groups])
        top = np.array([bands[1][list(group)].min() for group in groups])
        _downwards(shares, ahead, f, groups, slope)
        _upwards(shares, ahead, f, groups, (slope, top))
    w = np.zeros(ahead.shape, dtype=np.complex128)
    for group, share in zip(groups, shares, strict=True):
        if share.any():
            w[:, list(group)] += share[:, None] * in_phase(ahead[:, list(group)], wanted)
    return w


def _downwards(shares: Float, ahead: Complex, f: Float, groups: Fronts, slope: Float) -> None:
    """Hand what protection filters take of the one group in ``shares (group, frequency)`` to lower ones, in turn."""
    now = int(np.argmax(shares[:, -1]))
    while (stopped := np.flatnonzero(slope[now] < 0.5)).size:
        edge = float(f[stopped[-1]])
        rows = (f >= 0.5 * edge) & (f < 0.9 * edge)
        lower = [i for i in range(len(groups)) if rows.any() and slope[i][rows].mean() > 0.5]
        if not lower:
            return
        left = shares[now] * (1.0 - slope[now])
        shares[now] -= left
        now = max(lower, key=lambda i: _level_db(ahead, groups[i], rows))
        shares[now] += left


def _upwards(shares: Float, ahead: Complex, f: Float, groups: Fronts, limits: tuple[Float, Float]) -> None:
    """Fade ``shares (group, frequency)`` into groups above the upper edge of what plays the highest, in turn."""
    slope, top = limits
    edge = float(top[np.argmax(shares[:, -1])])
    while (higher := np.flatnonzero(top > HIGHER * edge)).size:
        rows = (f > 1.1 * edge) & (f < 2.0 * edge)
        if not rows.any():  # beyond the grid
            return
        now = max(higher.tolist(), key=lambda i: _level_db(ahead, groups[i], rows))
        octaves = np.log2(np.maximum(f, 1e-3) / edge) / FADE_OCTAVES
        rise = half_cosine.rise(1.0 + octaves) * slope[now]
        shares *= 1.0 - rise
        shares[now] += rise
        edge = float(top[now])


def _level_db(ahead: Complex, group: tuple[int, ...], rows: NDArray[np.bool_]) -> float:
    """Mean power of a group's drivers on axis in a band, dB."""
    return float(power_db(np.mean(np.abs(ahead[rows][:, list(group)]) ** 2)))
