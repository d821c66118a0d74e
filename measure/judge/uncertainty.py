"""Uncertainty of a response: standard error of every bin, and coherence between repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.deconvolve import edges
from sweetspot.measure.smooth import SMOOTH_BINS, running_mean, running_median
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Float

STRETCHES = 8

FALLING, RESOLVED = 2.0, 0.05
"""Ratio of the first to the last stretches' power from which a tail is seen; share of the last stretches' power below
which noise beneath a tail cannot be separated."""

HIGHEST_HARMONIC = 6
"""Highest harmonic that may be present; lags before it contain only noise."""


def of_one(whole: NDArray[np.floating], before: int, after: int, rate: float, fs: int, others: int = 0) -> Float:
    """Standard error ``(mic, bin)`` of the spectrum of a kept response, from the noise of its own capture.

    Deconvolved noise is alike at every lag. Lags after the response and before the harmonics are cut into stretches as
    long as what is kept, windowed alike; the mean square of their spectra, smoothed over nine bins, is the variance.
    Where the power falls from stretch to stretch, a room rings on beyond what is kept: that repeats, and is no noise
    (:func:`floor`). A single stretch is the last one that there is.

    Parameters
    ----------
    whole
        ``(mic, size)``: circular responses with time zero at ``before``, not windowed.
    before, after
        What is kept, samples.
    rate
        ``L`` of the sweep, s: harmonic ``k`` lies ``L ln k`` ahead of the response.
    fs
        Sampling rate, Hz.
    others
        Samples by which other sources' responses and harmonics begin before this one's.

    Returns
    -------
    Of ``rfft`` of the kept response, in its unit.
    """
    taps = before + after
    last = max(whole.shape[-1] - others - round(rate * np.log(HIGHEST_HARMONIC) * fs), 2 * taps)
    count = min(STRETCHES, max(1, (min(last, whole.shape[-1]) - taps) // taps))
    latest = min(last, whole.shape[-1]) - taps
    starts = np.linspace(taps if count > 1 else latest, latest, count).astype(int)
    window = edges(before, after)
    spectra = np.array([fft.rfft(whole[:, s : s + taps] * window) for s in np.maximum(starts, 0)])
    return np.sqrt(floor(spectra.real**2 + spectra.imag**2))


def floor(power: Float) -> Float:
    """Variance ``(mic, bin)`` common to all stretches of power ``(stretch, mic, bin)``, evenly spaced.

    A decaying tail adds ``A q^k`` to the noise ``N`` of stretch ``k``. Of three stretches as far from each other,
    ``N = (P0 P2 - P1^2) / (P0 + P2 - 2 P1)``, exactly; given the scatter of measured powers, an ``N`` below
    :data:`RESOLVED` of the last one is not significant. Powers are compared re the mean of all stretches, and by their
    median over some bins: noise that is strong below the band and scatters into the bins next to it is no tail.
    """
    smooth = running_mean(np.asarray(power, dtype=float), SMOOTH_BINS)
    mean = np.asarray(smooth.mean(axis=0))
    if len(power) < 3:
        return mean
    re_mean = np.stack(_thirds(smooth / np.maximum(mean, 1e-300)))
    first, middle, last = running_median(re_mean)
    bend = first + last - 2.0 * middle
    found = (first * last - middle**2) / np.where(bend > 0.0, bend, np.inf)
    return mean * np.where(first > FALLING * last, np.clip(found, RESOLVED * last, last), 1.0)


def _thirds(power: Float) -> tuple[Float, Float, Float]:
    """Mean power of the first, middle and last stretches, evenly spaced and as many of each."""
    count = len(power)
    many = max(count // 3, 1)
    many -= (count - many) % 2 if many > 1 else 0
    power = power[(count - many) % 2 :]
    middle = (len(power) - many) // 2
    return tuple(np.asarray(power[i : i + many].mean(axis=0)) for i in (0, middle, len(power) - many))  # type: ignore[return-value]


def of_mean(h: Sequence[Float], single: Sequence[Float]) -> tuple[Float, Float]:
    """Standard error ``(mic, bin)`` of the mean of repeats, and their coherence ``(mic, bin)``.

    Every repeat plays the same samples, so that the cross-spectrum estimate ``sum(Y X*) / sum(X X*)`` is the mean of
    the transfer functions, and its coherence ``|mean H|^2 / mean |H|^2`` (Bendat and Piersol, Random Data, ch. 6). The
    error is the larger one of the noise within the captures and the spread between them, each smoothed over nine bins:
    drift appears in the second alone.

    Parameters
    ----------
    h
        Kept responses ``(mic, tap)``, one a repeat.
    single
        Standard errors ``(mic, bin)`` of each of them.
    """
    spectra = fft.rfft(np.asarray(h, dtype=float), axis=-1)
    mean, power = np.mean(spectra, axis=0), np.mean(np.abs(spectra) ** 2, axis=0)
    coherence = np.abs(mean) ** 2 / np.maximum(power, 1e-300)
    noise = np.mean(np.asarray(single, dtype=float) ** 2, axis=0) / len(h)
    if len(h) > 1:
        spread = np.sum(np.abs(spectra - mean) ** 2, axis=0) / (len(h) - 1) / len(h)
        noise = np.maximum(noise, running_mean(spread, SMOOTH_BINS))
    return np.sqrt(noise), np.asarray(coherence)
