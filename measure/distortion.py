"""Distortion from the sweep that measured the response: harmonics 2 to 5 and their total, each with its noise floor.

A synchronised sweep makes harmonic ``n`` of what plays the same sweep ``L ln n`` earlier (A. Novak, P. Lotton and L.
Simon, J. Audio Eng. Soc. 63, 786, 2015). In the deconvolved response each harmonic is therefore separate, before the
linear one, and its spectrum at the frequency ``F`` is the harmonic of a tone of ``F / n``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.deconvolve import Inverse, Spectra, circular, edges
from sweetspot.measure.smooth import SMOOTH_BINS, running_mean, running_median
from sweetspot.measure.sweep import Sweep
from sweetspot.rigs.acoustics import fft, half_cosine
from sweetspot.rigs.arrays import median
from sweetspot.rigs.units import Float

ORDERS = (2, 3, 4, 5)
ROOM = 0.9
"""Share of the time between two harmonics that a window may take."""
AHEAD, BEHIND = 4.0, 6.0
"""Periods of the lowest frequency that a window holds ahead of a harmonic's arrival and after it, if there is room."""
CLEAR_DB = 40.0
"""Signal to noise from which a bin stands by itself; below it the power of a third octave does."""
PLAYED_DB = 20.0
"""Fundamentals further below the median of measurable ones are not used as a reference for harmonics, dB."""
HEARD_DB = 3.0
"""SNR below which only noise was found, dB."""
FALLING = 2.0
"""Ratio of the first to the last stretches from which a tail is seen."""

STRETCHES = 12
THIRD = 2.0 ** (1.0 / 6.0)
"""Half of a third octave, as a ratio."""


@dataclass(frozen=True, slots=True, eq=False)
class Distortion:
    """Harmonic distortion of one source.

    Parameters
    ----------
    f
        Frequencies of the fundamental, Hz, ``(frequency,)``.
    level
        Amplitude of the fundamental, Pa/FS, ``(mic, frequency)``.
    harmonics
        Amplitude of each of :data:`ORDERS` over that of the fundamental, ``(mic, order, frequency)``: not a number
        where it lies below its noise floor or above the judged band.
    floor
        What noise alone would give there, alike; not a number above the judged band.
    smoothed
        Where the power of a third octave was taken, ``(mic, order, frequency)``.
    thd
        Root of the sum of the squares of the harmonics found, ``(mic, frequency)``; not a number where none was.
    """

    f: Float
    level: Float
    harmonics: Float
    floor: Float
    smoothed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    thd: Float

    def in_octaves(self, mic: int, lowest_hz: float = 0.0) -> list[dict[str, float]]:
        """Root mean square in each octave from 125 Hz to 8 kHz, percent: the total, its floor, and each harmonic.

        Fundamentals below ``lowest_hz``, and those that are hardly played (:data:`PLAYED_DB`), are left out.

        Keys are ``hz``, ``thd``, ``floor``, ``h2`` to ``h5``; not a number where it lies below the floor.
        """
        rows = []
        played = self.played(mic, lowest_hz)
        for centre in 125.0 * 2.0 ** np.arange(7):
            inside = played & (self.f >= centre / np.sqrt(2.0)) & (self.f < centre * np.sqrt(2.0))
            if not inside.any():
                continue
            each = {f"h{n}": _rms(self.harmonics[mic, i, inside]) for i, n in enumerate(ORDERS)}
            rows.append({"hz": float(centre), "thd": _rms(self.thd[mic, inside]),
                         "floor": _rms(self.thd_floor[mic, inside]), **each})  # fmt: skip
        return rows

    def played(self, mic: int, lowest_hz: float = 0.0) -> NDArray[np.bool_]:
        """Fundamentals ``(frequency,)`` that harmonics can be related to: not :data:`PLAYED_DB` below their median.

        Those below ``lowest_hz``, where the source's band begins, do not count.
        """
        level, there = self.level[mic], self.f >= lowest_hz
        return (
            np.asarray(there & (level >= 10.0 ** (-PLAYED_DB / 20.0) * median(level[there]))) if there.any() else there
        )

    @property
    def thd_floor(self) -> Float:
        """:attr:`thd` of noise alone, ``(mic, frequency)``."""
        return np.asarray(np.sqrt(np.nansum(self.floor**2, axis=1)))


