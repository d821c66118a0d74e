"""Delay estimation: all estimators in one place, each with its use.

===================== ================================================= ==========================================
estimator             takes                                             good for
===================== ================================================= ==========================================
``peak_s``            the largest sample of an impulse response         a clean path, to a sample
``slope_s``           the slope of the phase left after that            the loopback, to a thousandth of a sample
``onset``             the first sample past a tenth of the peak         arrivals of sound, reflections after them
``group_delay_s``     the phase step from bin to bin, power-weighted    programs that shall arrive together
``phase_delay_s``     the mean phase over frequency below 1.5 kHz       interaural delay
``envelope_delay_s``  the peak of the envelope of unevenly spaced bins  imported responses as text
``whitened_lag``      the peak of the whitened cross-correlation        finding a sweep in a recording
``fine_s``            the phase of a cross-spectrum, low bins first     the same to a fraction of a sample
===================== ================================================= ==========================================

Two more stay with what only they know: :mod:`preflight.paths.path_responses` times multitones by the envelope of their
tones, and :mod:`judge.clocks` fits a delay together with the drift of a clock.

References: Knapp and Carter, "The generalized correlation method for estimation of time delay", IEEE Trans. ASSP 24,
320 (1976), for the whitened correlation and the weighting by coherence; Defrance, Daudet and Polack, "Finding the onset
of a room impulse response", J. Acoust. Soc. Am. 124, EL248 (2008), for the threshold; Piersol, "Time delay estimation
using phase data", IEEE Trans. ASSP 29, 471 (1981), for the slope.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Complex, Float

ONSET = 0.1
"""Fraction of the peak that marks the onset of a response."""

TOGETHER = 8
"""Responses that are looked at in one call: they fit the cache, which takes half the time."""

GROUP_HZ = (300.0, 3000.0)
"""Band over which a group delay is a mean, Hz."""

EAR_HZ = (200.0, 1500.0)
"""Band in which the interaural phase gives a delay, Hz."""

ENVELOPE_S, ENVELOPE_FINE = 0.5, 8
"""Longest delay searched for uneven bins, s (their spacing may allow less), and search steps per period."""


def peak_s(spectrum: Complex, size: int, fs: int) -> float:
    """Delay, s, of the largest sample of an impulse response of ``size`` samples, from its ``(frequency,)``.

    In single precision, which takes half the time; a sample that has more than half of the energy needs no transform,
    which takes a third of that: it is the largest.
    """
    at = _sum_of(spectrum, size)
    return at / fs if at is not None else int(np.argmax(np.abs(fft.irfft(spectrum.astype(np.complex64), size)))) / fs


def _sum_of(spectrum: Complex, size: int) -> int | None:
    """The sample at the mean group delay, if it has more than half of the energy of the response."""
    at = round(-float(np.angle(np.vdot(spectrum[:-1], spectrum[1:]))) * size / (2.0 * np.pi)) % size
    late = fft.phases(-2.0 * np.pi * at / size, len(spectrum), np.dtype(np.complex128))
    both = np.vdot(late, spectrum).real, np.vdot(spectrum, spectrum).real
    once = spectrum[[0, -1]] if size % 2 == 0 else spectrum[:1]  # the others stand for two bins each
    found = 2.0 * both[0] - np.sum((once * late[[0, -1]][: len(once)].conj()).real)
    energy = 2.0 * both[1] - np.sum(np.abs(once) ** 2)
    return at if found**2 > 0.5 * size * energy else None


def slope_s(rest: Complex, f: Float) -> float:
    """Delay, s, that a transfer function has left: the slope of its phase, weighted with power; any constant phase."""
    weight = rest.real**2 + rest.imag**2
    apart = f - np.sum(weight * f) / np.sum(weight)
    weight *= apart
    return -float(np.sum(weight * unwrapped(np.angle(rest))) / np.sum(weight * apart)) / (2.0 * np.pi)


def unwrapped(phase: Float) -> Float:
    """A phase ``(frequency,)``, rad, without jumps of whole turns; one without is returned at once."""
    return phase if np.all(np.abs(np.diff(phase)) < np.pi) else np.unwrap(phase)


def onset(h: Float) -> NDArray[np.intp]:
    """Sample at which responses ``(..., tap)`` first pass a tenth of their peak ``(...,)``."""
    rows = h.reshape(-1, h.shape[-1])
    found = np.empty(len(rows), dtype=np.intp)
    for first in range(0, len(rows), TOGETHER):
        level = np.abs(rows[first : first + TOGETHER])
        found[first : first + TOGETHER] = np.argmax(level >= ONSET * level.max(axis=-1, keepdims=True), axis=-1)
    return found.reshape(h.shape[:-1])


def group_delay_s(heard: Complex, f: Float) -> float:
    """Arrival of a response ``(frequency,)``, s: group delay, the mean over :data:`GROUP_HZ` weighted with power."""
    h = heard[(f >= GROUP_HZ[0]) & (f <= GROUP_HZ[1])]
    return float(-np.angle(np.sum(h[1:] * h[:-1].conj())) / (2.0 * np.pi * (f[1] - f[0])))


def phase_delay_s(near: Complex, far: Complex, f: Float) -> Float:
    """Interaural delay of the far ear, ``(...,)`` s: mean phase delay over :data:`EAR_HZ`."""
    inside = (f >= EAR_HZ[0]) & (f <= EAR_HZ[1])
    phase = np.unwrap(np.angle(near[..., inside] * far[..., inside].conj()), axis=-1)
    return np.asarray(np.mean(phase / (2.0 * np.pi * f[inside]), axis=-1))


def envelope_delay_s(f: Float, spectrum: NDArray[np.complex128]) -> float:
    """The delay at which a transfer function is most of one piece, s; bins may lie at any spacing."""
    step = float(np.diff(f).max())
    reach = min(ENVELOPE_S, 1.0 / float(np.diff(f).min()))
    weight = np.gradient(f) * np.exp(-((np.log(np.maximum(f, 1.0) / 1500.0) / 1.2) ** 2))
    flat = spectrum / np.maximum(np.abs(spectrum), 1e-30) * weight
    t = np.arange(-0.005, reach, 1.0 / (ENVELOPE_FINE * min(max(step, 2000.0), 8000.0)))
    # every part of t has the same turns, from where it begins: 9 ms a file, and 0.6 s with an exponential for each t
    part = -(-len(t) // 64)
    turns, begins = np.exp(2j * np.pi * np.outer(t[:part] - t[0], f)), np.exp(2j * np.pi * np.outer(f, t[::part]))
    total = np.abs(turns @ (flat[:, None] * begins)).T.reshape(-1)[: len(t)]
    return float(t[int(np.argmax(total))])


def whitened_lag(x: NDArray[np.floating], y: NDArray[np.floating], enough: float) -> tuple[int, float]:
    """Lag of ``x (channel, samples)`` behind ``y``, samples, and how clear it is; all channels together.

    Parameters
    ----------
    enough
        What is clear enough. Where ``y`` then lies in ``x`` as a whole, as it nearly always does, transforms as long as
        ``x`` show it, in half of the time; else they are long enough for any lag.
    """
    if (most := x.shape[1] - y.shape[1]) >= 0:
        at, clear = _whitened_peak(x, y, int(fft.next_fast_len(x.shape[1], real=True)))
        if at <= most and clear >= enough:
            return at, clear
    n = int(fft.next_fast_len(x.shape[1] + y.shape[1], real=True))
    at, clear = _whitened_peak(x, y, n)
    return at if at < n - y.shape[1] else at - n, clear


def _whitened_peak(x: NDArray[np.floating], y: NDArray[np.floating], n: int) -> tuple[int, float]:
    """Largest sample of the whitened cross-correlation on a circle of ``n``, and its ratio to the rms of all."""
    cross = np.sum(fft.rfft(x, n, axis=-1) * np.conj(fft.rfft(y, n, axis=-1)), axis=0)
    size = np.abs(cross)
    together = np.abs(fft.irfft(cross / (size + 1e-3 * np.max(size) + 1e-30), n))
    at = int(np.argmax(together))
    return at, float(together[at] / max(float(np.sqrt(np.mean(together**2))), 1e-30))


def fine_s(cross: Complex, f: Float, about: float) -> float:
    """Delay, s, near ``about`` of a cross-spectrum ``(frequency,)``, to a fraction of a sample."""
    omega, found = 2.0 * np.pi * f, about
    for reach in (800.0, 3000.0, 8000.0):  # low frequencies first: no turn of the phase is missed
        part = f <= reach
        turned = cross[part] * np.exp(1j * omega[part] * found)
        weight = np.abs(turned)
        found -= float(np.sum(weight * omega[part] * np.angle(turned)) / np.sum(weight * omega[part] ** 2))
    return found


def vertex(before: float, at: float, after: float) -> float:
    """Where between three samples of a peak its top lies, re the middle one: the parabola through them."""
    bend = before - 2 * at + after
    return 0.5 * (before - after) / bend if bend else 0.0
