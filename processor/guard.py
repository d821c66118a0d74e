"""The guard before the drivers: a look-ahead gain per band for all of them under the ceiling, and a stop for faults.

Two rules in plain loops over samples, compiled for files and live sound alike: :func:`judge` stops, :func:`limit`
limits. Ports to other languages follow them line by line.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.compiled import loop, record

Real = NDArray[Any]

LOOK_AHEAD_S = 1e-3
"""Of one band; the bands work one after the other, so that the guard's delay is this times their number."""

RELEASE_S = 0.03
"""Time constant of the release after a single peak."""

WINDOW_S, WINDOWS, SLOW_S = 0.12, 4, 0.15
"""What is needed anew in each of so many windows, longer than a period of bass or of a beat, is followed with this time
constant and not released in between: a ripple there would be distortion. Peaks of music are not: they cost less."""

LOW_HZ = 1500.0
"""Corner of the low band, the first to be taken from: a one-pole low-pass. The sides of a narrow unit load its drivers
most from 300 Hz to here, and what is taken there costs least loudness."""

MOST_LOW = 0.5
"""Largest part of the low band that is taken (6 dB); what that does not cure is taken from the whole band."""

DC_TIME_S = 0.5
DC_SHARE = 0.5
"""Share of the ceiling that a driver's mean over about :data:`DC_TIME_S` may reach."""

STOP = np.dtype([("reason", np.int64), ("driver", np.int64), ("offset", np.float64), ("limit", np.float64)])
"""Why the output was stopped: 0 or one of the reasons below; which driver's offset, how large, and its limit."""

INPUT_BAD, OUTPUT_BAD, OFFSET = 1, 2, 3

STRETCH = 1024
"""Samples whose mean is judged at once, at most: in a long piece of a file a short offset counts as it does live."""

FORGOTTEN = 1e-7
"""Reduction that no longer counts (-140 dB): the guard is exactly transparent again."""

AT, QUIET, NOW, LAST, COUNT, LONG, PASSED, SLOT, STEADY, FAST, SLOW, HEADER = range(12)
"""Head of a band's memory: place in its rings, samples since the last reduction; largest need of the part of ``look``
samples that is being filled and of the one before it, samples in it; largest need of the window that is being filled,
parts in it, its slot; least of the windows' largest needs; the two reductions."""


def judge_input(x: Any, stop: Any) -> None:
    """Stop on an input ``x (channel, n)`` that is not finite."""
    for channel in range(x.shape[0]):
        spoilt = 0.0
        for i in range(x.shape[1]):
            spoilt += 0.0 * x[channel, i]  # not a number from the first sample that is not finite
        if spoilt != 0.0 and stop.reason == 0:
            stop.reason = INPUT_BAD


def judge(y: Any, means: Any, share: Any, ceilings: Any, stop: Any) -> None:
    """Stop on drivers' signals ``y (driver, n)`` that are not finite, or whose running mean is a constant offset.

    Parameters
    ----------
    means
        ``(driver,)``, memory: ``mean += (1 - exp(-n share)) (mean of the stretch - mean)``.
    share
        What one sample counts for: one over :data:`DC_TIME_S` in samples.
    ceilings
        ``(driver,)``; an offset may reach :data:`DC_SHARE` of them.
    stop
        A record of :data:`STOP`; what stands in it stays.
    """
    for first in range(0, y.shape[1], STRETCH):
        last = min(first + STRETCH, y.shape[1])
        for o in range(y.shape[0]):
            total = 0.0
            for i in range(first, last):
                total += y[o, i]
            if stop.reason == 0 and not np.isfinite(total):
                stop.reason, stop.driver = OUTPUT_BAD, o
            means[o] += (1.0 - np.exp((first - last) * share)) * (total / (last - first) - means[o])
            if stop.reason == 0 and abs(means[o]) > DC_SHARE * ceilings[o]:
                stop.reason, stop.driver = OFFSET, o
                stop.offset, stop.limit = means[o], DC_SHARE * ceilings[o]


def idle(y: Any, memory: Any, ceilings: Any, look: int) -> Any:
    """Whether :func:`limit` would only delay ``y``: no reduction is left, and nothing passes the ceilings."""
    drivers, span = y.shape[0], look + 1
    voice, loud = HEADER + drivers + span + WINDOWS, 0
    for band in range(memory.shape[0]):
        m = memory[band]
        loud += 1 if m[QUIET] <= look or m[NOW] + m[LAST] + m[LONG] + m[STEADY] > 0.0 else 0
    for o in range(drivers):
        for i in range(y.shape[1]):
            loud += 1 if abs(y[o, i]) > ceilings[o] else 0
        for k in range(voice + o * span, voice + (o + 1) * span):  # what the low band let pass, on its way to the whole
            loud += 1 if abs(memory[0, k]) > ceilings[o] else 0
    return loud == 0


