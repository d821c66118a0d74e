"""The guard before the drivers: a look-ahead gain per band for all of them under the ceiling, and a stop for faults.

Two rules in plain loops over samples, compiled for files and live sound alike: :func:`judge` stops, :func:`limit`
limits. Ports to other languages follow them line by line.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.compiled import loop, record
from sweetspot.rigs.units import Real

LOOK_AHEAD_S = 1e-3
"""Of one band; the bands work one after the other, so that the guard's delay is this times their number."""

RELEASE_S = 0.03
"""Time constant of the release after a single peak."""

WINDOW_S, WINDOWS, SLOW_S = 0.12, 4, 0.15
"""Reduction needed again in each of this many windows (each longer than a period of bass or of a beat) is tracked with
this time constant and not released in between, since ripple would be distortion. Peaks of music are not: they cost
less."""

LOW_HZ = 1500.0
"""Corner of the low band, the first to be taken from: a one-pole low-pass. The sides of a narrow unit load its drivers
most from 300 Hz to here, and what is taken there costs least loudness."""

MOST_LOW = 0.3
"""Largest reduction of the low band alone (3 dB); the rest is taken from the whole band. More of it costs more in all:
a peak lies in several bands, and taken from one alone it takes up to twice as much."""

DC_TIME_S = 0.5
DC_SHARE = 0.5
"""Share of the ceiling that a driver's mean over about :data:`DC_TIME_S` may reach."""

STOP = np.dtype([("reason", np.int64), ("driver", np.int64), ("offset", np.float64), ("limit", np.float64)])
"""Why the output was stopped: 0 or one of the reasons below; which driver's offset, how large, and its limit."""

INPUT_BAD, OUTPUT_BAD, OFFSET = 1, 2, 3

STRETCH = 1024
"""Largest number of samples whose mean is judged at once, so that a short offset in a file counts as it does live."""

FORGOTTEN = 1e-7
"""Reduction that no longer counts (-140 dB): the guard is exactly transparent again."""

PIECE = 128
"""Samples that :func:`limit` takes at once, at most."""

QUIET, NOW, LAST, COUNT, LONG, PASSED, SLOT, STEADY, FAST, SLOW, HEADER = range(11)
"""Head of a band's memory: samples since the last reduction; largest need of the part of ``look`` samples that is being
filled and of the one before it, samples in it; largest need of the window that is being filled, parts in it, its slot;
least of the windows' largest needs; the two reductions."""


class Rule(NamedTuple):
    """Parameters of :func:`limit` at a sampling rate.

    Parameters
    ----------
    average
        ``(L + 1,)``, symmetric.
    bands
        ``(band, 2)``: pole and most.
    speed
        ``(3,)``: release, rate, and parts in a window.
    """

    average: Any
    bands: Any
    speed: Any


def judge_input(x: Any, stop: Any) -> None:
    """Stop on an input ``x (channel, n)`` that is not finite."""
    bad = 0
    for channel in range(x.shape[0]):
        row = x[channel]
        for i in range(row.size):
            bad += 1 if row[i] - row[i] != 0.0 else 0
    if bad > 0 and stop.reason == 0:
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
            row, quarter = y[o][first:last], (last - first) // 4
            one, two, three, four = row, row[quarter:], row[2 * quarter :], row[3 * quarter :]
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            for i in range(quarter):  # four sums, of which none waits for another
                a, b, c, d = a + one[i], b + two[i], c + three[i], d + four[i]
            for i in range(4 * quarter, row.size):
                a += row[i]
            total = (a + b) + (c + d)
            if stop.reason == 0 and not np.isfinite(total):
                stop.reason, stop.driver = OUTPUT_BAD, o
            means[o] += (1.0 - np.exp((first - last) * share)) * (total / (last - first) - means[o])
            if stop.reason == 0 and abs(means[o]) > DC_SHARE * ceilings[o]:
                stop.reason, stop.driver = OFFSET, o
                stop.offset, stop.limit = means[o], DC_SHARE * ceilings[o]


