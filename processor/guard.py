"""The guard before the drivers: a look-ahead gain per band for all of them under the ceiling, and a stop for faults.

One rule, :func:`limit`, in plain loops over samples: compiled it runs in the live callback, and offline as soon as
something passes the ceiling. Ports to other languages follow it line by line.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.compiled import jitted

Real = NDArray[Any]

LOOK_AHEAD_S = 1e-3
"""Of one band; the bands work one after the other, so that the guard's delay is this times their number."""

RELEASE_S = 0.03
"""Time constant of the release after a single peak."""

WINDOW_S, WINDOWS, SLOW_S = 0.12, 4, 0.15
"""What is needed anew in each of so many windows, longer than a period of bass or of a beat, is followed with this time
constant and not released in between: a ripple there would be distortion. Peaks of music are not: they cost less."""

LOW_HZ = 800.0
"""Corner of the low band, the first to be taken from: a one-pole low-pass."""

MOST_LOW = 0.5
"""Largest part of the low band that is taken (6 dB); what that does not cure is taken from the whole band."""

DC_TIME_S = 0.5
DC_SHARE = 0.5
"""Share of the ceiling that a driver's mean over about :data:`DC_TIME_S` may reach."""
FORGOTTEN = 1e-7
"""Reduction that no longer counts (-140 dB): the guard is exactly transparent again."""

POLES = 40.0
"""Time constants of the low-pass after which what was before no longer counts (-347 dB)."""

AT, QUIET, NOW, LAST, COUNT, LONG, PASSED, SLOT, STEADY, FAST, SLOW, HEADER = range(12)
"""Head of a band's memory: place in its rings, samples since the last reduction; largest need of the part of ``look``
samples that is being filled and of the one before it, samples in it; largest need of the window that is being filled,
parts in it, its slot; least of the windows' largest needs; the two reductions."""


