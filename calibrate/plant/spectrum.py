"""Spectra of responses on the common frequency grid of designs, predictions and verdicts."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Complex, Float

GRID = 4096
"""Length of the transform at 48 kHz; other rates use the power of two nearest above the same duration."""


def grid(fs: int) -> int:
    """Length of the transform that designs use at a sampling rate."""
    return GRID << max(round(math.log2(fs / 48000.0)), 0)


def frequencies(fs: int) -> Float:
    """Frequencies of that grid ``(frequency,)``, Hz."""
    return np.asarray(np.fft.rfftfreq(grid(fs), 1.0 / fs))


@lru_cache(maxsize=8)
def advance(n: int, zero: int) -> Complex:
    """Factor ``(frequency,)`` on spectra of ``n`` samples that makes tap ``zero`` time zero."""
    return frozen("factor", np.exp(2j * np.pi * np.fft.rfftfreq(n) * zero), ndim=1, dtype=np.complex128)


def transform(h: Float, n: int, zero: int = 0) -> Complex:
    """Spectra on the grid of ``n`` samples of responses ``(..., tap)`` whose time zero is tap ``zero``."""
    folded = h
    if h.shape[-1] > n:
        folded = np.array(h[..., :n], dtype=np.float64)
        for first in range(n, h.shape[-1], n):
            piece = h[..., first : first + n]
            folded[..., : piece.shape[-1]] += piece
    found = np.fft.rfft(folded, n, axis=-1)
    if zero:
        found *= advance(n, zero)
    return np.asarray(found)
