"""Weights that share the sides' drive between drivers, since the most driven one limits the unit's loudness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sweetspot.calibrate.design import CrosstalkDesign
from sweetspot.calibrate.filters.sides import pair
from sweetspot.calibrate.filters.sides.effort import Cost
from sweetspot.calibrate.plant import Plant
from sweetspot.rigs.units import Complex, Float

BAND_HZ = (100.0, 4000.0)
"""Where programme drives the sides' drivers."""

STRIDE, TO_HZ = 4, 1.5 * BAND_HZ[1]
"""Step of the bins that are designed to find the drive of each driver, and up to where: the band, the reference
drivers' and what is smoothed into both."""

RANGE = (0.4, 2.5)
"""Least and greatest weight of a driver."""


def steer(
    plant: Plant,
    nominal: int,
    cost: Cost,
    wish: CrosstalkDesign,
    far: Complex,
    *,
    pairs: Sequence[tuple[int, int]],
    effort_db: Float | None = None,
    worst_first: bool = False,
) -> pair.Sides:
    """Both sides as :func:`pair.steer` designs them, with more tolerance for drivers that are driven harder.

    Parameters
    ----------
    far
        The virtual loudspeaker's far ear over its near one ``(frequency,)``.
    pairs
        Mirror pairs, which are weighed alike and of which the reference is chosen.
    """
    weight = at(plant, nominal, cost, wish, far, pairs=pairs, effort_db=effort_db)
    return pair.steer(plant, nominal, cost, wish, pairs, effort_db=effort_db, worst_first=worst_first, weight=weight)


def at(
    plant: Plant,
    nominal: int,
    cost: Cost,
    wish: CrosstalkDesign,
    far: Complex,
    *,
    pairs: Sequence[tuple[int, int]],
    effort_db: Float | None = None,
) -> Float:
    """Weights of :func:`weights` from a design of every :data:`STRIDE`-th bin below :data:`TO_HZ`; parameters as of
    :func:`steer`."""
    few = slice(None, int(np.searchsorted(plant.f, TO_HZ, side="right")), STRIDE)
    slope = None if plant.slope is None else plant.slope[:, few]
    coarse = replace(plant, h=plant.h[..., few], f=plant.f[few], noise=plant.noise[..., few], slope=slope)
    first = pair.steer(coarse, nominal, cost[few], wish, pairs, effort_db=None if effort_db is None else effort_db[few])
    return weights(first.w, coarse.f, far[few], pairs)


def weights(w: Complex, f: Float, far: Complex, pairs: Sequence[tuple[int, int]]) -> Float:
    """Weight of each driver ``(driver,)``: the root of its power for pink noise in the side signal, over the mean.

    To make a given difference between the ears with least power, drivers are driven in proportion to what they
    contribute to it; with power weighed by the root of that proportion all are driven alike, and the loudest has least
    to do. What both sides have in common takes little and is left out.

    Parameters
    ----------
    w
        Weights of the cancellation ``(side, frequency, driver)``.
    far
        See :func:`steer`.
    """
    band = (f >= BAND_HZ[0]) & (f <= BAND_HZ[1])
    side = (w[0] - w[1]) * (1.0 - far)[:, None]
    power = np.mean(np.abs(side[band]) ** 2 / f[band, None], axis=0)
    for i, j in pairs:
        power[[i, j]] = 0.5 * (power[i] + power[j])
    return np.asarray(np.clip(np.sqrt(power / max(float(power.mean()), 1e-300)), *RANGE))