def _rms(x: Float) -> float:
    """Root mean square of the numbers among ``x``, percent; not a number if fewer than half are."""
    there = x[np.isfinite(x)]
    return 100.0 * float(np.sqrt(np.mean(there**2))) if 2 * len(there) >= len(x) else float("nan")


@dataclass(frozen=True, slots=True)
class Window:
    """Window of a harmonic: samples before its arrival, and from it on."""

    before: int
    after: int


def windows(sweep: Sweep, before: int, after: int) -> dict[int, Window]:
    """The windows of the fundamental (1) and of every harmonic, none of which reaches into its neighbours'.

    ``before`` and ``after`` are those of the kept response, samples: a window is as long as these, or as some periods
    of the lowest frequency, unless its neighbours are nearer.
    """
    period = sweep.fs / sweep.band[0]
    out, free = {}, 0.0
    for n in (1, *ORDERS):
        behind = sweep.rate * np.log(n / (n - 1)) * sweep.fs if n > 1 else np.inf
        ahead = sweep.rate * np.log((n + 1) / n) * sweep.fs
        first = int(min(max(before, AHEAD * period), 0.5 * ROOM * ahead))
        last = int(min(max(after, BEHIND * period), ROOM * behind - free))
        out[n], free = Window(first, last), float(first)
    return out


def _within(f: Float, sweep: Sweep, n: int) -> Float:
    """1 where harmonic ``n`` of the judged band lies, falling to 0 over the guard bands: an edge would ring.

    Below, half a cosine over log frequency down to what the sweep's beginning makes. Above, the square of one, since
    the quotient there has the harmonic whole but the sweep fading.
    """
    log_f = np.log(np.maximum(f, 1e-3))
    low, first = np.log(n * sweep.band[0]), np.log(n * sweep.swept[0])
    high, last = np.log(sweep.band[1]), np.log(sweep.swept[1])
    return half_cosine.rise((log_f - first) / (low - first)) * half_cosine.rise((last - log_f) / (last - high)) ** 2


def of_transfer(
    inv: Inverse,
    sweep: Sweep,
    transfer: Spectra,
    delay: float,
    before: int,
    after: int,
    *,
    points: int = 24,
    local: Callable[[Float], Float] | None = None,
) -> Distortion:
    """Distortion of one source at every microphone.

    Parameters
    ----------
    inv, transfer, delay
        As for :func:`sweetspot.measure.deconvolve.responses`; ``transfer (mic, frequency)``.
    before, after
        What is kept of a response, samples.
    points
        Fundamentals in each octave.
    local
        Power ``(order, mic, frequency)`` that noise has where each harmonic is read, at frequencies ``(frequency,)``
        in Hz, where it is not the same at all lags: a splice's.

    Notes
    -----
    The power of a harmonic is taken without the power that noise has in its window; where less than 40 dB are left
    over noise, it is the mean over a third octave. The noise is that at lags between the end of the kept response and
    the seventh harmonic.
    """
    low, high = inv.band
    f = low * 2.0 ** (np.arange(int(points * np.log2(high / low)) + 1) / points)
    size = int(fft.next_fast_len(4 * (before + after), real=True))
    grid = np.asarray(fft.rfftfreq(size, 1.0 / inv.fs))
    whole = circular(inv, transfer, delay, before)
    cut = windows(sweep, before, after)
    linear = np.sqrt(_power(inv, transfer, delay, cut.pop(1), size))
    level = np.stack([np.interp(f, grid, row) for row in linear])
    found, floors, means = [], [], []
    for n, window in cut.items():
        within = transfer * _within(inv.f, sweep, n).astype(np.float32)
        power = _power(inv, within, delay - sweep.rate * float(np.log(n)), window, size)
        noise = _noise(whole, before + after, window, sweep, size)
        noise = noise if local is None else np.maximum(noise, local(grid)[ORDERS.index(n)])
        one = [_read(grid, p, q, n * f, high) for p, q in zip(power, noise, strict=True)]
        beyond = np.where(n * f <= high, 1.0, np.nan)
        found.append(np.stack([np.sqrt(p) for p, _, _ in one]) * beyond / level)
        floors.append(np.stack([np.sqrt(np.maximum(q, 0.0)) for _, q, _ in one]) * beyond / level)
        means.append(np.stack([s for _, _, s in one]))
    harmonics = np.stack(found, axis=1)
    some = np.any(np.isfinite(harmonics), axis=1)
    thd = np.where(some, np.sqrt(np.nansum(harmonics**2, axis=1)), np.nan)
    return Distortion(np.asarray(f), level, harmonics, np.stack(floors, axis=1), np.stack(means, axis=1), thd)


