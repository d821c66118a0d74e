"""Bursts, hum and stuck samples in one capture, without knowing what the response is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft, stats

from measure.sweep import Sweep
from rigs.units import Float, from_db, power_db

FRAME_S = 0.02
ABOVE_HARMONICS = 8.0
BELOW_SWEEP = 1.3
MARGIN_BINS = 5
FALSE_ALARM = 1e-9
MARGIN = 1.5
DECAYED = 1.4
CLIPPED_RUN = 3
HUM_PROMINENCE_DB = 15.0
HUM_LEVEL_DB = -50.0
_BLACKMAN_HARRIS = (0.35875, -0.48829, 0.14128, -0.01168)


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """Where and when a sweep leaves a capture to the noise alone.

    Parameters
    ----------
    fs
        Sampling rate, Hz.
    size
        Frame length, samples; frames advance by half of it.
    free
        ``(frame, bin)``: neither the sweep, nor its harmonics, nor what it lights up in the converters is there.
    lag
        ``(frame, bin)``: seconds since the sweep passed; negative before.
    bands
        Half-octave bands, slices of bins.
    """

    fs: int
    size: int
    free: NDArray[np.bool_]
    lag: Float
    bands: tuple[slice, ...]


def mapped(sweep: Sweep, samples: int, latency: float) -> Map:
    """The map of a capture of ``samples`` that begins with ``sweep`` and is heard ``latency`` s late."""
    size = 2 * round(FRAME_S * sweep.fs / 2)
    frames = (samples - size) // (size // 2) + 1
    f = fft.rfftfreq(size, 1.0 / sweep.fs)
    middle = (np.arange(frames) * (size // 2) + size / 2) / sweep.fs - latency
    reach = FRAME_S / 2
    first = sweep.swept[0] * np.exp(np.clip(middle - reach, 0.0, None) / sweep.rate)
    last = sweep.swept[0] * np.exp(np.clip(middle + reach, 0.0, len(sweep.x) / sweep.fs) / sweep.rate)
    width = MARGIN_BINS * f[1]
    ahead = f[None, :] > (ABOVE_HARMONICS * last + width)[:, None]
    behind = f[None, :] < np.minimum(first / BELOW_SWEEP, first - width)[:, None]
    sounding = middle - reach < len(sweep.x) / sweep.fs
    free = (ahead & sounding[:, None]) | behind
    free[:, f < 2 * f[1]] = False
    free[:, f > sweep.band[1]] = False
    passed = sweep.rate * np.log(np.maximum(f, sweep.swept[0]) / sweep.swept[0])
    edges = np.unique(np.searchsorted(f, sweep.band[1] * 2.0 ** np.arange(-10.0, 0.1, 0.5)))
    bands = tuple(slice(int(a), int(b)) for a, b in pairwise(edges) if b - a >= 2)
    return Map(sweep.fs, size, free, middle[:, None] - passed[None, :], bands)


def burst(x: NDArray[np.float32], where: Map) -> tuple[float, float, float] | None:
    """A burst in one channel ``x (samples,)``: when (s), at which frequency (Hz), how far above the noise (dB).

    The capture is cut into frames of 20 ms (Blackman-Harris window, half overlapped). Cells that the sweep and its
    harmonics leave free hold noise and decaying reverberation. The noise of each frequency is the median over its free
    cells; reverberation is left out for as long as a band's median at equal lag behind the sweep shows it.
    The mean over the free cells of a frame and half octave, each relative to its noise, is then a chi-square variate;
    a burst passes its quantile at 1e-9 by a factor of 1.5.
    """
    power = _frames(x, where)
    free = where.free.copy()
    noise = _noise(power, free)
    free &= (noise > 0)[None, :]
    relative = np.where(free, power / np.maximum(noise, 1e-300)[None, :], 0.0)
    for band in where.bands:
        lag = where.lag[:, band]
        free[:, band] &= (lag < 0) | (lag > _decay_s(relative[:, band], free[:, band], lag))
    noise = _noise(power, free)
    relative = np.where(free & (noise > 0)[None, :], power / np.maximum(noise, 1e-300)[None, :], 0.0)
    worst: tuple[float, float, float] | None = None
    for band in where.bands:
        count = np.count_nonzero(free[:, band], axis=1)
        mean = relative[:, band].sum(axis=1) / np.maximum(count, 1)
        limit = MARGIN * _quantile(count)
        over = np.where(count > 0, mean / limit, 0.0)
        frame = int(np.argmax(over))
        if over[frame] > 1.0 and (worst is None or mean[frame] > worst[2]):
            weight = relative[frame, band]
            f = float((band.start + int(np.argmax(weight))) * where.fs / where.size)
            worst = ((frame + 1) * where.size / 2 / where.fs, f, float(mean[frame]))
    return None if worst is None else (worst[0], worst[1], float(power_db(worst[2])))


def _frames(x: NDArray[np.float32], where: Map) -> Float:
    """Powers ``(frame, bin)``."""
    phase = 2.0 * np.pi * np.arange(where.size) / where.size
    window = sum(a * np.cos(k * phase) for k, a in enumerate(_BLACKMAN_HARRIS))
    views = np.lib.stride_tricks.sliding_window_view(x, where.size)[:: where.size // 2][: len(where.free)]
    return np.asarray(np.abs(fft.rfft(views * np.asarray(window, dtype=np.float32), axis=1)) ** 2, dtype=float)


def _noise(power: Float, free: NDArray[np.bool_]) -> Float:
    """Mean noise power ``(bin,)``: the median over free cells, for a chi-square variate of two degrees of freedom.

    Bins with fewer than six free cells have none (0).
    """
    count = np.count_nonzero(free, axis=0)
    ranked = np.sort(np.where(free, power, np.inf), axis=0)
    middle = np.take_along_axis(ranked, np.maximum(count // 2, 0)[None, :].clip(max=len(ranked) - 1), axis=0)[0]
    return np.where(count >= 6, np.where(np.isfinite(middle), middle, 0.0) / np.log(2.0), 0.0)


def _decay_s(relative: Float, free: NDArray[np.bool_], lag: Float) -> float:
    """How long behind the sweep the median cell is above the noise, s."""
    behind = free & (lag > 0)
    if not behind.any():
        return 0.0
    step = FRAME_S
    slot = (lag[behind] / step).astype(int)
    values = relative[behind]
    order = np.argsort(slot, kind="stable")
    slot, values = slot[order], values[order]
    starts = np.searchsorted(slot, np.arange(slot[-1] + 2))
    above, first = 0, int(slot[0])
    for k, (a, b) in enumerate(pairwise(starts)):
        if b - a >= 2 and np.median(values[a:b]) / np.log(2.0) > DECAYED:
            above = k + 1
        elif b - a >= 2 and k > max(above, first) + 3:
            break
    return (above + 2) * step


def _quantile(count: NDArray[np.intp]) -> Float:
    """Limit on the mean of ``count`` cells; neighbouring bins share their noise through the window (two of three)."""
    apart = np.maximum(count / 2.0, 1.0)
    return np.asarray(stats.gamma.isf(FALSE_ALARM, apart) / apart)


def stuck(x: NDArray[np.float32]) -> int | None:
    """Where three or more equal samples stand at the extreme of one channel, as a clipping stage leaves them."""
    top = float(np.max(np.abs(x), initial=0.0))
    if top == 0.0:
        return None
    at = np.abs(x) >= top * (1.0 - 1e-6)
    run = at[2:] & at[1:-1] & at[:-2] & (np.sign(x[2:]) == np.sign(x[:-2])) & (np.sign(x[1:-1]) == np.sign(x[:-2]))
    found = np.flatnonzero(run)
    return int(found[0]) if len(found) else None


def hum(x: NDArray[np.float32], sweep: Sweep, latency: float, decay: float) -> tuple[float, float] | None:
    """Mains hum in one channel: its fundamental (50 or 60 Hz) and level in dB re the capture's, if it matters.

    Read off the stretch after the sweep has left the lowest octaves: power in the lines at multiples of the mains,
    where they stand 15 dB above their neighbours.
    """
    begin = round((latency + decay + sweep.rate * np.log(max(400.0, 2 * sweep.band[0]) / sweep.swept[0])) * sweep.fs)
    rest = x[begin:]
    if len(rest) < 0.25 * sweep.fs:
        return None
    n = np.arange(len(rest)) * 2.0 * np.pi / len(rest)
    window = np.asarray(sum(a * np.cos(k * n) for k, a in enumerate(_BLACKMAN_HARRIS)))
    power = np.abs(fft.rfft(rest * window)) ** 2 / (np.sum(window**2) * len(rest) / 2)
    spacing = sweep.fs / len(rest)
    total = float(np.mean(np.asarray(x, dtype=float) ** 2))
    found = []
    for mains in (50.0, 60.0):
        lines = [_line(power, k * mains / spacing) for k in range(1, 6)]
        found.append((sum(lines), mains))
    level, mains = max(found)
    relative = float(power_db(level / max(total, 1e-300)))
    return (mains, relative) if relative > HUM_LEVEL_DB and level > 0 else None


def _line(power: Float, at: float) -> float:
    """Power of a line at bin ``at`` (0 if it does not stand out of its neighbours)."""
    near = power[max(round(at) - 4, 0) : round(at) + 5]
    around = np.concatenate(
        [power[max(round(at) - 14, 0) : max(round(at) - 5, 0)], power[round(at) + 6 : round(at) + 15]]
    )
    if not len(around) or near.max() < float(from_db(HUM_PROMINENCE_DB)) ** 2 * np.median(around):
        return 0.0
    return float(near.sum())