def limit(y: Any, memory: Any, average: Any, bands: Any, ceilings: Any, speed: Any, seen: Any) -> None:
    """Limit ``y (drivers, n)`` in place: low band first, then the whole; ``bands * look`` samples late; any ``n``.

    For each band in turn, with its ``pole`` and ``most``, and each sample ``v[d]`` of the drivers (``L`` = look)::

        p[d]   = v[d]                                         whole band (pole = 0)
        p[d]   = z[d] = z[d] + pole (v[d] - z[d])             low band
        need   = max over d of min((|v| - c)/|p|, most min(1, 2 |p|/|v|))   where |v| > c and v p > 0, else 0
        peak   = largest need of this part (of L samples) up to now, and of the part before it
        steady = least, over the last windows (of W whole parts), of the window's largest need
        fast   = max(peak, release fast)
        slow   = slow + rate (steady - slow)
        d[n]   = max(fast, slow); fast and slow are 0 under 1e-7
        r      = sum over k = 0..L of average[k] d[n - L + k]
        out[d] = v[d] (L samples ago) - r p[d] (L samples ago)

    ``average`` sums to one, and every ``d`` of its window covers the need of the sample that leaves, so that ``r`` does
    too. All drivers share ``r``: in each band and at each frequency what reaches the ears keeps its differences. The
    last band holds the ceiling; rounding is clipped.

    Parameters
    ----------
    memory
        ``(band, width)`` of :func:`memory_for`.
    average
        ``(L + 1,)``, symmetric.
    bands
        ``(band, 2)``: pole and most.
    ceilings
        ``(driver,)``, already rounded towards zero in the precision of ``y``.
    speed
        ``(3,)``: release, rate, and parts in a window.
    seen
        ``(2,)``: least gain of any band, and samples on which the guard worked.
    """
    drivers, n, look = y.shape[0], y.shape[1], average.size - 1
    span = look + 1
    low, line = HEADER, HEADER + drivers
    ring = line + span
    voice = ring + WINDOWS
    share = voice + drivers * span
    for i in range(n):
        least = 1.0
        for band in range(memory.shape[0]):
            m, pole, most = memory[band], bands[band, 0], bands[band, 1]
            at, need = int(m[AT]), 0.0
            for o in range(drivers):
                v = float(y[o, i])
                p = v
                if pole > 0.0:
                    m[low + o] += pole * (v - m[low + o])
                    p = m[low + o]
                m[voice + o * span + at], m[share + o * span + at] = v, p
                size = abs(v)
                if size > ceilings[o] and v * p > 0.0:
                    need = max(need, min((size - ceilings[o]) / abs(p), most * min(1.0, 2.0 * abs(p) / size)))
            m[NOW] = max(m[NOW], need)
            m[FAST] = max(max(m[NOW], m[LAST]), speed[0] * m[FAST])
            m[SLOW] += speed[1] * (m[STEADY] - m[SLOW])
            if m[FAST] <= FORGOTTEN:
                m[FAST] = 0.0
            if m[SLOW] <= FORGOTTEN:
                m[SLOW] = 0.0
            m[line + at] = max(m[FAST], m[SLOW])
            m[QUIET] = 0.0 if m[line + at] > 0.0 else m[QUIET] + 1.0
            m[COUNT] += 1.0
            if m[COUNT] >= look:
                m[LONG], m[LAST], m[COUNT], m[NOW] = max(m[LONG], m[NOW]), m[NOW], 0.0, 0.0
                m[PASSED] += 1.0
            if m[PASSED] >= speed[2]:
                m[ring + int(m[SLOT])], m[LONG], m[PASSED] = m[LONG], 0.0, 0.0
                m[SLOT] = (int(m[SLOT]) + 1) % WINDOWS
                m[STEADY] = m[ring]
                for k in range(1, WINDOWS):
                    m[STEADY] = min(m[STEADY], m[ring + k])
            oldest = at + 1 if at < look else 0
            m[AT] = oldest
            r = 0.0
            if m[QUIET] <= look:
                for k in range(span):
                    r += average[k] * m[line + (oldest + k if oldest + k < span else oldest + k - span)]
                least *= 1.0 - r
            for o in range(drivers):
                v = m[voice + o * span + oldest]
                if r > 0.0:
                    v -= r * m[share + o * span + oldest]
                y[o, i] = v
        if least < 1.0:
            seen[0] = min(seen[0], least)
            if least < 1.0 - FORGOTTEN:
                seen[1] += 1.0
            for o in range(drivers):
                y[o, i] = min(max(y[o, i], -ceilings[o]), ceilings[o])


