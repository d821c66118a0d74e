"""Excursion of a cone: from its sound pressure, or from its data sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import P_REF, Float, from_db

AIR = 1.2
"""Density of air, kg/m^3."""

DATA_SHEET_V = 2.83
"""Root mean square voltage at which data sheets state a driver's level at 1 m, V."""


def per_pascal(area_m2: Float | float, f: Float) -> Float:
    """Peak excursion (m) of a small source in free field for a sine of 1 Pa peak at 1 m: ``4 pi / (density S w^2)``."""
    return np.asarray(4.0 * np.pi / (AIR * area_m2 * (2.0 * np.pi * np.maximum(f, 1.0)) ** 2))


@dataclass(frozen=True, slots=True)
class Excursion:
    """Excursion of a driver for its output signal.

    Above its resonance a cone is held by its mass, and moves as ``1 / f^2``; below ``low_hz`` it is taken to move as
    far as there. For a resonance below ``low_hz`` with a quality of at most 1 that is never less than it moves.

    Parameters
    ----------
    limit
        Largest peak excursion, m.
    low_hz
        Lower edge of the driver's band, Hz.
    at_low
        Peak excursion for a full-scale sine at ``low_hz``, m.
    """

    limit: float
    low_hz: float
    at_low: float

    @classmethod
    def of_level(cls, limit: float, area_m2: float, low_hz: float, level_pa: float) -> Excursion:
        """Of a driver that makes ``level_pa`` (peak, at 1 m in free field, in its band) of a full-scale sine."""
        return cls(limit, low_hz, level_pa * float(per_pascal(area_m2, np.array(low_hz))))

    @classmethod
    def of_data_sheet(cls, limit: float, area_m2: float, low_hz: float, spl_db: float, volts: float) -> Excursion:
        """From a driver's level at 1 m for 2.83 V on a large baffle, dB SPL, and ``volts`` (peak) for full scale.

        A baffle doubles the pressure: half the excursion makes the same level as in free field.
        """
        level = volts * P_REF * float(from_db(spl_db)) / DATA_SHEET_V
        return cls.of_level(limit, area_m2, low_hz, 0.5 * level)

    def gain(self, f: NDArray[np.floating]) -> Float:
        """Excursion (m) for a full-scale sine at ``f`` Hz."""
        return np.asarray(self.at_low * (self.low_hz / np.maximum(np.abs(f), self.low_hz)) ** 2)

    def worst(self, taps: NDArray[np.floating], fs: int) -> Float:
        """Largest excursion (m) that filters ``(..., tap)`` make of any programme within full scale ``(...,)``.

        ``sum |e|`` of the excursion's response ``e`` behind a filter: what a programme reaches whose every sample is
        at full scale with the sign that hurts most; music stays below.
        """
        size = int(fft.next_fast_len(taps.shape[-1] + round(8.0 * fs / self.low_hz), real=True))
        spectrum = fft.rfft(np.asarray(taps, dtype=np.float64), size, axis=-1)
        moved = fft.irfft(spectrum * self.gain(fft.rfftfreq(size, 1.0 / fs)), size, axis=-1)
        return np.asarray(np.sum(np.abs(moved), axis=-1))

    def peak(self, x: NDArray[np.floating], fs: int) -> float:
        """Largest excursion (m) for a signal ``(samples,)``, full scale = 1."""
        if not np.any(x):
            return 0.0
        size = int(fft.next_fast_len(len(x) + round(8.0 * fs / self.low_hz), real=True))
        moved = fft.rfft(np.asarray(x, dtype=np.float64), size) * self.gain(fft.rfftfreq(size, 1.0 / fs))
        return float(np.max(np.abs(fft.irfft(moved, size))))
