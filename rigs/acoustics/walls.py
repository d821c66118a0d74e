"""Walls of a shoebox room: names, areas, and the diffuse decay by their absorption (Eyring)."""

from __future__ import annotations

import numpy as np

from sweetspot.rigs.units import Float

WALLS = ("back", "front", "right", "left", "floor", "ceiling")
"""The walls' names: at x = 0 and x = size, at y = 0 and y = size, at z = 0 and z = size."""

SOFTEST = 1e-4
"""Least reflection factor: absorption of 1 leaves -80 dB."""

HARDEST = 1.0 - 1e-9
"""Largest mean reflected share of energy: a room without absorption would ring for ever."""


def areas(size: Float) -> Float:
    """Areas of the six walls, m2."""
    x, y, z = size
    return np.array([y * z, y * z, x * z, x * z, x * y, x * y])


def eyring_rate(size: Float, absorption: Float, c: float) -> Float:
    """Decay rate of the energy in a diffuse field, 1/s, for absorption ``(6, ...)`` (C. F. Eyring, JASA 1, 217, 1930).

    The reverberation time is ``6 ln 10`` over it.
    """
    s = areas(size)
    mean = np.tensordot(s, absorption, axes=1) / s.sum()
    return np.asarray(-c * s.sum() / (4.0 * np.prod(size)) * np.log(np.clip(1.0 - mean, SOFTEST**2, HARDEST)))


def eyring(size: Float, absorption: Float, c: float) -> Float:
    """Reverberation time after Eyring, s, for absorption ``(6, ...)``."""
    return np.asarray(6.0 * np.log(10.0) / eyring_rate(size, absorption, c))
