"""Fractional-delay interpolation of image-source pulses onto the sample grid."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sweetspot.rigs.units import Float

TAPS = 48
"""Length of a pulse: a sinc under a Kaiser window, flat within -60 dB to 0.43 of the sampling rate."""

STEPS = 4096
"""Fractions of a sample that are tabulated; the nearest one is -68 dB off at half of the sampling rate."""

BETA = 7.0

CHUNK = 1024
"""Pulses that are worked on at a time."""

DEGREE = 7
"""Of the polynomials that stand for the pulses where there are many: -90 dB off."""

MANY = 0.25
"""Pulses for each sample wanted, from which on polynomials are faster."""


@lru_cache(maxsize=1)
def _pulses() -> NDArray[np.float64]:
    """Pulses ``(fraction, tap)``; fraction n is n / STEPS of a sample late."""
    late = np.arange(STEPS + 1)[:, None] / STEPS
    t = np.arange(TAPS) - (TAPS // 2 - 1) - late
    inside = np.clip(1.0 - (t / (TAPS // 2)) ** 2, 0.0, None)
    return np.asarray(np.sinc(t) * np.i0(BETA * np.sqrt(inside)) / np.i0(BETA))


@lru_cache(maxsize=1)
def _polynomials() -> NDArray[np.float64]:
    """Polynomials ``(power, tap)`` in the delay of a pulse re half a sample: least squares over Chebyshev nodes.

    The form of C. W. Farrow (IEEE Int. Symp. Circuits Syst., 2641, 1988).
    """
    late = 0.5 * np.cos(np.pi * (np.arange(256) + 0.5) / 256)
    t = np.arange(TAPS) - (TAPS // 2 - 1) - (0.5 + late[:, None])
    inside = np.clip(1.0 - (t / (TAPS // 2)) ** 2, 0.0, None)
    pulses = np.sinc(t) * np.i0(BETA * np.sqrt(inside)) / np.i0(BETA)
    return np.asarray(np.linalg.lstsq(late[:, None] ** np.arange(DEGREE + 1), pulses, rcond=None)[0])


@lru_cache(maxsize=4)
def _spectra(size: int) -> NDArray[np.complex64]:
    """Their transforms ``(power, bin)``."""
    return np.asarray(fft.rfft(_polynomials().astype(np.float32), size, axis=-1))


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
    kept = (at >= 0.0) & (at < samples)
    if not kept.all():
        at, gain = at[kept], gain[kept]
    return _by_powers(at, gain, samples) if len(at) > MANY * samples else _one_by_one(at, gain, samples)


def _by_powers(at: Float, gain: Float, samples: int) -> Float:
    """Weights by powers of the fractions, each put on the grid and convolved with its polynomial's coefficients."""
    size = fft.next_fast_len(samples + TAPS, real=True)
    start = TAPS // 2 - 1
    return np.asarray(fft.irfft(_transform(at, gain, samples, size), size)[start : start + samples], dtype=np.float64)


def filtered(at: Float, gains: Float, taps: Float, lead: int, samples: int) -> Float:
    """Sum of pulses with spectra of their own, ``(samples,)``: each a sum of the same few filters.

    Parameters
    ----------
    at
        When they come, samples, all within what is wanted.
    gains
        ``(filter, pulse)``.
    taps
        ``(filter, tap)``; the pulse itself is at tap ``lead``.
    samples
        How many are wanted.
    """
    size = fft.next_fast_len(samples + TAPS + taps.shape[1], real=True)
    filters = fft.rfft(taps.astype(np.float32), size, axis=-1)
    total = np.zeros(size // 2 + 1, dtype=np.complex64)
    for gain, response in zip(gains, filters, strict=True):
        total += response * _transform(at, gain, samples, size)
    start = TAPS // 2 - 1 + lead
    return np.asarray(fft.irfft(total, size)[start : start + samples], dtype=np.float64)


def _transform(at: Float, gain: Float, samples: int, size: int) -> NDArray[np.complex64]:
    """Transform of the pulses, half a pulse late."""
    whole = at.astype(np.intp)
    late = at - whole - 0.5
    weights = np.empty((DEGREE + 1, samples), dtype=np.float32)
    weight = gain
    for power in range(DEGREE + 1):
        weights[power] = np.bincount(whole, weight, minlength=samples)
        weight = weight * late
    return np.asarray(np.einsum("pf,pf->f", _spectra(size), fft.rfft(weights, size, axis=-1)))


def _one_by_one(at: Float, gain: Float, samples: int) -> Float:
    """Each pulse from the table."""
    out = np.zeros(samples + 2 * TAPS)
    for low in range(0, len(at), CHUNK):
        part, amplitude = at[low : low + CHUNK], gain[low : low + CHUNK]
        whole = part.astype(np.intp)
        pulses = _pulses()[np.rint((part - whole) * STEPS).astype(np.intp)] * amplitude[:, None]
        first = int(whole.min()) + 1  # half a pulse ahead of the grid's beginning
        index = (whole - whole.min())[:, None] + np.arange(TAPS)
        sums = np.bincount(index.ravel(), pulses.ravel())
        out[first : first + len(sums)] += sums
    return out[TAPS // 2 : TAPS // 2 + samples]