def rule_at(fs: int) -> tuple[Real, Real, Real]:
    """What :func:`limit` needs at a rate: ``average``, ``bands`` and ``speed``."""
    look = max(1, round(LOOK_AHEAD_S * fs))
    window = np.hanning(look + 3)[1:-1]
    bands = np.array([[1.0 - math.exp(-2.0 * math.pi * LOW_HZ / fs), MOST_LOW], [0.0, 1.0]])
    release, rate = math.exp(-1.0 / (RELEASE_S * fs)), 1.0 - math.exp(-1.0 / (SLOW_S * fs))
    return window / window.sum(), bands, np.array([release, rate, round(WINDOW_S * fs) // look])


def memory_for(drivers: int, look: int) -> NDArray[np.float64]:
    """Memory ``(band, width)`` of :func:`limit` that has heard nothing.

    A band's row: :data:`HEADER` numbers, the low-pass of each driver, the last ``look + 1`` reductions, the windows'
    largest needs, and the last ``look + 1`` samples of each driver and of its part in the band; all rings.
    """
    memory = np.zeros((2, HEADER + drivers + look + 1 + WINDOWS + 2 * drivers * (look + 1)))
    memory[:, QUIET] = look + 1
    return memory


def _settled(memory: Real, look: int) -> bool:
    """Whether nothing is held or released any more."""
    return not memory[:, [NOW, LAST, LONG, STEADY]].any() and bool((memory[:, QUIET] > look).all())


class Guard:
    """Limits, and stops what would harm.

    What it does above the ceiling is :func:`limit`. Where nothing passes the ceiling the guard is a pure delay, bit for
    bit, and only keeps what it heard last, from which the memory of the rule follows.

    A value that is not finite, or an offset above half the ceiling for about half a second, stops the output until
    :meth:`reset`.

    Parameters
    ----------
    drivers
        Number of drivers.
    ceiling
        Largest sample that a driver may be sent, linear, full scale = 1.
    fs
        Sampling rate, Hz.
    """

    def __init__(self, drivers: int, ceiling: float, fs: int) -> None:
        if not 0.0 < ceiling <= 1.0:
            raise ValueError(f"ceiling is {ceiling}: it must lie above 0 and not above full scale (1)")
        self.drivers, self.ceiling = drivers, ceiling
        self.average, self.bands, self.speed = rule_at(fs)
        self._look = self.average.size - 1
        self.latency = len(self.bands) * self._look
        self.dc_share = 1.0 / (DC_TIME_S * fs)
        self._reach = self.latency + math.ceil(POLES * fs / (2.0 * math.pi * LOW_HZ))
        self.reset()

    def reset(self) -> None:
        """Forget everything heard, and a stop."""
        self._heard = np.zeros((self.drivers, self._reach))
        self._memory: Real | None = None
        self._passed = 0
        self._mean = np.zeros(self.drivers)
        self._seen = np.array([1.0, 0.0])
        self.stopped = ""

    @property
    def least_gain(self) -> float:
        """Least gain so far, linear; 1 when there was nothing to do."""
        return float(self._seen[0])

    @property
    def limited(self) -> int:
        """Samples on which it worked."""
        return int(self._seen[1])

    def stop(self, reason: str) -> None:
        """Silence the output until :meth:`reset`; the first reason is kept."""
        self.stopped = self.stopped or reason

    def process(self, y: Real) -> Real:
        """``(drivers, n)`` in, ``(drivers, n)`` out, :attr:`latency` samples late; any ``n``."""
        if not self.stopped:
            self._judge(y)
        if self.stopped:
            return np.zeros_like(y)
        n, quiet = y.shape[1], max(y.max(initial=0.0), -y.min(initial=0.0)) <= self.ceiling
        heard = np.concatenate([self._heard.astype(y.dtype, copy=False), y], axis=1)
        before, self._heard = self._heard, heard[:, n:]
        self._passed += n
        if quiet and self._memory is None:
            return np.ascontiguousarray(heard[:, self._reach - self.latency : heard.shape[1] - self.latency])
        if self._memory is None:
            self._memory = memory_for(self.drivers, self._look)
            begun = self._passed - n - self._reach
            self._memory[:, COUNT] = begun % self._look
            self._memory[:, PASSED] = (begun // self._look) % self.speed[2]
            self._limit(before.astype(np.float64))
        out = y.copy(order="C")
        self._limit(out)
        if quiet and _settled(self._memory, self._look):
            self._memory = None
        return out

    def _limit(self, y: Real) -> None:
        """:func:`limit` in place."""
        ceilings = np.full(self.drivers, float(not_above(self.ceiling, y.dtype)))
        jitted(limit)(y, self._memory, self.average, self.bands, ceilings, self.speed, self._seen)

    def _judge(self, y: Real) -> None:
        """Stop on a fault in this piece."""
        n = y.shape[1]
        if n:
            mean = y.sum(axis=1) / n
            if not np.isfinite(mean).all():  # one bad sample spoils its driver's mean; huge ones may as well
                if not np.isfinite(y).all():
                    self.stop("a driver signal was not finite (NaN or infinity)")
                    return
                mean = y.mean(axis=1, dtype=np.float64)
            self._mean -= math.expm1(-n * self.dc_share) * (mean - self._mean)
        if max(self._mean.max(), -self._mean.min()) > DC_SHARE * self.ceiling:
            worst = int(np.argmax(np.abs(self._mean)))
            self.stop(
                f"driver {worst + 1} was sent a constant offset of {self._mean[worst]:+.3f} "
                f"(limit {DC_SHARE * self.ceiling:.3f} of full scale)"
            )


def not_above(limit: float, dtype: Any) -> Any:
    """``limit`` in ``dtype``, rounded towards zero."""
    rounded = np.dtype(dtype).type(limit)
    return np.nextafter(rounded, np.dtype(dtype).type(0.0)) if float(rounded) > limit else rounded
