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


def transform(h: Float, n: int, zero: int) -> Complex:
    """Spectra on the grid of ``n`` samples of responses ``(..., tap)`` whose time zero is tap ``zero``."""
    folded = h.reshape(*h.shape[:-1], h.shape[-1])
    if h.shape[-1] > n:
        whole = -(-h.shape[-1] // n) * n
        padded = np.zeros((*h.shape[:-1], whole))
        padded[..., : h.shape[-1]] = h
        folded = padded.reshape(*h.shape[:-1], whole // n, n).sum(axis=-2)
    f = np.fft.rfftfreq(n)
    return np.asarray(np.fft.rfft(folded, n, axis=-1) * np.exp(2j * np.pi * f * zero))
