"""Delays that bring the programs to the listener at the same time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.units import Complex, Float


def arrival(heard: Complex, f: Float, band: tuple[float, float] = (300.0, 3000.0)) -> float:
    """When a response ``(frequency,)`` arrives, s: the mean group delay over a band, weighted with its power."""
    inside = (f >= band[0]) & (f <= band[1])
    h = heard[inside]
    step = h[1:] * h[:-1].conj()
    spacing = 2.0 * np.pi * (f[1] - f[0])
    return float(-np.angle(np.sum(step)) / spacing)


def later_by(arrivals: Float, fs: int) -> NDArray[np.intp]:
    """Whole samples by which each program must be delayed to arrive with the last one."""
    return np.asarray(np.round((np.max(arrivals) - arrivals) * fs), dtype=np.intp)
