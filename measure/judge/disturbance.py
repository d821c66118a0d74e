"""Hum, clipping before the converter, and lost samples in one channel of a raw capture."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.sweep import Sweep
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Float, from_db, power_db

CLIPPED_COUNT = 3
CREST_STEPS = 2.0
"""Steps of a converter by which rounded samples may misplace a crest; clipping by less takes nothing that matters."""
HELD_RUN = 8
HUM_PROMINENCE_DB = 15.0
HUM_LEVEL_DB = -50.0
HUM_STEADY_DB = 2.0
"""Largest change of a hum's line between thirds of a stretch, dB: as much as 7.5 s of reverberation in 0.25 s."""
MAINS_STRAY, MAINS_BINS = 0.005, 1.5
"""Largest distance of a line from a multiple of the mains: the larger of a share of it and bins of the spectrum."""
HARMONICS, NEIGHBOURS = 5, 14
"""Multiples of the mains that count; bins on each side of a line that it is compared with."""
_BLACKMAN_HARRIS = (0.35875, -0.48829, 0.14128, -0.01168)


def stuck(x: NDArray[np.float32]) -> int | None:
    """Position of clipping before the converter in one channel: three or more samples equal to the largest.

    A converter of few bits makes equals by chance; then they are as frequent among the next 60 values, and no reason.
    Nor is a slow crest of which the converter's steps leave equal neighbours, if they are all that is equal.
    """
    size = np.abs(x)
    is_largest = size == np.max(size, initial=0.0)
    equal = int(np.count_nonzero(is_largest))
    if equal < CLIPPED_COUNT or not np.any(size):
        return None  # nearly every capture: those below need not be sorted
    count = min(len(size), 400)
    largest = np.sort(np.partition(size, len(size) - count)[len(size) - count :])[::-1]
    if np.count_nonzero(np.diff(largest[equal : equal + 60]) == 0.0) >= CLIPPED_COUNT - 1:
        return None
    first = int(np.argmax(is_largest))
    steps = -np.diff(largest.astype(float))
    if is_largest[first : first + equal].all() and _rounded(
        size, first, equal, float(np.min(steps[steps > 0.0], initial=np.inf))
    ):
        return None
    return first


def _rounded(size: NDArray[np.float32], first: int, count: int, step: float) -> bool:
    """Whether a run of equal samples is a crest as rounding to steps leaves it: the parabola through two samples at
    each side does not rise above it by more than :data:`CREST_STEPS`."""
    if first < 2 or first + count + 2 > len(size):
        return False
    n = np.arange(-2.0, count + 2.0)
    beside = (n < 0.0) | (n >= count)
    near = size[first - 2 : first + count + 2].astype(float)
    curve = np.polynomial.Polynomial.fit(n[beside], near[beside], 2)
    return bool(np.max(curve(n[~beside])) <= near[2] + CREST_STEPS * step)


def held(x: NDArray[np.float32]) -> tuple[int, int] | None:
    """Position and length of a run of at least eight equal samples, as in a gap.

    Silence ahead of the first sound and after the last is no gap; a channel that is silent throughout has none.
    """
    if not _equal_run(x):
        return None  # nearly every capture, in a fifth of the time
    sounding = np.flatnonzero(np.abs(x) > 1e-3 * np.max(np.abs(x)))
    if len(sounding) < 2:
        return None
    first, last = int(sounding[0]), int(sounding[-1])
    change = np.flatnonzero(np.diff(x[first : last + 1]) != 0.0)
    runs = np.diff(change)
    if not len(runs) or runs.max() < HELD_RUN:
        return None
    longest = int(np.argmax(runs))
    return first + int(change[longest]) + 1, int(runs[longest])


def _equal_run(x: NDArray[np.float32]) -> bool:
    """Whether there is a run of :data:`HELD_RUN` equal samples, silence included."""
    equal, pairs = x[1:] == x[:-1], 1
    while pairs < HELD_RUN - 1:
        step = min(pairs, HELD_RUN - 1 - pairs)
        equal, pairs = equal[:-step] & equal[step:], pairs + step
    return bool(equal.any())


