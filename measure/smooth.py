"""Fractional-octave smoothing and bands over frequency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.units import Float

THIRD_OCTAVES = np.array(
    [200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000, 6300, 8000.0]
)
"""Nominal centres of the third-octave bands of a verification, Hz (IEC 61260-1)."""

NOMINAL_HZ = (50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150, 4000,
              5000, 6300, 8000, 10000, 12500, 16000)  # fmt: skip
"""Nominal centres of third octaves, Hz; every third from 63 Hz on is that of an octave (IEC 61260-1)."""

SMOOTH_BINS = 9
"""Over which powers are smoothed before they are compared, or stand for the noise."""

WIDE_BINS = 65
"""Over which the median of smooth powers is taken before they are compared."""


def smoothed(x: Float, f: Float, octaves: float = 1.0 / 3.0, at: NDArray[np.intp] | None = None) -> Float:
    """Mean of ``x (..., frequency)`` over a rectangle of octaves around each frequency, or around the bins ``at``."""
    half, middle = 2.0 ** (octaves / 2.0), f if at is None else f[at]
    low = np.searchsorted(f, middle / half, side="left")
    high = np.maximum(np.searchsorted(f, middle * half, side="right"), low + 1)
    total = np.concatenate([np.zeros((*x.shape[:-1], 1)), np.cumsum(x, axis=-1)], axis=-1)
    return np.asarray((total[..., high] - total[..., low]) / (high - low))


def running_mean(x: Float, bins: int) -> Float:
    """Mean of ``x (..., frequency)`` over this many bins around each; the ends are extended by their last value."""
    ends = [(0, 0)] * (x.ndim - 1) + [(bins // 2, bins - 1 - bins // 2)]
    padded, count = np.pad(x, ends, mode="edge"), x.shape[-1]
    total = padded[..., :count].copy()
    for i in range(1, bins):  # a tenth of the time of a mean over a view of windows
        total += padded[..., i : i + count]
    return np.asarray(total / bins)


def running_median(x: Float) -> Float:
    """Median of ``x (..., frequency)`` over :data:`WIDE_BINS`, of which every 8th is used; held at the ends.

    For values that are smooth over :data:`SMOOTH_BINS`; steps of as many bins have one median.
    """
    step = SMOOTH_BINS - 1
    few = x[..., ::step]
    half = min(WIDE_BINS // step, few.shape[-1] - 1) // 2
    inside = few.shape[-1] - 2 * half
    each = np.array([few[..., i : i + inside] for i in range(2 * half + 1)])
    found = np.partition(each, half, axis=0)[half]  # a median loads masked arrays: 15 ms
    found = np.pad(found, [(0, 0)] * (x.ndim - 1) + [(half, half)], mode="edge")
    return np.repeat(found, step, axis=-1)[..., : x.shape[-1]]


def third_octaves(low: float, high: float) -> NDArray[np.bool_]:
    """Which third octaves lie between two nominal centres, Hz, these included ``(band,)``."""
    return np.asarray((0.99 * low <= THIRD_OCTAVES) & (1.01 * high >= THIRD_OCTAVES))


def band_edges(centres: Float) -> tuple[Float, Float]:
    """Lower and upper edges of third-octave bands around exact base-ten centres, Hz."""
    exact = 1000.0 * 10.0 ** (np.round(10.0 * np.log10(centres / 1000.0)) / 10.0)
    return exact * 10.0**-0.05, exact * 10.0**0.05


def thirds_within(low: float, high: float) -> Float:
    """Nominal centres of the third octaves whose edges lie between two frequencies, Hz."""
    centres = np.array(NOMINAL_HZ, dtype=float)
    first, last = band_edges(centres)
    return np.asarray(centres[(first >= low) & (last <= high)])


def band_means(x: Float, f: Float, centres: Float = THIRD_OCTAVES) -> Float:
    """Mean of ``x (..., frequency)`` in each third-octave band, ``(..., band)``."""
    low, high = band_edges(centres)
    return np.stack([x[..., (f >= a) & (f < b)].mean(axis=-1) for a, b in zip(low, high, strict=True)], axis=-1)
