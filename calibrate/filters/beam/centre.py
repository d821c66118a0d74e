"""The centre program in the tone of the phantom that it replaces: what both sides together would give the ears."""

from __future__ import annotations

import numpy as np

from sweetspot.calibrate.plant import Plant
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.units import Complex, Float, from_db

LARGEST_DB = 12.0
"""By how much the centre may be raised or lowered at any frequency."""


def to_phantom(plant: Plant, sides: Complex, centre: Complex) -> Float:
    """Gain ``(frequency,)`` that gives the centre the level of the phantom, third octaves, at all design positions.

    A source in the middle reaches both sides alike; what they give together, the far ears' part included, is what a
    listener knows as its tone. Powers are averaged over ears and positions and smoothed, so that no notch is filled.

    Parameters
    ----------
    sides
        Weights ``(2, frequency, driver)`` of the left and the right program.
    centre
        Weights ``(frequency, driver)`` of the centre program.
    """
    heard = [
        smoothed(np.mean(np.abs(np.einsum("pedf,fd->pef", plant.h, w)) ** 2, axis=(0, 1)), plant.f)
        for w in (sides.sum(axis=0), centre)
    ]
    gain = np.sqrt(heard[0] / np.maximum(heard[1], 1e-300))
    return np.asarray(np.clip(gain, from_db(-LARGEST_DB), from_db(LARGEST_DB)))
