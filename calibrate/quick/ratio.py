"""Ratio of one unit to another: complex log ratios on a grid of 24 frequencies an octave, and responses from them.

Levels in nepers, phases in radians: ``log r = ln|r| + j arg r``. Spectra come gated, as a design sees them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.units import Complex, Float

PER_OCTAVE = 24
LOWEST_HZ, HIGHEST_HZ = 100.0, 19000.0
MIDDLE_HZ = 600.0
"""Where phases are counted from: below, drivers end and noise begins; above, they turn."""


def grid(fs: int) -> Float:
    """Frequencies ``(frequency,)`` on which units are compared, Hz."""
    top = min(HIGHEST_HZ, 0.42 * fs)
    low, high = (PER_OCTAVE * np.log2(x / 1000.0) for x in (LOWEST_HZ, top))
    return np.asarray(1000.0 * 2.0 ** (np.arange(np.ceil(low), np.floor(high) + 1) / PER_OCTAVE))


def log_ratio(h: Complex, reference: Complex, f: Float, at: Float, plays: NDArray[np.bool_]) -> Complex:
    """Log ratio of spectra ``(driver, path, f)``: cross over power spectrum, averaged around each frequency.

    The phase is counted on from :data:`MIDDLE_HZ`, or half an octave above the lowest frequency that a driver plays:
    there it lies within half a turn. Below that lowest frequency the ratio is :func:`held`.

    Parameters
    ----------
    plays
        Whether a driver plays a frequency ``(driver, at)``.

    Returns
    -------
    ``(driver, path, at)``.
    """
    half = 2.0 ** (0.5 / PER_OCTAVE)
    low = np.searchsorted(f, at / half)
    nearest = nearest_bins(f, at)
    high = np.searchsorted(f, at * half)
    low, high = np.where(high > low, low, nearest), np.where(high > low, high, nearest + 1)
    cross, power = h * reference.conj(), np.abs(reference) ** 2
    r = _sums(cross, low, high) / np.maximum(_sums(power, low, high), 1e-300)
    level = np.log(np.maximum(np.abs(r), 1e-6))
    return np.stack(
        [held(v + 1j * _counted(np.angle(x), at, p), at, p) for v, x, p in zip(level, r, plays, strict=True)]
    )


def nearest_bins(f: Float, at: Float) -> NDArray[np.intp]:
    """Bins of ``f`` that are nearest to frequencies ``at``."""
    return np.asarray(np.argmin(np.abs(f[None, :] - at[:, None]), axis=1))


def _counted(phase: Float, at: Float, plays: NDArray[np.bool_]) -> Float:
    """Phases ``(..., at)`` without jumps of a turn, counted from the middle to both sides."""
    begin = max(MIDDLE_HZ, float(at[plays][0]) * 2.0**0.5) if plays.any() else MIDDLE_HZ
    middle = int(np.argmin(np.abs(at - begin)))
    up = np.unwrap(phase[..., middle:], axis=-1)
    down = np.unwrap(phase[..., middle::-1], axis=-1)[..., :0:-1]
    return np.asarray(np.concatenate([down, up], axis=-1))


def _sums(x: NDArray[np.inexact], low: NDArray[np.intp], high: NDArray[np.intp]) -> NDArray[np.inexact]:
    total = np.concatenate([np.zeros((*x.shape[:-1], 1), dtype=x.dtype), np.cumsum(x, axis=-1)], axis=-1)
    return np.asarray(total[..., high] - total[..., low])


def between(values: NDArray[np.inexact], at: Float, f: Float) -> NDArray[np.inexact]:
    """Values ``(..., at)`` at other frequencies ``(..., f)``, over log frequency; held beyond the ends.

    The phase of a complex log ratio is not held but goes to nothing at 0 Hz.
    """
    x, grid_ = np.log(np.maximum(f, 1e-3)), np.log(at)
    i = np.clip(np.searchsorted(grid_, x) - 1, 0, len(at) - 2)
    part = np.clip((x - grid_[i]) / (grid_[i + 1] - grid_[i]), 0.0, 1.0)
    out = values[..., i] * (1.0 - part) + values[..., i + 1] * part
    if np.iscomplexobj(out):
        out = out.real + 1j * out.imag * np.minimum(f / at[0], 1.0)
    return np.asarray(out)


def held(log_r: Complex, at: Float, plays: NDArray[np.bool_]) -> Complex:
    """Log ratios ``(..., at)`` that are constant in level and in delay below the lowest frequency that is played."""
    first = int(np.argmax(plays))
    if not plays.any() or first == 0:
        return log_r
    out = np.array(log_r)
    edge = log_r[..., first, None]
    out[..., :first] = edge.real + 1j * edge.imag * at[:first] / at[first]
    return out


def applied(h: Float, log_r: Complex, at: Float, fs: int) -> Float:
    """Responses ``(..., tap)`` of a unit that is ``exp(log_r (..., at))`` over another's ``h``."""
    n = h.shape[-1]
    size = 2 * n
    f: Float = np.asarray(np.fft.rfftfreq(size, 1.0 / fs), dtype=np.float64)
    ratio = np.exp(between(log_r, at, f))
    ratio[..., -1] = ratio[..., -1].real
    return np.asarray(np.fft.irfft(np.fft.rfft(h, size, axis=-1) * ratio, size, axis=-1)[..., :n])
