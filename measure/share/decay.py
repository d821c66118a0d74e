"""Decay of responses: energy decay curve, decay of the spectrum after the arrival, decay of bursts."""

from __future__ import annotations

import numpy as np

from sweetspot.measure.delays import onset
from sweetspot.rigs.acoustics import fft, half_cosine
from sweetspot.rigs.units import TINY, Float, power_db

RISE_S = 0.0005
"""Half-cosine with which each slice of the decay of the spectrum opens, s."""


BURST_OCTAVES = 1.0 / 3.0
"""Bandwidth of a burst, octaves."""


def arrival(h: Float, zero: int) -> int:
    """Tap at which ``h (..., tap)`` first passes a tenth of its peak behind ``zero``; the earliest of all paths."""
    return zero + int(onset(h[..., zero:]).min())


def in_band(h: Float, fs: int, band: tuple[float, float]) -> Float:
    """Responses ``(..., tap)`` without what lies outside a band in Hz, zero phase.

    A deconvolution rings beside the swept band, which would be taken for a decay. Half cosines over an octave inside
    the lower and a third octave inside the upper end are short in time themselves.
    """
    size = 2 * h.shape[-1]
    f = np.maximum(np.fft.rfftfreq(size, 1.0 / fs), 1e-3)
    weight = half_cosine.rise(np.log2(f / band[0])) * half_cosine.rise(3.0 * np.log2(band[1] / f))
    return np.asarray(np.fft.irfft(np.fft.rfft(h, size, axis=-1) * weight, size, axis=-1)[..., : h.shape[-1]])


def energy_decay_db(h: Float) -> Float:
    """Schroeder decay ``(..., tap)``, dB re the whole energy (Schroeder 1965: backward integration)."""
    left = np.cumsum((h**2)[..., ::-1], axis=-1)[..., ::-1]
    return power_db(np.maximum(left / np.maximum(left[..., :1], TINY**2), 1e-12))


def spectral_decay(h: Float, fs: int, start: int, seconds: float, f: Float, slices: int = 96) -> tuple[Float, Float]:
    """Cumulative spectral decay of one response, ``(slice, frequency)`` in dB re its highest level, and times in s.

    Each slice is the spectrum of what is left of the response ahead of which a half-cosine of :data:`RISE_S` opens
    (Fincham and Berman 1977).

    Parameters
    ----------
    h
        ``(tap,)``.
    fs
        Hz.
    start
        Tap of the arrival.
    seconds
        How far the slices go.
    f
        Frequencies that are wanted, Hz.
    """
    rise = max(int(RISE_S * fs), 2)
    times = np.linspace(0.0, seconds, slices)
    padded = np.concatenate([np.zeros(max(rise - start, 0)), h[max(start - rise, 0) :]])
    n = 1 << (len(padded) - 1).bit_length()
    opening = half_cosine.rise(np.arange(rise) / rise)
    bins = np.fft.rfftfreq(n, 1.0 / fs)
    out = np.empty((slices, len(f)))
    for row, time in enumerate(times):
        at = min(round(time * fs), len(padded) - rise)
        left = padded.copy()
        left[:at] = 0.0
        left[at : at + rise] *= opening
        out[row] = np.interp(f, bins, np.abs(np.fft.rfft(left, n)))
    return power_db(out**2 / np.maximum(out.max() ** 2, TINY**2)), times


def burst_decay(h: Float, fs: int, start: int, periods: Float, f: Float) -> Float:
    """Decay of one response after a burst at each frequency, ``(period, frequency)`` in dB re that frequency's highest.

    Envelopes of analytic filters whose response is a Gaussian :data:`BURST_OCTAVES` wide at half power (Morlet
    wavelets), read at multiples of the period: fine in time at high, in frequency at low frequencies.

    Parameters
    ----------
    h
        ``(tap,)``.
    start
        Tap of the arrival: period 0.
    periods
        Times that are wanted, periods.
    f
        Frequencies that are wanted, Hz.
    """
    size = int(fft.next_fast_len(len(h) + fs // 20))
    spectrum, bins = fft.fft(h, size)[: size // 2], np.arange(size // 2) * fs / size
    width = (2.0 ** (0.5 * BURST_OCTAVES) - 2.0 ** (-0.5 * BURST_OCTAVES)) / (2.0 * np.sqrt(np.log(2.0)))
    out = np.full((len(periods), len(f)), np.nan)
    for column, hz in enumerate(f):
        weight = np.exp(-0.5 * ((bins / hz - 1.0) / width) ** 2)
        envelope = np.abs(fft.ifft(spectrum * weight, size)[: len(h)])
        at = start + np.round(periods / hz * fs).astype(int)
        out[at < len(h), column] = power_db((envelope[at[at < len(h)]] / max(envelope.max(), TINY)) ** 2)
    return out
