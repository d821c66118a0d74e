"""Spectra of responses on the common frequency grid of designs, predictions and verdicts."""

from __future__ import annotations

import math

import numpy as np

from sweetspot.rigs.units import Complex, Float

GRID = 4096
"""Length of the transform at 48 kHz; other rates use the power of two nearest above the same duration."""


def grid(fs: int) -> int:
    """Length of the transform that designs use at a sampling rate."""
    return GRID << max(round(math.log2(fs / 48000.0)), 0)


def frequencies(fs: int) -> Float:
    """Frequencies of that grid ``(frequency,)``, Hz."""
    return np.asarray(np.fft.rfftfreq(grid(fs), 1.0 / fs))


def advance(n: int, zero: int) -> Complex:
    """Factor ``(frequency,)`` on spectra of ``n`` samples that makes tap ``zero`` time zero."""
    return np.asarray(np.exp(2j * np.pi * np.fft.rfftfreq(n) * zero))


def transform(h: Float, n: int, zero: int = 0) -> Complex:
    """Spectra on the grid of ``n`` samples of responses ``(..., tap)`` whose time zero is tap ``zero``."""
    folded = h.reshape(*h.shape[:-1], h.shape[-1])
    if h.shape[-1] > n:
        whole = -(-h.shape[-1] // n) * n
        padded = np.zeros((*h.shape[:-1], whole))
        padded[..., : h.shape[-1]] = h
        folded = padded.reshape(*h.shape[:-1], whole // n, n).sum(axis=-2)
    found = np.fft.rfft(folded, n, axis=-1)
    if zero:
        found *= advance(n, zero)
    return np.asarray(found)
