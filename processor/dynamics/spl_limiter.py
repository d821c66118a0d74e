"""The limiter ahead of the filters: programs are turned down where a listener would get more than the rig's SPL limit.

The guard holds the ceiling of each sample, but how loud a sample is depends on its frequency: a lone tone at the
ceiling may be 15 dB louder than noise there. So each program goes through a detector, a filter whose output is the
sound pressure at the loudest measured place over the limit, and what the three add up to in the worst case turns all
programs down alike. One rule in plain loops, :func:`limit_spl`, is compiled for files and live sound alike; ports to
other languages follow it line by line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sweetspot.processor.compiled import loop, record
from sweetspot.rigs.acoustics import half_cosine
from sweetspot.rigs.units import Float, Real

PART_S = 1.0 / 1500.0
"""Levels are followed, and the gain is led from one value to the next, in parts of this length."""

FAST_S, SLOW_S = 0.005, 0.04
"""Time constants of the detectors' power. An SPL limit counts over 125 ms: the slow one leaves room for its rise."""

OVER = 2.0**0.5
"""The fast one may pass the limit by this factor (3 dB), so that only what begins suddenly is held by it."""

RELEASE_S = 0.1
"""Time constant of the release."""

NEAR, FAR = 0.9, 0.5
"""Bound of the level over the limit above which detectors run, and below which they rest: from power alone."""

NONE = 1e-7
"""Reduction that no longer counts (-140 dB): the limiter is exactly transparent again."""

MOST = 1e24
"""Largest power that is followed: 240 dB above full scale, or above the limit."""

STEP = 4
"""Detectors have a whole number of times so many taps; sums are made of so many in parallel."""

PARTS = 16
"""Parts that are kept one behind the other before the last samples come to the front again."""

PROGRAMS = 3

RAISED = 1e6
"""Detectors so much more sensitive find the level of anything that is not silent."""

SPL = np.dtype(
    [
        ("at", np.int64),
        ("count", np.int64),
        ("runs", np.int64),
        ("reduction", np.float64),
        ("step", np.float64),
        ("held", np.float64),
        ("least", np.float64),
        ("limited", np.float64),
    ]
)
"""Where this part lies behind the past, and its samples so far; whether detectors run; reduction now, its change a
sample, and its value at the part's end; least gain so far, and samples that were turned down."""


def limit_spl(x: Any, m: Any, room: Any, detectors: Any, rule: Any, gain: Any) -> None:
    """Turn programs ``x (3, n)`` down in place, without delay; any ``n``.

    Parameters
    ----------
    m
        A record of :data:`SPL`.
    room
        Memory: ``past (3, taps - 1 + PARTS part)``, ``powers (4, 3)`` (of programs fast and slow, of detectors fast and
        slow) and ``made (part,)``.
    detectors
        ``(3, taps)``, the last tap first, and the largest magnitude ``(3,)`` of their responses.
    rule
        ``(4,)``: samples in a part, then what one part counts for: fast, slow, and what is left of a reduction.
    gain
        Of what follows (volume), linear.
    """
    past, part, first = room[0], int(rule[0]), 0
    before = past.shape[1] - PARTS * part
    while first < x.shape[1]:
        at, n = before + m.at + m.count, min(part - m.count, x.shape[1] - first)
        for p in range(x.shape[0]):
            row, voice = x[p][first : first + n], past[p][at : at + n]
            for i in range(n):
                voice[i] = row[i]
        if m.reduction > 0.0 or m.held > 0.0:
            for p in range(x.shape[0]):
                row = x[p][first : first + n]
                for i in range(n):
                    row[i] *= 1.0 - (m.reduction + m.step * (i + 1))
            m.reduction += m.step * n
            m.least = min(m.least, 1.0 - m.reduction)
            m.limited += n
        m.count += n
        if m.count == part:
            part_ended(m, room, detectors, rule, gain)
        first += n


