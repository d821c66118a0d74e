"""Faults of drivers: level, polarity, delay, response in a band, two levels; fitted to the measured responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.verify.diagnose.residual import Residual
from sweetspot.rigs.names import listed
from sweetspot.rigs.units import Complex, Float, db

LATEST_SAMPLES = 64.0
"""Largest tested delay of one driver, samples."""

KEPT, MOST_OF, LEAST_BANDS = 0.95, 0.7, 5
"""Share of the explained difference that the band must hold; share of all sixth octaves from which it is no band; how
many are needed to distinguish one driver from all."""

LOWEST_GAIN = 0.1
"""Smallest common gain that is called a wrong level."""

LEAST_DB = 0.5
"""Least change of a response in a band, and of each of two drivers' levels that are named together."""

LEAST_OF_TWO = 0.9
"""Share of the difference that two levels must explain: gains act alike everywhere, so that they leave only noise."""

LEAST_LEFT = 0.25
"""The gains of all drivers are the cause, not those of two, where they leave at most so much of what two leave; then
they leave only noise, and count as one number beside simpler causes that leave more."""

MOST_TURN = np.radians(45.0)
"""Most phase of a response that changed in a band: a peaking filter of 15 dB has as much. What turns it more is a delay
or a head that moved."""

Found = Iterator[tuple[str, str, float, int]]
"""Name, text, residual of the difference, and number of fitted parameters."""


def timed(s: Residual, p: Complex, names: Sequence[str]) -> Found:
    """One driver's level, polarity and delay."""
    for d, name in enumerate(names):
        part = np.einsum("pef,sf->pesf", s.h[:, :, d], s.w[:, d])
        q, own = _together(s, p, part)
        rest = s.heard - (q - own)
        g = s.gain(rest, own)
        left = s.power(rest - g * own)
        if abs(g) < 0.1:
            yield "dead driver", f"driver {name!r} is silent", s.power(rest), 0
        elif g < 0:
            inverted = s.power(rest + own)
            yield "polarity", f"driver {name!r} has its polarity inverted", inverted, 0
            yield "driver level", f"driver {name!r} is inverted and {level(-g)}", left, 2
        else:
            yield "driver level", f"driver {name!r} is {level(g)}", left, 1
        late, left = _delay(s, rest, own)
        if abs(late) > 0.02:
            side = "late" if late > 0 else "early"
            yield "driver delay", f"driver {name!r} is {abs(late):.2f} samples {side}", left, 1


def untimed(s: Residual, p: Complex, names: Sequence[str]) -> Found:
    """The same with unknown latency: it and the driver's delay or gain are fitted together."""
    base = s.lag(np.sum(s.weight * s.heard * p.conj(), axis=(0, 1, 2)))
    for d, name in enumerate(names):
        own = np.asarray(np.einsum("pef,sf->pesf", s.h[:, :, d], s.w[:, d]))
        pair = _Pair(s, p - own, own, base)
        t = pair.common()
        g = pair.gain(t)
        if abs(g) < 0.1:
            yield "dead driver", f"driver {name!r} is silent", pair.least(0.0), 0
        elif g < 0:
            yield "polarity", f"driver {name!r} has its polarity inverted", pair.least(-1.0), 0
            yield "driver level", f"driver {name!r} is inverted and {level(-g)}", pair.left(t, t, g), 2
        else:
            yield "driver level", f"driver {name!r} is {level(g)}", pair.left(t, t, g), 1
        late, left = pair.delay()
        if abs(late) > 0.02:
            side = "late" if late > 0 else "early"
            yield "driver delay", f"driver {name!r} is {abs(late):.2f} samples {side}", left, 1