def hold(y: Any, memory: Any, rule: Any, ceilings: Any, seen: Any) -> None:
    """:func:`limit`, or where it has nothing to do only its delay: the same bits in less than half of the time."""
    look = rule[0].size - 1
    if look <= PIECE and memory.shape[0] * look <= y.shape[1] and at_rest(y, memory, look, ceilings) > 0:
        delay(y, memory, rule)
    else:
        limit(y, memory, rule, ceilings, seen)


def at_rest(y: Any, memory: Any, look: int, ceilings: Any) -> int:
    """Whether nothing passes the ceilings, in ``y`` or on its way through the bands, and nothing is reduced; 1 or 0."""
    drivers, busy = y.shape[0], 0
    for band in range(memory.shape[0]):
        m = memory[band]
        voices = m[HEADER + drivers + look + 2 * PIECE + WINDOWS :]
        busy += 1 if m[QUIET] <= look or m[NOW] + m[LAST] + m[LONG] + m[STEADY] > 0.0 else 0
        for o in range(drivers):
            voice, c = voices[o * (look + PIECE) :], ceilings[o]
            for k in range(look):
                busy += 1 if abs(voice[k]) > c else 0
    for o in range(drivers):
        row, c = y[o], ceilings[o]
        for i in range(row.size):
            busy += 1 if abs(row[i]) > c else 0
    return 1 if busy == 0 else 0


def delay(y: Any, memory: Any, rule: Any) -> None:
    """:func:`limit` of ``y (driver, n)``, not shorter than the delay, while all bands are at rest."""
    average, bands, speed = rule
    drivers, n, look, late = y.shape[0], y.shape[1], average.size - 1, memory.shape[0] * (average.size - 1)
    reach = look + PIECE
    for band in range(memory.shape[0]):
        ring = memory[band, HEADER + drivers + reach + PIECE :]
        pass_time(memory[band], n, look, ring, speed)
        if bands[band, 0] > 0.0:
            held, parts = memory[band, HEADER:], ring[WINDOWS + drivers * reach :]
            for first in range(0, n - look, PIECE):
                low_pass(y, (first, min(first + PIECE, n - look)), held, bands[band, 0], parts, reach)
            low_pass(y, (n - look, n), held, bands[band, 0], parts, reach)
    for o in range(drivers):
        row = y[o]
        for band in range(memory.shape[0]):  # what each band will look back at
            voice = memory[band, HEADER + drivers + reach + PIECE + WINDOWS + o * reach :]
            newest = row[n - (band + 1) * look :]
            for k in range(look):
                voice[look + k] = newest[k]
        for last in range(n, late, -late):  # from the end, so that nothing is written over before it is read
            size = min(late, last - late)
            into, out = row[last - size : last], row[last - size - late : last - late]
            for k in range(size):
                into[k] = out[k]
        for band in range(memory.shape[0]):
            voice = memory[band, HEADER + drivers + reach + PIECE + WINDOWS + o * reach :]
            into = row[late - (band + 1) * look :]
            for k in range(look):
                into[k] = voice[k]
            keep(voice, look, look)