def part_ended(m: Any, room: Any, detectors: Any, rule: Any, gain: Any) -> None:
    """Follow the levels of a whole part, and set out for the reduction that they need."""
    past, powers, made = room
    taps, most = detectors
    part = made.size
    before = past.shape[1] - PARTS * part
    fast, slow = 0.0, 0.0
    for p in range(past.shape[0]):
        power = capped(squares(past[p][before + m.at :], part) / part)
        powers[0, p] += rule[1] * (power - powers[0, p])
        powers[1, p] += rule[2] * (power - powers[1, p])
        fast += most[p] * np.sqrt(powers[0, p])
        slow += most[p] * np.sqrt(powers[1, p])
    bound = gain * max(slow, fast / OVER)
    m.runs = 1 if bound > NEAR or (bound > FAR and m.runs > 0) else 0
    fast, slow = 0.0, 0.0
    for p in range(past.shape[0]):
        if m.runs > 0:
            detected(past[p][m.at :], taps[p], made)
            power = capped(squares(made, part) / part)
            powers[2, p] += rule[1] * (power - powers[2, p])
            powers[3, p] += rule[2] * (power - powers[3, p])
        else:
            powers[2, p] = powers[3, p] = 0.0
        fast += np.sqrt(powers[2, p])
        slow += np.sqrt(powers[3, p])
    level = gain * max(slow, fast / OVER)
    m.reduction = m.held
    m.held = max(1.0 - 1.0 / max(level, 1.0), rule[3] * m.held)
    m.held = m.held if m.held > NONE else 0.0
    m.step = (m.held - m.reduction) / part
    m.at, m.count = m.at + part, 0
    if m.at == PARTS * part:
        m.at = 0
        for p in range(past.shape[0]):
            voice, late = past[p], past[p][PARTS * part :]
            for k in range(before):
                voice[k] = late[k]


def capped(power: Any) -> Any:
    """A power that can be followed and forgotten again, also where samples are so large that it is no number."""
    return power if power < MOST else MOST


def squares(x: Any, n: int) -> Any:
    """Sum of the squares of the first ``n`` samples."""
    a, b, c, d, rest = 0.0, 0.0, 0.0, 0.0, n // STEP * STEP
    for i in range(0, rest, STEP):
        a, b = a + x[i] * x[i], b + x[i + 1] * x[i + 1]
        c, d = c + x[i + 2] * x[i + 2], d + x[i + 3] * x[i + 3]
    for i in range(rest, n):
        a += x[i] * x[i]
    return (a + b) + (c + d)


def detected(voice: Any, taps: Any, made: Any) -> None:
    """A detector's output over a part, ``made``; the ``taps.size - 1`` samples before it lie in front in ``voice``."""
    for i in range(made.size):
        made[i] = 0.0
    for k in range(0, taps.size, STEP):
        a, b, c, d = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        one, two, three, four = voice[k:], voice[k + 1 :], voice[k + 2 :], voice[k + 3 :]
        for i in range(made.size):
            made[i] += (a * one[i] + b * two[i]) + (c * three[i] + d * four[i])


def rule_at(fs: int) -> Float:
    """Parameters of :func:`limit_spl` at a sampling rate."""
    part = max(round(PART_S * fs), 1)
    fast, slow, left = (np.exp(-part / (time * fs)) for time in (FAST_S, SLOW_S, RELEASE_S))
    return np.array([part, 1.0 - fast, 1.0 - slow, left])


