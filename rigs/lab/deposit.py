"""Pulses at times between samples, put on the grid of samples: what paths are that carry no spectrum of their own."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rigs.units import Float

TAPS = 48
"""Length of a pulse: a sinc under a Kaiser window, flat within -60 dB to 0.43 of the sampling rate."""

STEPS = 4096
"""Fractions of a sample that are tabulated; the nearest one is -68 dB off at half of the sampling rate."""

BETA = 7.0

CHUNK = 1024
"""Pulses that are worked on at a time."""


@lru_cache(maxsize=1)
def _pulses() -> NDArray[np.float64]:
    """Pulses ``(fraction, tap)``; fraction n is n / STEPS of a sample late."""
    late = np.arange(STEPS + 1)[:, None] / STEPS
    t = np.arange(TAPS) - (TAPS // 2 - 1) - late
    inside = np.clip(1.0 - (t / (TAPS // 2)) ** 2, 0.0, None)
    return np.asarray(np.sinc(t) * np.i0(BETA * np.sqrt(inside)) / np.i0(BETA))


def deposited(at: Float, gain: Float, samples: int) -> Float:
    """Sum of pulses, ``(samples,)``.

    Parameters
    ----------
    at
        When they come, samples.
    gain
        Their amplitudes.
    samples
        How many are wanted; what falls outside is left out.
    """
    out = np.zeros(samples + 2 * TAPS)
    for low in range(0, len(at), CHUNK):
        part, amplitude = at[low : low + CHUNK], gain[low : low + CHUNK]
        kept = (part >= 0.0) & (part < samples)
        part, amplitude = part[kept], amplitude[kept]
        whole = part.astype(np.intp)
        pulses = _pulses()[np.rint((part - whole) * STEPS).astype(np.intp)] * amplitude[:, None]
        if len(part):
            first = int(whole.min()) + 1  # half a pulse ahead of the grid's beginning
            index = (whole - whole.min())[:, None] + np.arange(TAPS)
            sums = np.bincount(index.ravel(), pulses.ravel())
            out[first : first + len(sums)] += sums
    return out[TAPS // 2 : TAPS // 2 + samples]