def limit(y: Any, memory: Any, rule: Any, ceilings: Any, seen: Any) -> None:
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
    rule
        See :class:`Rule`.
    ceilings
        ``(driver,)``, already rounded towards zero in the precision of ``y``.
    seen
        ``(2,)``: least gain of any band, and samples on which the guard worked.
    """
    for first in range(0, y.shape[1], PIECE):
        last, worked = min(first + PIECE, y.shape[1]), 0
        for band in range(memory.shape[0]):
            worked += limit_band(y, (first, last), memory[band], rule, band, ceilings)
        if worked > 0:
            clip(y, (first, last), memory, ceilings, seen)


def limit_band(y: Any, piece: tuple[int, int], m: Any, rule: Any, band: int, ceilings: Any) -> int:
    """One band of :func:`limit`, of at most :data:`PIECE` samples; returns 1 if it may have changed any, else 0.

    What is looked back at lies in front of the piece in the band's memory, so that every loop runs straight on.
    """
    first, last = piece
    average, bands, speed = rule
    drivers, n, look, pole = y.shape[0], last - first, average.size - 1, bands[band, 0]
    reach = look + PIECE
    line, taken = m[HEADER + drivers :], m[HEADER + drivers + reach :]
    ring = m[HEADER + drivers + reach + PIECE :]
    voices = ring[WINDOWS:]
    shares = voices[drivers * reach :] if pole > 0.0 else voices
    loud = 0
    for o in range(drivers):
        row, voice, c = y[o][first:last], voices[o * reach + look :], ceilings[o]
        for i in range(n):
            voice[i] = row[i]
        for i in range(n):
            loud += 1 if abs(row[i]) > c else 0
    if pole > 0.0:
        low_pass(y, piece, m[HEADER:], pole, shares[look:], reach)
    works = 1 if loud > 0 or m[QUIET] <= look or m[NOW] + m[LAST] + m[LONG] + m[STEADY] > 0.0 else 0
    for i in range(n):
        taken[i] = 0.0
    if works > 0:
        for o in range(drivers if loud > 0 else 0):
            need(taken[:n], voices[o * reach + look :], shares[o * reach + look :], ceilings[o], bands[band, 1])
        for i in range(n):
            line[look + i] = reduction(m, taken[i], look, ring, speed)
            taken[i] = 0.0
        for k in range(look + 1):
            part, a = line[k:], average[k]
            for i in range(n):
                taken[i] += a * part[i]
    else:
        pass_time(m, n, look, ring, speed)
        for i in range(n):
            line[look + i] = 0.0
    for o in range(drivers):
        row, voice, share = y[o][first:last], voices[o * reach :], shares[o * reach :]
        for i in range(n if works > 0 else 0):
            row[i] = voice[i] - taken[i] * share[i]
        for i in range(0 if works > 0 else n):
            row[i] = voice[i]
    keep(line, n, look)
    for o in range(drivers):
        keep(voices[o * reach :], n, look)
        if pole > 0.0:
            keep(shares[o * reach :], n, look)
    return works


def keep(row: Any, n: int, look: int) -> None:
    """The last ``look`` of ``look + n`` samples come to the front."""
    late = row[n:]
    for k in range(look):
        row[k] = late[k]


def low_pass(y: Any, piece: tuple[int, int], held: Any, pole: Any, out: Any, reach: int) -> None:
    """The drivers' parts in the low band, ``reach`` from each other; eight at once: each waits for its own last."""
    (first, last), end = piece, y.shape[0] - 1
    for o in range(0, y.shape[0], 8):
        a, b, c, d = o, min(o + 1, end), min(o + 2, end), min(o + 3, end)
        e, f, g, h = min(o + 4, end), min(o + 5, end), min(o + 6, end), min(o + 7, end)
        ya, yb, yc, yd = y[a][first:last], y[b][first:last], y[c][first:last], y[d][first:last]
        ye, yf, yg, yh = y[e][first:last], y[f][first:last], y[g][first:last], y[h][first:last]
        pa, pb, pc, pd = out[a * reach :], out[b * reach :], out[c * reach :], out[d * reach :]
        pe, pf, pg, ph = out[e * reach :], out[f * reach :], out[g * reach :], out[h * reach :]
        za, zb, zc, zd, ze, zf, zg, zh = held[a], held[b], held[c], held[d], held[e], held[f], held[g], held[h]
        for i in range(last - first):
            za += pole * (ya[i] - za)
            zb += pole * (yb[i] - zb)
            zc += pole * (yc[i] - zc)
            zd += pole * (yd[i] - zd)
            ze += pole * (ye[i] - ze)
            zf += pole * (yf[i] - zf)
            zg += pole * (yg[i] - zg)
            zh += pole * (yh[i] - zh)
            pa[i], pb[i], pc[i], pd[i] = za, zb, zc, zd
            pe[i], pf[i], pg[i], ph[i] = ze, zf, zg, zh
        held[a], held[b], held[c], held[d] = za, zb, zc, zd
        held[e], held[f], held[g], held[h] = ze, zf, zg, zh


