"""From weights per frequency to causal short filters."""

from __future__ import annotations

import numpy as np

from sweetspot.rigs.acoustics import half_cosine
from sweetspot.rigs.units import Complex, Float

ROOM = 0.94
"""Fraction of half the sampling rate above which filters fade out, whatever their band."""


def causal(W: Complex, taps: int, delay: int, fade: float = 0.25) -> Float:
    """Truncate responses to FIR filters.

    The impulse response is delayed by ``delay`` samples and cut to ``taps``, with a quarter of the part ahead of the
    delay and of the part after it faded by half a cosine.

    Parameters
    ----------
    W
        Responses ``(..., frequency)`` on the grid of a real transform, at least four times as long as ``taps``.
    taps, delay
        Samples; ``delay < taps``.
    fade
        Fraction of each side that fades.

    Returns
    -------
    ``(..., taps)``.
    """
    n = 2 * (W.shape[-1] - 1)
    h = np.roll(np.fft.irfft(W, n, axis=-1), delay, axis=-1)[..., :taps]
    rise, fall = max(int(fade * delay), 1), max(int(fade * (taps - delay)), 1)
    return np.asarray(h * half_cosine.window(taps, rise, fall))


def held_outside(w: Complex, f: Float, low: float, high: float) -> Complex:
    """Weights ``(frequency, ...)`` held or faded outside ``low..high`` Hz, where there is no measurement.

    Below, each weight keeps its magnitude at ``low`` while its phase runs to zero (or to pi, whichever is nearer) at
    0 Hz; above, it fades to nothing at half of the sampling rate, from :data:`ROOM` of it at the latest.
    """
    out = w.copy()
    high = min(high, ROOM * float(f[-1]))
    first, last = int(np.searchsorted(f, low)), int(np.searchsorted(f, high, side="right")) - 1
    edge = w[first]
    whole = np.round(np.angle(edge) / np.pi) * np.pi
    share = (f[:first] / f[first]).reshape(-1, *[1] * (w.ndim - 1))
    out[:first] = np.abs(edge) * np.exp(1j * (whole + share * (np.angle(edge) - whole)))
    fading = half_cosine.fall((f[last:] - f[last]) / (f[-1] - f[last]))
    slope = np.angle(np.mean(w[last - 40 : last] * w[last - 41 : last - 1].conj(), axis=0))
    run = np.arange(len(f) - last).reshape(-1, *[1] * (w.ndim - 1))
    out[last:] = w[last] * np.exp(1j * run * slope) * fading.reshape(-1, *[1] * (w.ndim - 1))
    return out