def _power(inv: Inverse, transfer: Spectra, delay: float, window: Window, size: int) -> Float:
    """Power ``(mic, bin)`` in a window around the lag ``delay``."""
    x = circular(inv, transfer, delay, window.before)[..., : window.before + window.after]
    return np.asarray(np.abs(fft.rfft(x * edges(window.before, window.after), size, axis=-1)) ** 2, dtype=float)


def _noise(whole: np.ndarray[tuple[int, ...], np.dtype[np.floating]], first: int, window: Window, sweep: Sweep,
           size: int) -> Float:  # fmt: skip
    """Mean power ``(mic, bin)`` in windows without response or harmonics."""
    span = window.before + window.after
    last = whole.shape[-1] - round(sweep.rate * np.log(ORDERS[-1] + 2) * sweep.fs) - span
    starts = np.linspace(first, max(last, first), STRETCHES).astype(int)
    cut = edges(window.before, window.after)
    powers = np.array([np.abs(fft.rfft(whole[..., s : s + span] * cut, size, axis=-1)) ** 2 for s in starts])
    return _at_the_end(np.asarray(powers, dtype=float))


def _at_the_end(powers: Float) -> Float:
    """Power ``(mic, bin)`` of stretches ``(stretch, mic, bin)``: their mean, or the last third's if a room's decay is
    long, compared as in :func:`sweetspot.measure.judge.uncertainty.floor`.

    Harmonics lie behind all of the stretches, where a decaying tail is weaker still.
    """
    mean, third = powers.mean(axis=0), STRETCHES // 3
    ends = np.stack([powers[:third].mean(axis=0), powers[-third:].mean(axis=0)])
    re_mean = running_mean(ends, SMOOTH_BINS) / np.maximum(running_mean(mean, SMOOTH_BINS), 1e-300)
    first, last = running_median(re_mean)
    return np.asarray(mean * np.where(first > FALLING * last, last, 1.0))


def _read(grid: Float, power: Float, noise: Float, at: Float, high: float) -> tuple[Float, Float, Float]:
    """Power of a harmonic and of noise, and whether a third octave was used, at output frequencies ``at``."""
    wide, floor = _third(grid, power, at, high), _third(grid, noise, at, high)
    narrow = np.interp(at, grid, power)
    clean = narrow - floor
    over = np.maximum(wide - floor, 0.0)
    smooth = over < 10.0 ** (CLEAR_DB / 10.0) * floor
    heard = over > 10.0 ** (HEARD_DB / 10.0) * floor
    value = np.where(smooth, over, np.maximum(clean, 0.0))
    return np.where(heard, value, np.nan), floor, smooth


def _third(grid: Float, power: Float, at: Float, high: float) -> Float:
    """Mean power over a third octave around each of ``at``, without bins above ``high``."""
    total = np.concatenate([[0.0], np.cumsum(power)])
    a = np.searchsorted(grid, at / THIRD)
    b = np.minimum(np.maximum(np.searchsorted(grid, np.minimum(at * THIRD, high)), a + 1), len(power))
    a = np.minimum(a, b - 1)
    return np.asarray((total[b] - total[a]) / (b - a))
