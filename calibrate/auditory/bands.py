"""ERB bands: power responses of gammatone filters, and weights of the bands' cues in localisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Float

COUNT, LOWEST_HZ, HIGHEST_HZ = 24, 200.0, 8000.0
"""Bands and their outermost centres, evenly spaced over the ERB-number scale (Glasberg and Moore 1990)."""

DOMINANT_HZ, DOMINANT_OCTAVES = 650.0, 1.1
"""Middle and standard deviation of the region whose interaural delays dominate (Raatgever 1980)."""

FINE_STRUCTURE_HZ = 1600.0
"""Frequency above which the fine-structure delay is inaudible, Hz."""

LEVEL_HZ, LEVEL_BELOW = 1500.0, 0.25
"""Level differences count fully above this frequency and with this weight below."""

NEGLIGIBLE = 1e-4
"""Power of a band's filter, re its maximum, below which a bin is left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """Bands on a grid of frequencies.

    Parameters
    ----------
    centre
        Centre frequencies ``(band,)``, Hz.
    f
        The grid ``(frequency,)``, Hz.
    power
        Power response times a pink spectrum ``(band, frequency)``; each band sums to 1.
    """

    centre: Float
    f: Float
    power: Float

    def __post_init__(self) -> None:
        for name, ndim in (("centre", 1), ("f", 1), ("power", 2)):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=ndim))

    @property
    def delay_weight(self) -> Float:
        """Weight ``(band,)`` of each band's interaural delay: a bell around 650 Hz, zero above 1.6 kHz."""
        octaves = np.log2(self.centre / DOMINANT_HZ) / DOMINANT_OCTAVES
        return np.where(self.centre < FINE_STRUCTURE_HZ, np.exp(-0.5 * octaves**2), 0.0)

    @property
    def level_weight(self) -> Float:
        """Weight ``(band,)`` of each band's interaural level difference."""
        return np.where(self.centre >= LEVEL_HZ, 1.0, LEVEL_BELOW)

    def used(self, band: int) -> slice:
        """The stretch of the grid that one band passes."""
        inside = np.flatnonzero(self.power[band] > NEGLIGIBLE * self.power[band].max())
        return slice(int(inside[0]), int(inside[-1]) + 1)


def erb_hz(centre: Float) -> Float:
    """Equivalent rectangular bandwidth at a centre frequency, Hz: ``24.7 (4.37e-3 f + 1)``."""
    return np.asarray(24.7 * (4.37e-3 * centre + 1.0))


def erb_bands(f: Float, count: int = COUNT, lowest: float = LOWEST_HZ, highest: float = HIGHEST_HZ) -> Bands:
    """Bands of fourth-order gammatone filters on a grid.

    The power response is ``(1 + ((f - fc) / b)^2)^-4`` with ``b = 1.019 ERB(fc)`` (Patterson et al. 1992).

    Parameters
    ----------
    f
        Frequencies ``(frequency,)``, Hz, rising; those at 0 Hz carry nothing.
    """
    low, high = (21.4 * np.log10(4.37e-3 * x + 1.0) for x in (lowest, highest))
    centre = (10.0 ** (np.linspace(low, high, count) / 21.4) - 1.0) / 4.37e-3
    x = (f[None, :] - centre[:, None]) / (1.019 * erb_hz(centre)[:, None])
    pink = np.where(f > 0.0, 1.0 / np.maximum(f, 1e-9), 0.0)
    power = pink / (1.0 + x**2) ** 4
    return Bands(centre, f, power / power.sum(axis=1, keepdims=True))