def need(taken: Any, voice: Any, share: Any, c: Any, most: Any) -> None:
    """Reduction needed by each sample of a driver with the ceiling ``c``, if it exceeds that of others."""
    for i in range(taken.size):
        v, p = voice[i], share[i]
        size, part = abs(v), abs(p)
        asked = min((size - c) / max(part, 1e-300), most * min(1.0, 2.0 * part / max(size, 1e-300)))
        asked = asked if size > c and v * p > 0.0 else 0.0
        taken[i] = max(taken[i], asked)


def reduction(m: Any, wanted: Any, look: int, ring: Any, speed: Any) -> Any:
    """The larger of a band's two reductions after one more sample, which needs ``wanted``."""
    m[NOW] = max(m[NOW], wanted)
    m[FAST] = max(max(m[NOW], m[LAST]), speed[0] * m[FAST])
    m[SLOW] += speed[1] * (m[STEADY] - m[SLOW])
    if m[FAST] <= FORGOTTEN:
        m[FAST] = 0.0
    if m[SLOW] <= FORGOTTEN:
        m[SLOW] = 0.0
    m[QUIET] = 0.0 if m[FAST] + m[SLOW] > 0.0 else m[QUIET] + 1.0
    m[COUNT] += 1.0
    if m[COUNT] >= look:
        m[LONG], m[LAST], m[COUNT], m[NOW] = max(m[LONG], m[NOW]), m[NOW], 0.0, 0.0
        m[PASSED] += 1.0
    if m[PASSED] >= speed[2]:
        ring[int(m[SLOT])], m[LONG], m[PASSED] = m[LONG], 0.0, 0.0
        m[SLOT] = (int(m[SLOT]) + 1) % WINDOWS
        m[STEADY] = ring[0]
        for k in range(1, WINDOWS):
            m[STEADY] = min(m[STEADY], ring[k])
    return max(m[FAST], m[SLOW])


def pass_time(m: Any, n: int, look: int, ring: Any, speed: Any) -> None:
    """:func:`reduction` over ``n`` samples when nothing is needed and nothing is reduced."""
    m[QUIET] += n
    m[COUNT] += n
    while m[COUNT] >= look:
        m[COUNT] -= look
        m[PASSED] += 1.0
        if m[PASSED] >= speed[2]:
            ring[int(m[SLOT])], m[PASSED] = 0.0, 0.0
            m[SLOT] = (int(m[SLOT]) + 1) % WINDOWS


def clip(y: Any, piece: tuple[int, int], memory: Any, ceilings: Any, seen: Any) -> None:
    """Clip rounding errors above the ceilings, and count the bands' reduction of a piece."""
    (first, last), drivers = piece, y.shape[0]
    reach = (memory.shape[1] - HEADER - drivers - WINDOWS - PIECE) // (2 * drivers + 1)
    for i in range(last - first):
        least = 1.0
        for band in range(memory.shape[0]):
            least *= 1.0 - memory[band, HEADER + drivers + reach + i]
        seen[0] = min(seen[0], least)
        seen[1] += 1.0 if least < 1.0 - FORGOTTEN else 0.0
    for o in range(drivers):
        row, c = y[o][first:last], ceilings[o]
        for i in range(row.size):
            row[i] = min(max(row[i], -c), c)


