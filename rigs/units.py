"""Decibels, pascals and the speed of sound: the only place with ``20*log10``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
Real = NDArray[Any]
"""Samples of either precision."""

P_REF = 20e-6
"""Reference sound pressure, Pa (ISO 1683)."""

TINY = 1e-15
"""Magnitude that stands in for silence, so that a level stays finite (-300 dB)."""


def db(amplitude: ArrayLike) -> Float:
    """Level of an amplitude ratio, ``20 log10 |a|`` in dB; silence gives -300 dB."""
    return np.asarray(20.0 * np.log10(np.maximum(np.abs(amplitude), TINY)))


def power_db(power: ArrayLike) -> Float:
    """Level of a power ratio, ``10 log10 p`` in dB; zero gives -300 dB."""
    return np.asarray(10.0 * np.log10(np.maximum(np.asarray(power, dtype=float), TINY**2)))


def from_db(level_db: ArrayLike) -> Any:
    """Amplitude ratio of a level in dB (a float for a float, an array for an array)."""
    return 10.0 ** (np.asarray(level_db, dtype=float) / 20.0) if np.ndim(level_db) else 10.0 ** (float(level_db) / 20.0)  # type: ignore[arg-type]


def hertz(f: float) -> str:
    """A frequency as text, in kHz from 1000 Hz on."""
    return f"{f / 1000:g} kHz" if f >= 1000 else f"{f:g} Hz"


def tick(f: float) -> str:
    """A frequency on an axis, Hz: ``500``, ``2k``."""
    return f"{f / 1000:g}k" if f >= 1000 else f"{f:g}"


def pressure(level_db_spl: float) -> float:
    """Root-mean-square pressure in Pa of a sound pressure level in dB re 20 uPa."""
    return float(P_REF * from_db(level_db_spl))


ROOM_SPEED = 343.0
"""Speed of sound in a room of about 20 degrees, m/s, where no temperature is at hand."""


def speed_of_sound(temperature_c: float) -> float:
    """Speed of sound in dry air in m/s, ideal-gas law: ``331.3 sqrt(1 + t/273.15)``."""
    return 331.3 * float(np.sqrt(1.0 + temperature_c / 273.15))