def delay(y: Any, memory: Any, look: int, bands: Any, speed: Any) -> None:
    """What :func:`limit` does to ``y`` and its memory when it is :func:`idle`, at a quarter of the cost."""
    drivers, n, span = y.shape[0], y.shape[1], look + 1
    low, ring = HEADER, HEADER + drivers + span
    voice = ring + WINDOWS
    share = voice + drivers * span
    for band in range(memory.shape[0]):
        m, pole, done, at = memory[band], bands[band, 0], 0, int(memory[band, AT])
        while done < n:
            here = min(n - done, span - at)
            for o in range(0, drivers if pole > 0.0 else 0, 4):  # four at once: each waits for its own last sample
                a, b, c, d = o, min(o + 1, drivers - 1), min(o + 2, drivers - 1), min(o + 3, drivers - 1)
                za, zb, zc, zd = m[low + a], m[low + b], m[low + c], m[low + d]
                for i in range(here):
                    za += pole * (y[a, done + i] - za)
                    zb += pole * (y[b, done + i] - zb)
                    zc += pole * (y[c, done + i] - zc)
                    zd += pole * (y[d, done + i] - zd)
                    m[share + a * span + at + i], m[share + b * span + at + i] = za, zb
                    m[share + c * span + at + i], m[share + d * span + at + i] = zc, zd
                m[low + a], m[low + b], m[low + c], m[low + d] = za, zb, zc, zd
            for o in range(drivers):
                place, ahead = voice + o * span + at, here if at + here < span else here - 1
                for i in range(here if pole == 0.0 else 0):
                    m[share + o * span + at + i] = y[o, done + i]
                for i in range(ahead):
                    v = y[o, done + i]
                    y[o, done + i] = m[place + i + 1]
                    m[place + i] = v
                if ahead < here:  # the oldest sample lies at the ring's beginning
                    v = y[o, done + ahead]
                    y[o, done + ahead] = m[voice + o * span]
                    m[place + ahead] = v
            done += here
            at = at + here if at + here < span else 0
        m[AT] = at
        m[QUIET] += n
        m[COUNT] += n
        while m[COUNT] >= look:
            m[COUNT] -= look
            m[PASSED] += 1.0
            if m[PASSED] >= speed[2]:
                m[ring + int(m[SLOT])], m[PASSED] = 0.0, 0.0
                m[SLOT] = (int(m[SLOT]) + 1) % WINDOWS


def limit(y: Any, memory: Any, average: Any, bands: Any, ceilings: Any, speed: Any, seen: Any) -> None:  # noqa: PLR0917
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


class Guard:
    """Limits, and stops what would harm.

    What it does above the ceiling is :func:`limit`. Where nothing passes the ceiling the guard is a pure delay, bit for
    bit.
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
        self.reset()

    def reset(self) -> None:
        """Forget everything heard, and a stop."""
        self._memory = memory_for(self.drivers, self._look)
        self._means = np.zeros(self.drivers)
        self._seen = np.array([1.0, 0.0])
        self._stop = record(STOP)

    @property
    def stopped(self) -> str:
        """Why the output was stopped; empty while it runs."""
        return reason(self._stop)

    @property
    def least_gain(self) -> float:
        """Least gain so far, linear; 1 when there was nothing to do."""
        return float(self._seen[0])

    @property
    def limited(self) -> int:
        """Samples on which it worked."""
        return int(self._seen[1])

    def judge_input(self, x: Real) -> None:
        """Stop on an input ``(channel, n)`` that is not finite."""
        loop(judge_input)(np.ascontiguousarray(x), self._stop)

    def process(self, y: Real) -> Real:
        """``(drivers, n)`` in, ``(drivers, n)`` out, :attr:`latency` samples late; any ``n``."""
        out, ceilings = y.copy(order="C"), np.full(self.drivers, float(not_above(self.ceiling, y.dtype)))
        loop(judge)(out, self._means, self.dc_share, ceilings, self._stop)
        if self._stop.reason:
            return np.zeros_like(y)
        for first in range(0, out.shape[1], STRETCH):
            piece = np.ascontiguousarray(out[:, first : first + STRETCH])
            if loop(idle)(piece, self._memory, ceilings, self._look):
                loop(delay)(piece, self._memory, self._look, self.bands, self.speed)
            else:
                loop(limit)(piece, self._memory, self.average, self.bands, ceilings, self.speed, self._seen)
            out[:, first : first + STRETCH] = piece
        return out


def reason(stop: Any) -> str:
    """Why the output was stopped, from a record of :data:`STOP`; empty while it runs."""
    return (
        "",
        "the input was not finite (NaN or infinity)",
        "a driver signal was not finite (NaN or infinity)",
        f"driver {stop.driver + 1} was sent a constant offset of {stop.offset:+.3f} "
        f"(limit {stop.limit:.3f} of full scale)",
    )[int(stop.reason)]


def limited(y: Real, ceilings: Real, fs: int) -> Real:
    """A whole signal ``(channel, samples)`` through :func:`limit`, its delay taken out.

    Channels with an infinite ceiling only follow: what ears hear of drivers that are held, for example.
    """
    average, bands, speed = rule_at(fs)
    late = len(bands) * (average.size - 1)
    out = np.concatenate([y, np.zeros((len(y), late), dtype=y.dtype)], axis=1)
    seen, memory = np.array([1.0, 0.0]), memory_for(len(y), average.size - 1)
    loop(limit)(out, memory, average, bands, np.asarray(ceilings, dtype=np.float64), speed, seen)
    return out[:, late:]


def not_above(limit: float, dtype: Any) -> Any:
    """``limit`` in ``dtype``, rounded towards zero."""
    rounded = np.dtype(dtype).type(limit)
    return np.nextafter(rounded, np.dtype(dtype).type(0.0)) if float(rounded) > limit else rounded