def hum(x: NDArray[np.float32], sweep: Sweep, latency: float, decay: float) -> tuple[float, float] | None:
    """Mains hum in one channel: its fundamental (50 or 60 Hz) and level in dB re the capture's, if it matters.

    Read off the stretch after the sweep has left the lowest octaves: power in the lines at multiples of the mains,
    where they stand 15 dB above their neighbours and are as strong until its end: a mode of a live room dies away.
    """
    begin = round((latency + hum_from_s(sweep, decay)) * sweep.fs)
    rest = x[begin : begin + max(len(x) - begin, 0) // 1024 * 1024]
    if len(rest) < 0.25 * sweep.fs:
        return None
    limit = float(np.mean(np.asarray(x, dtype=float) ** 2)) * float(from_db(HUM_LEVEL_DB)) ** 2
    mains, level = mains_of(rest, sweep.fs, limit)
    return (mains, float(power_db(level / limit)) + HUM_LEVEL_DB) if level > limit else None


def hum_from_s(sweep: Sweep, decay: float) -> float:
    """Time in a capture from which hum is looked for, s: the sweep has left the lowest octaves, which have decayed."""
    return float(decay + sweep.rate * np.log(max(400.0, 2 * sweep.band[0]) / sweep.swept[0]))


def mains_of(x: NDArray[np.float32], fs: int, limit: float = 0.0) -> tuple[float, float]:
    """Mains fundamental (50 or 60 Hz) and power of its steady lines in a stretch without other sound; 0 and 0 if none.

    Parameters
    ----------
    x
        One channel, ``(samples,)``, at least 0.25 s.
    limit
        Power of lines below which their steadiness is not looked at.
    """
    window, spacing = _window(len(x)), fs / len(x)
    low = fft.rfft(x * window)[: round(HARMONICS * 60.0 / spacing) + NEIGHBOURS + 1]
    power = (np.abs(low) ** 2 / (np.sum(window**2) * len(x) / 2)).tolist()  # a list: lines have few bins
    found = []
    for mains in (50.0, 60.0):
        lines = {k * mains: _line(power, k * mains / spacing) for k in range(1, HARMONICS + 1)}
        if sum(lines.values()) > limit:
            found.append((sum(p for f, p in lines.items() if p > 0.0 and _steady(x, f / fs)), mains))
    level, mains = max(found, default=(0.0, 0.0))
    return (mains, level) if level > 0.0 else (0.0, 0.0)


@lru_cache(maxsize=4)
def _window(samples: int) -> Float:
    """Window for lines, ``(samples,)``: as long for every capture of a set."""
    n = np.arange(samples) * 2.0 * np.pi / samples
    return np.asarray(sum(a * np.cos(k * n) for k, a in enumerate(_BLACKMAN_HARRIS)))


def _steady(x: NDArray[np.float32], f: float) -> bool:
    """Whether a line at ``f`` (cycles a sample) is equally strong in three stretches that overlap by half, up to the
    end of ``x``; the first third, where more of a decay is left, does not count."""
    n = len(x) // 3
    parts = np.stack([x[len(x) - 2 * n + s :][:n] for s in (0, n // 2, n)]) * np.hanning(n)
    levels = power_db(np.abs(parts @ np.exp(-2j * np.pi * f * np.arange(n))) ** 2)
    return bool(np.ptp(levels) < HUM_STEADY_DB)


def _line(power: list[float], at: float) -> float:
    """Power of a line at bin ``at`` (0 if it does not stand out of its neighbours, or lies beside it)."""
    middle = round(at)
    first = max(middle - 4, 0)
    near = power[first : middle + 5]
    stray = abs(first + near.index(max(near)) - at)
    around = sorted(
        power[max(middle - NEIGHBOURS, 0) : max(middle - 5, 0)] + power[middle + 6 : middle + NEIGHBOURS + 1]
    )
    if not around:
        return 0.0
    median = 0.5 * (around[(len(around) - 1) // 2] + around[len(around) // 2])
    if max(near) < float(from_db(HUM_PROMINENCE_DB)) ** 2 * median or stray > max(MAINS_STRAY * at, MAINS_BINS):
        return 0.0
    return sum(near)