class SplLimiter:
    """Holds programs to the rig's SPL limit; bit for bit transparent while a listener gets less.

    Parameters
    ----------
    detectors
        ``(3, tap)`` of left, right and centre, see :attr:`sweetspot.processor.filterset.FilterSet.detectors`; none:
        the levels are not known, and nothing is limited.
    fs
        Sampling rate, Hz.
    """

    def __init__(self, detectors: Float, fs: int) -> None:
        self.rule = rule_at(fs)
        self.detectors = prepared(detectors)
        self.reset()

    def exchange(self, detectors: Float) -> None:
        """Other detectors, between two pieces; those of another length forget the past."""
        length, self.detectors = self.detectors[0].shape, prepared(detectors)
        if self.detectors[0].shape != length:
            self.reset()

    def reset(self) -> None:
        """Clear all past input."""
        part = int(self.rule[0])
        before = max(self.detectors[0].shape[1] - 1, 0)
        self.room = (
            np.zeros((PROGRAMS, before + PARTS * part), dtype=np.float32),
            np.zeros((4, PROGRAMS)),
            np.zeros(part, dtype=np.float32),
        )
        self.memory = record(SPL)
        self.memory.least = 1.0

    @property
    def limiter(self) -> tuple[float, int]:
        """Lowest gain so far, linear, and the number of samples that were turned down."""
        return float(self.memory.least), int(self.memory.limited)

    def process(self, x: Real, gain: float = 1.0) -> Real:
        """Programs ``(3, n)`` in and out; ``gain`` is that of what follows, linear."""
        if not self.detectors[0].size:
            return x
        out = x.copy(order="C")
        loop(limit_spl)(out, self.memory, self.room, self.detectors, self.rule, float(gain))
        return out


def largest_level(detectors: Float, programs: Real, fs: int) -> float:
    """Largest level of programs ``(3, n)`` over the limit, linear, that :func:`limit_spl` would find."""
    limiter = SplLimiter(RAISED * detectors, fs)
    limiter.process(programs)
    return 1.0 / (RAISED * limiter.limiter[0])


def prepared(detectors: Float, taps: int = 0) -> tuple[NDArray[np.float32], Float]:
    """Detectors ``(3, tap)`` as :func:`limit_spl` takes them: the last tap first, and their largest magnitudes.

    They get at least so many taps.
    """
    missing = max(taps - detectors.shape[1], -detectors.shape[1] % STEP)
    longer = np.pad(detectors, ((0, 0), (0, missing)))
    largest = np.abs(np.fft.rfft(longer, 4 * max(longer.shape[1], 1))).max(axis=1, initial=0.0)
    return np.ascontiguousarray(longer[:, ::-1], dtype=np.float32), largest


def together(*detectors: Float) -> Float:
    """Detectors ``(3, tap)`` of which each is at least as loud as those of all, at every frequency."""
    known = [d for d in detectors if d.size]
    if all(np.array_equal(d, known[0]) for d in known[1:]):
        return known[0] if known else detectors[0]
    size = max(d.shape[1] for d in known)
    n = 8 * size
    wanted = np.max([np.abs(np.fft.rfft(d, n)) for d in known], axis=0)
    return covering(wanted, size)


def covering(wanted: Float, taps: int) -> Float:
    """Minimum-phase filters ``(row, tap)`` whose magnitude is at least ``wanted (row, frequency)``.

    The frequencies are ``0`` to half the rate, evenly spaced. What is wanted is widened first to what so few taps can
    resolve, and what is still missing is added as gain.
    """
    n = 2 * (wanted.shape[1] - 1)
    half = max(round(0.5 * n / taps), 1)
    floor = 1e-4 * wanted.max(axis=1, keepdims=True) + 1e-30
    high = np.log(sliding_window_view(_padded(np.maximum(wanted, floor), half), 2 * half + 1, axis=1).max(axis=2))
    window = np.hanning(2 * half + 3)[1:-1]
    smooth = sliding_window_view(_padded(high, half), 2 * half + 1, axis=1) @ (window / window.sum())
    fold = np.zeros(n)
    fold[0] = fold[n // 2] = 1.0
    fold[1 : n // 2] = 2.0
    made = np.fft.irfft(np.exp(np.fft.rfft(np.fft.irfft(smooth, n) * fold)), n)[:, :taps]
    end = taps // 4
    made[:, taps - end :] *= half_cosine.fall((np.arange(end) + 1) / (end + 1))
    missing = (wanted / np.maximum(np.abs(np.fft.rfft(made, n)), 1e-30)).max(axis=1, keepdims=True)
    return np.asarray(made * np.maximum(missing, 1e-30))


def _padded(rows: Float, by: int) -> Float:
    return np.pad(rows, ((0, 0), (by, by)), "edge")