def rule_at(fs: int) -> Rule:
    """Parameters of :func:`limit` at a sampling rate."""
    look = max(1, round(LOOK_AHEAD_S * fs))
    window = np.hanning(look + 3)[1:-1]
    bands = np.array([[1.0 - math.exp(-2.0 * math.pi * LOW_HZ / fs), MOST_LOW], [0.0, 1.0]])
    release, rate = math.exp(-1.0 / (RELEASE_S * fs)), 1.0 - math.exp(-1.0 / (SLOW_S * fs))
    return Rule(window / window.sum(), bands, np.array([release, rate, round(WINDOW_S * fs) // look]))


def memory_for(drivers: int, look: int) -> NDArray[np.float64]:
    """Initial memory ``(band, width)`` of :func:`limit`.

    A band's row: :data:`HEADER` numbers; the low-pass of each driver; the last ``look`` reductions and those of the
    piece; what its samples need, then what is taken of them; the windows' largest needs (a ring); the last ``look``
    samples and the piece of each driver, and of each driver's part in the band.
    """
    reach = look + PIECE
    memory = np.zeros((2, HEADER + drivers + reach + PIECE + WINDOWS + 2 * drivers * reach))
    memory[:, QUIET] = look + 1
    return memory


class Guard:
    """Limits signals, and stops harmful ones.

    What it does above the ceiling is :func:`limit`. Where nothing passes the ceiling the guard is a pure delay, bit for
    bit.
    A value that is not finite, or an offset above half the ceiling for about half a second, ahead of the limiter or
    behind it, stops the output until :meth:`reset`. (Of pulses far above the ceiling the limiter makes an offset.)

    Parameters
    ----------
    drivers
        Number of drivers.
    ceiling
        Largest sample that a driver may be sent, linear, full scale = 1.
    fs
        Sampling rate, Hz.
    caps
        Largest sample of each driver where it is less than the ceiling; empty: the ceiling holds for all.
    """

    def __init__(self, drivers: int, ceiling: float, fs: int, caps: tuple[float, ...] = ()) -> None:
        if not 0.0 < ceiling <= 1.0:
            raise ValueError(f"ceiling is {ceiling}: it must lie above 0 and not above full scale (1)")
        self.drivers, self.ceiling = drivers, ceiling
        self.caps = np.array([float(not_above(c, np.float32)) for c in caps or (1.0,) * drivers])
        self.rule = rule_at(fs)
        self._look = self.rule.average.size - 1
        self.latency = int(len(self.rule.bands) * self._look)
        self.dc_share = 1.0 / (DC_TIME_S * fs)
        self.reset()

    def reset(self) -> None:
        """Clear all past input, and a stop."""
        self._memory = memory_for(self.drivers, self._look)
        self._means = np.zeros((2, self.drivers))
        self._seen = np.array([1.0, 0.0])
        self._stop = record(STOP)

    @property
    def stopped(self) -> str:
        """Why the output was stopped; empty while it runs."""
        return reason(self._stop)

    @property
    def least_gain(self) -> float:
        """Lowest gain so far, linear; 1 without limiting."""
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
        out = y.copy(order="C")
        self.judge_output(out)
        if not self._stop.reason:
            loop(hold)(out, self._memory, self.rule, self._ceilings(y), self._seen)
            loop(judge)(out, self._means[1], self.dc_share, self._ceilings(y), self._stop)
        return np.zeros_like(y) if self._stop.reason else out

    def judge_output(self, y: Real) -> None:
        """Stop on signals ``(driver, n)`` that would do harm, before anything is limited; see :class:`Guard`."""
        loop(judge)(np.ascontiguousarray(y), self._means[0], self.dc_share, self._ceilings(y), self._stop)

    def _ceilings(self, y: Real) -> Real:
        return np.asarray(np.minimum(float(not_above(self.ceiling, y.dtype)), self.caps))


def reason(stop: Any) -> str:
    """Why the output was stopped, from a record of :data:`STOP`; empty while it runs."""
    return (
        "",
        "the input was not finite (NaN or infinity)",
        "a driver signal was not finite (NaN or infinity)",
        f"driver {stop.driver + 1} had a constant offset of {stop.offset:+.3f} (limit {stop.limit:.3f} of full scale)",
    )[int(stop.reason)]


def limited(y: Real, ceilings: Real, fs: int) -> Real:
    """A whole signal ``(channel, samples)`` through :func:`limit`, without its delay.

    Channels with an infinite ceiling only receive the gain of the others, for example ear signals of limited drivers.
    """
    rule = rule_at(fs)
    look = rule.average.size - 1
    late = len(rule.bands) * look
    out = np.concatenate([y, np.zeros((len(y), late), dtype=y.dtype)], axis=1)
    seen, memory = np.array([1.0, 0.0]), memory_for(len(y), look)
    loop(limit)(out, memory, rule, ceilings, seen)
    return out[:, late:]


def not_above(limit: float, dtype: Any) -> Any:
    """``limit`` in ``dtype``, rounded towards zero."""
    rounded = np.dtype(dtype).type(limit)
    return np.nextafter(rounded, np.dtype(dtype).type(0.0)) if float(rounded) > limit else rounded
