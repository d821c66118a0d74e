"""The inverse of a sweep: from a recording to a response, with time zero taken from the loopback."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from measure.sweep import Sweep
from rigs.units import Float

Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, eq=False)
class Inverse:
    """The regularised inverse of a stimulus.

    Parameters
    ----------
    w
        Complex spectrum ``(frequency,)`` to multiply a recording's with.
    size
        Length of the transform, samples.
    fs
        Sampling rate, Hz.
    band
        Judged band, Hz.
    """

    w: Complex
    size: int
    fs: int
    band: tuple[float, float]

    @property
    def f(self) -> Float:
        """Frequencies of the bins, Hz."""
        return np.asarray(fft.rfftfreq(self.size, 1.0 / self.fs))

    def spectrum(self, x: NDArray[np.floating]) -> Complex:
        """Transfer functions ``(..., frequency)`` from the stimulus to recordings ``x (..., samples)``."""
        return np.asarray(fft.rfft(np.asarray(x, dtype=np.float64), self.size, axis=-1) * self.w)


def inverse(sweep: Sweep, played: NDArray[np.float32], samples: int) -> Inverse:
    """Inverse of what was played: exact within the judged band, fading to nothing at the ends of the swept band.

    ``W = G conj(X) / (|X|^2 + eps)`` with ``eps`` 120 dB below the band's median energy (Kirkeby and Nelson 1999) and
    ``G`` a half cosine over log frequency in each guard band, zero outside the swept band.

    Parameters
    ----------
    sweep
        Tells the bands.
    played
        ``(samples,)``: the stimulus as it was sent out.
    samples
        Length of the recordings that will be transformed; the transform holds stimulus plus recording.
    """
    size = int(fft.next_fast_len(samples + len(played), real=True))
    x = fft.rfft(np.asarray(played, dtype=np.float64), size)
    f = fft.rfftfreq(size, 1.0 / sweep.fs)
    inside = (f >= sweep.band[0]) & (f <= sweep.band[1])
    energy = np.abs(x) ** 2
    gain = _guarded(f, sweep)
    return Inverse(gain * np.conj(x) / (energy + 1e-12 * np.median(energy[inside])), size, sweep.fs, sweep.band)


def _guarded(f: Float, sweep: Sweep) -> Float:
    """1 in the judged band, 0 outside the swept one, half a cosine over log frequency between."""
    log_f = np.log(np.maximum(f, 1e-3))
    (low, high), (first, last) = np.log(sweep.band), np.log(sweep.swept)
    up = np.clip((log_f - first) / (low - first), 0.0, 1.0)
    down = np.clip((last - log_f) / (last - high), 0.0, 1.0)
    return np.asarray((0.5 - 0.5 * np.cos(np.pi * up)) * (0.5 - 0.5 * np.cos(np.pi * down)))


def loopback_delay(inv: Inverse, loop: Complex) -> tuple[float, float]:
    """Delay (s, to a small fraction of a sample) and gain (linear) of the loopback's transfer function.

    The coarse delay is the peak of the impulse response; the fine one is the slope of the remaining phase over the
    judged band, weighted with the squared magnitude. A loopback without any signal has delay and gain 0.
    """
    if not np.any(loop):
        return 0.0, 0.0
    coarse = int(np.argmax(np.abs(fft.irfft(loop, inv.size)))) / inv.fs
    f = inv.f
    inside = (f >= inv.band[0]) & (f <= inv.band[1])
    rest = loop[inside] * np.exp(2j * np.pi * f[inside] * coarse)
    weight, omega = np.abs(rest) ** 2, 2.0 * np.pi * f[inside]
    phase = np.unwrap(np.angle(rest))
    centre = float(np.sum(weight * omega) / np.sum(weight))
    slope = np.sum(weight * (omega - centre) * phase) / np.sum(weight * (omega - centre) ** 2)
    return coarse - float(slope), float(np.sqrt(np.mean(weight)))


def responses(inv: Inverse, transfer: Complex, delay: float, before: int, after: int) -> Float:
    """Impulse responses ``(..., before + after)`` with time zero at tap ``before``.

    Parameters
    ----------
    inv
        The inverse used.
    transfer
        Transfer functions ``(..., frequency)``.
    delay
        What the loopback says of the interface's latency, s: it is taken out.
    before, after
        Samples kept ahead of time zero and from it on; the outer tenth of each side fades.
    """
    shifted = transfer * np.exp(2j * np.pi * inv.f * (delay - before / inv.fs))
    h = fft.irfft(shifted, inv.size, axis=-1)[..., : before + after]
    return np.asarray(h * _edges(before, after))


def _edges(before: int, after: int) -> Float:
    """A window that is 1 but for half a cosine over the outer part of each side (half before, a tenth after)."""
    rise, fall = before // 2, after // 10
    window = np.ones(before + after)
    window[:rise] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(rise) + 0.5) / rise)
    window[before + after - fall :] = 0.5 + 0.5 * np.cos(np.pi * (np.arange(fall) + 0.5) / fall)
    return window