class _Pair:
    """One driver's part of the prediction and the others', each with a delay of its own.

    ``|heard - o(t) - g d(u)|^2``, the others ``o`` late by ``t`` and the driver ``d`` by ``u``, is made of three
    correlations, each a function of one delay: heard with ``o``, heard with ``d``, and ``o`` with ``d`` at ``u - t``.

    Parameters
    ----------
    others, own
        ``(position, ear, stimulus, f)``.
    base
        Delay around which both are looked for, s.
    """

    def __init__(self, s: Residual, others: Complex, own: Complex, base: float) -> None:
        def cross(a: Complex, b: Complex) -> Complex:
            return np.asarray(np.sum(s.weight * a * b.conj(), axis=(0, 1, 2)))

        self._omega, self._fs = 2j * np.pi * s.f, s.fs
        self._ho, self._hd, self._od = cross(s.heard, others), cross(s.heard, own), cross(others, own)
        self._power, self._own = s.power(s.heard) + s.power(others), max(s.power(own), 1e-300)
        self._grid = base + np.arange(-LATEST_SAMPLES, LATEST_SAMPLES + 0.25, 0.5) / s.fs

    def _at(self, cross: Complex, late: Float | float) -> Float:
        return np.asarray((np.exp(np.multiply.outer(late, self._omega)) @ cross).real)

    def left(self, t: float, u: float, g: float) -> float:
        """Residual of the measured responses."""
        mixed = self._at(self._hd, u) - self._at(self._od, u - t)
        return float(self._power + g * g * self._own - 2.0 * self._at(self._ho, t) - 2.0 * g * mixed)

    def gain(self, t: float) -> float:
        """Gain of the driver with the delay of the others."""
        return float((self._at(self._hd, t) - self._at(self._od, 0.0)) / self._own)

    def common(self) -> float:
        """Common delay of the best fit at any gain of the driver, s."""

        def fit(t: Float) -> Float:
            gain = (self._at(self._hd, t) - self._at(self._od, 0.0)) / self._own
            return 2.0 * self._at(self._ho, t) + gain**2 * self._own

        return self._top(fit)

    def least(self, g: float) -> float:
        """Residual with a known gain, at the best common delay."""
        t = self._top(lambda late: self._at(self._ho, late) + g * self._at(self._hd, late))
        return self.left(t, t, g)

    def _top(self, fit: Callable[[Float], Float]) -> float:
        best, step = float(self._grid[int(np.argmax(fit(self._grid)))]), 0.5 / self._fs
        for _ in range(3):
            near = np.asarray(best + step * np.linspace(-1.0, 1.0, 21))
            best, step = float(near[int(np.argmax(fit(near)))]), 0.1 * step
        return best

    def delay(self) -> tuple[float, float]:
        """Delay of the driver re the others, samples, and the residual."""
        t = u = self._grid
        for step in (0.5, 0.05, 0.005):  # samples
            apart = np.subtract.outer(np.arange(len(u)), np.arange(len(t)))  # equal steps: few differences
            mixed = self._at(self._od, u[0] - t[0] + step / self._fs * np.arange(1 - len(t), len(u)))[
                apart + len(t) - 1
            ]
            fit = self._at(self._hd, u)[:, None] + self._at(self._ho, t)[None, :] - mixed
            i, k = np.unravel_index(int(np.argmax(fit)), fit.shape)
            best = float(u[i]), float(t[k])
            near = 0.1 * step / self._fs * np.arange(-10.0, 11.0)
            u, t = best[0] + near, best[1] + near
        return (best[0] - best[1]) * self._fs, self.left(best[1], best[0], 1.0)


def _together(s: Residual, p: Complex, part: Complex) -> tuple[Complex, Complex]:
    """Prediction and one driver's part of it, aligned by the other drivers."""
    turn = s.aligned(p) / np.where(p == 0, 1.0, p)
    common = np.mean(turn, axis=(0, 1, 2), where=np.abs(p) > 0)
    return p * common, part * common


def _delay(s: Residual, rest: Complex, own: Complex) -> tuple[float, float]:
    """Delay in samples of the best fit of ``own`` to ``rest``, and the residual."""
    cross = np.sum(s.weight * rest * own.conj(), axis=(0, 1, 2))
    both = s.power(rest) + s.power(own)

    def left(samples: Float) -> Float:
        turned = cross[None] * np.exp(2j * np.pi * s.f[None] * samples[:, None] / s.fs)
        return np.asarray(both - 2.0 * np.sum(turned.real, axis=1))

    grid = np.arange(-LATEST_SAMPLES, LATEST_SAMPLES, 0.25)
    middle = grid[int(np.argmin(left(grid)))]
    fine = middle + np.arange(-0.3, 0.3, 0.01)
    values = left(fine)
    return float(fine[int(np.argmin(values))]), float(values.min())


def paired(s: Residual, p: Complex, names: Sequence[str]) -> Found:
    """The two drivers whose gains explain most, where both changed; or all gains, if those explain far more."""
    turn = np.exp(
        -2j * np.pi * s.f * (0.0 if s.timed else s.lag(np.sum(s.weight * s.heard * p.conj(), axis=(0, 1, 2))))
    )
    parts = np.moveaxis(s.h[:, :, None] * s.w[None, None], 3, 0) * (turn * np.sqrt(s.weight))
    flat = parts.reshape(len(names), -1)
    apart = (s.heard * np.sqrt(s.weight)).ravel() - flat.sum(axis=0)
    gram, toward, base = (flat @ flat.conj().T).real, (flat.conj() @ apart).real, float(np.vdot(apart, apart).real)

    def gains(which: Sequence[int]) -> tuple[float, Float]:
        change = np.linalg.lstsq(gram[np.ix_(which, which)], toward[list(which)], rcond=None)[0]
        return base - float(change @ toward[list(which)]), 1.0 + change

    found = [(*gains(two), two) for two in combinations(range(len(names)), 2)]
    both = [one for one in found if np.all(_off(one[1]))]
    which: tuple[int, ...]
    left, g, which = min(both, key=lambda one: one[0], default=(base, np.ones(0), ()))
    each, every = gains(range(len(names)))
    alike = not np.any(_off(every / np.mean(every)))  # then everything is louder or softer
    name, numbers = "two driver levels", 2
    if int(_off(every).sum()) > 1 and each < LEAST_LEFT * left and not alike:
        left, g, which, name, numbers = each, every, tuple(range(len(names))), "driver levels", 1
    if left <= (1.0 - LEAST_OF_TWO) * base and len(g) and np.all((g > LOWEST_GAIN) & (g < 1.0 / LOWEST_GAIN)):
        changed = [(names[which[d]], g[d]) for d in range(len(g)) if _off(g)[d]]
        texts = [f"driver {driver!r} {'is ' if i == 0 else ''}{level(x)}" for i, (driver, x) in enumerate(changed)]
        yield name, listed(texts), left, numbers


