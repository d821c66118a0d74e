"""The centre program with the tone of the phantom centre that it replaces: both sides together at the ears."""

from __future__ import annotations

import numpy as np

from sweetspot.calibrate.plant import Plant
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.units import Complex, Float, from_db

LARGEST_DB = 12.0
"""Largest change of the centre's level at any frequency, dB."""


def to_phantom(plant: Plant, sides: Complex, centre: Complex, pair: Float | None = None) -> Float:
    """Gain ``(frequency,)`` that gives the centre the level of the phantom, third octaves, at all design positions.

    A source in the middle reaches both sides alike; what they give together, the far ears' part included, is what a
    listener knows as its tone. Powers are averaged over ears and positions and smoothed, so that no notch is filled.

    Parameters
    ----------
    pair
        Power ``(frequency,)`` of a real pair's phantom over that of one side at its near ear, see
        :func:`virtualize.phantom_power`: the unit's sides then determine only that ear's level. Without it their own
        sum is the phantom.
    sides
        Weights ``(2, frequency, driver)`` of the left and the right program.
    centre
        Weights ``(frequency, driver)`` of the centre program.
    """
    if pair is None:
        wanted = _power(plant, sides.sum(axis=0)).mean(axis=0)
    else:
        wanted = pair * 0.5 * (_power(plant, sides[0])[0] + _power(plant, sides[1])[1])
    heard = _power(plant, centre).mean(axis=0)
    gain = np.sqrt(smoothed(wanted, plant.f) / np.maximum(smoothed(heard, plant.f), 1e-300))
    return np.asarray(np.clip(gain, from_db(-LARGEST_DB), from_db(LARGEST_DB)))


def _power(plant: Plant, w: Complex) -> Float:
    """Power of weights ``(frequency, driver)`` at each ear ``(ear, frequency)``, mean over positions."""
    return np.asarray(np.mean(np.abs(np.einsum("pedf,fd->pef", plant.h, w)) ** 2, axis=0))