def _off(g: Float) -> NDArray[np.bool_]:
    """Which gains are off by at least :data:`LEAST_DB`."""
    return np.asarray(np.abs(db(np.maximum(g, 1e-9))) > LEAST_DB)


def level(g: float) -> str:
    """A gain in words."""
    value = float(db(g))
    return f"{abs(value):.1f} dB {'high' if value > 0 else 'low'}"


def banded(s: Residual, p: Complex, names: Sequence[str]) -> Found:
    """One driver whose response changed in a band: one complex factor in each sixth octave of it.

    The narrowest run of them is taken that keeps :data:`KEPT` of what all of them explain.
    """
    for d, name in enumerate(names):
        part = np.asarray(np.einsum("pef,sf->pesf", s.h[:, :, d], s.w[:, d]))
        q, own = _together(s, p, part)
        change = band_change(s, s.heard - (q - own), own)
        if change:
            text = f"driver {name!r} has changed {change.text}"
            yield "driver response", text, s.power(s.heard - q) - change.gained, 4


@dataclass(frozen=True, slots=True)
class BandChange:
    """A response that changed in a band: its text, and the explained power."""

    text: str
    gained: float


def band_change(s: Residual, rest: Complex, own: Complex) -> BandChange | None:
    """One complex factor of ``own`` in each sixth octave that fits ``rest`` best, in the narrowest run of them.

    Parameters
    ----------
    rest, own
        ``(..., f)``: its measured and its predicted response.

    Returns
    -------
        ``None`` where nearly all of the band changed, or nothing by much: then its level or its delay is the simpler
        cause.
    """
    bands = _sixths(s.f)
    if len(bands) < LEAST_BANDS:
        return None
    weighted = s.weight * own.conj()
    cross = np.array([np.sum((weighted * rest)[..., b]) for b in bands])
    power = np.maximum([np.sum(s.weight[b] * np.abs(own[..., b]) ** 2) for b in bands], 1e-300)
    factor = np.where(np.abs(np.angle(cross)) < MOST_TURN, cross / power, 1.0)
    gained = 2.0 * ((factor - 1.0).conj() * cross).real - (np.abs(factor) ** 2 - 1.0) * power
    first, last = _narrowest(gained)
    size = np.maximum(np.abs(factor[first : last + 1]), 1e-3)
    change = np.abs(db(size))
    worst, strong = int(np.argmax(change)), first + np.flatnonzero(change >= 0.5 * change.max())
    if change.max() < LEAST_DB or strong[-1] - strong[0] + 1 > MOST_OF * len(bands):
        return None
    low, high = float(s.f[bands[strong[0]]][0]), float(s.f[bands[strong[-1]]][-1])
    where = f"above {low:.0f} Hz" if strong[-1] == len(bands) - 1 else f"from {low:.0f} to {high:.0f} Hz"
    text = f"{where}, by up to {_signed(float(size[worst]))}"
    return BandChange(text, float(gained[first : last + 1].sum()))


def _sixths(f: Float) -> list[slice]:
    """Sixth octaves of the bins; narrower ones than two bins are joined."""
    edges, found = np.searchsorted(f, f[0] * 2.0 ** (np.arange(0, 80) / 6.0)), [0]
    for edge in edges:
        if edge - found[-1] >= 2:
            found.append(int(edge))
    found[-1] = len(f)
    return [slice(a, b) for a, b in pairwise(found)]


def _narrowest(gained: Float) -> tuple[int, int]:
    """First and last of the shortest run that holds :data:`KEPT` of all that is gained; of equal ones the best."""
    total, n = float(gained.sum()), len(gained)
    sums = np.concatenate([[0.0], np.cumsum(gained)])
    for length in range(1, n + 1):
        runs = sums[length:] - sums[:-length]
        if runs.max() >= KEPT * total:
            first = int(np.argmax(runs))
            return first, first + length - 1
    return 0, n - 1


def _signed(g: float) -> str:
    return f"{float(db(max(g, 1e-3))):+.1f} dB"
