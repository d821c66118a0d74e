"""Why a unit sounds different from what was predicted: simple causes, each fitted to what was heard.

What the ears should hear is ``p = sum_d H_d W_d``, with the measured paths ``H`` and the filters ``W``. Every cause
changes ``H`` or ``W`` in its own way, with few numbers that are fitted; what it explains is the share of the weighted
squared difference between heard and predicted that it takes away::

    explained = 1 - |heard - p(cause)|^2 / |heard - p|^2

Where the processor's latency is not known, a common delay is fitted too, so that latency alone is no difference. Bins
weigh by the inverse power at the near ear, so that no band counts more for being loud; those beyond :data:`BAND` do not
count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calibrate import gate
from calibrate.predict import spectra
from calibrate.spectrum import grid, transform
from measure.impulse import ImpulseResponse
from processor.filterset import FilterSet
from rigs.units import Float, db, from_db, power_db

Complex = NDArray[np.complex128]

BAND = (200.0, 5000.0)
"""Where heard and predicted are compared, Hz."""

MOVED_BAND = (200.0, 2500.0)
"""Where a moved head is fitted: above, a few centimetres turn the phase more than once."""

RATES = (44100.0 / 48000.0, 48000.0 / 44100.0, 0.5, 2.0)
"""Ratios of sampling rates that are mistaken for each other."""

THIN = 4
"""Every so many bins are looked at: causes are smooth, and responses that last a few ms need no more."""

LATEST_SAMPLES = 64.0
"""Largest delay of one driver that is looked for."""

STARTS = ((0.03, 0.0, 0.0), (0.06, 0.0, 0.0), (0.09, 0.0, 0.0), (0.0, 0.03, 0.0), (0.0, 0.06, 0.0), (0.0, 0.1, 0.0),
          (0.0, 0.0, 0.1), (0.0, 0.0, 0.25))  # fmt: skip
"""Where the fit of a moved head may begin, and their opposites: m, m, rad."""

CLIPPED_AT = tuple(float(from_db(-v)) for v in (0.7, 1.4, 2.8, 4.2, 5.6, 7.0, 9.0, 12.0, 15.0, 18.0))
"""Where clipping is looked for, re the largest sample of any driver."""

LOWEST_GAIN = 0.1
"""Smallest common gain that is called a wrong level."""

SIMPLER = 0.03
"""By how much more a cause with more numbers must explain than one with fewer."""

EAR_M = 0.0875


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause with what it explains.

    Parameters
    ----------
    name
        Short and stable, for records: ``"driver level"``, ``"polarity"`` and so on.
    said
        In a sentence, with the numbers that were fitted.
    explained
        Share of the difference, at most 1.
    numbers
        How many numbers were fitted.
    """

    name: str
    said: str
    explained: float
    numbers: int

    @property
    def percent(self) -> float:
        """What it explains in per cent, from 0."""
        return 100.0 * max(self.explained, 0.0)

    @property
    def evidence(self) -> str:
        """What speaks for it, in a few words."""
        return (
            "heard as it was predicted" if self.name == DESIGN else f"explains {self.percent:.0f} % of the difference"
        )


DESIGN = "design"
"""Nothing is wrong with the unit: its filters cannot do what the limits ask for."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a cause is fitted to; ``f`` are the bins in :data:`BAND`.

    Parameters
    ----------
    h
        Paths ``(position, ear, driver, f)``.
    w
        Filters ``(stimulus, driver, f)``: left, right, both.
    heard
        ``(position, ear, stimulus, f)``.
    f
        Hz.
    weight
        ``(f,)``.
    fs
        Hz.
    timed
        Whether the processor's latency is known: then a common delay is a difference too.
    at
        The filters ``(stimulus, driver, f)`` at any frequencies, where they are known beyond the scene's bins.
    early
        Heard minus predicted until the direct sound has passed, as ``heard``; ``None`` where no gate tells when.
    clipped
        The filters as they act on the sweeps that were played when every driver is cut off at a share of its largest
        sample; ``None`` where the sweeps are not known.
    """

    h: Complex
    w: Complex
    heard: Complex
    f: Float
    weight: Float
    fs: int
    timed: bool = True
    at: Callable[[Float], Complex] | None = None
    early: Complex | None = None
    clipped: Callable[[float], Complex] | None = None

    def predicted(self, h: Complex | None = None, w: Complex | None = None) -> Complex:
        """What these paths and filters give, ``(position, ear, stimulus, f)``."""
        return np.asarray(np.einsum("pedf,sdf->pesf", self.h if h is None else h, self.w if w is None else w))

    def power(self, x: Complex) -> float:
        """Weighted power."""
        return float(np.sum(self.weight * np.abs(x) ** 2))

    def left_over(self, p: Complex) -> float:
        """Weighted power of what ``p`` leaves of the heard, after the common delay that fits best."""
        return self.power(self.heard - self.aligned(p))

    def aligned(self, p: Complex) -> Complex:
        """``p`` with the common delay (within a few ms) at which it fits the heard best."""
        if self.timed:
            return p
        cross = np.sum(self.weight * self.heard * p.conj(), axis=(0, 1, 2))
        return np.asarray(p * np.exp(-2j * np.pi * self.f * self.lag(cross)))

    def lag(self, cross: Complex) -> float:
        """Delay in s at which ``sum Re(cross exp(2j pi f t))`` is largest, within half of what the bins tell apart."""
        n, step = 1 << 13, float(self.f[1] - self.f[0])
        grid = np.zeros(n, dtype=np.complex128)
        grid[np.round((self.f - self.f[0]) / step).astype(int)] = cross
        late = np.fft.fftfreq(n, step)
        at = float(late[int(np.argmax((np.fft.ifft(grid) * np.exp(2j * np.pi * self.f[0] * late)).real))])
        for _ in range(4):  # Newton's steps to the top
            turned = cross * np.exp(2j * np.pi * self.f * at)
            slope = -np.sum(2.0 * np.pi * self.f * turned.imag)
            curve = -np.sum((2.0 * np.pi * self.f) ** 2 * turned.real)
            at += float(np.clip(-slope / curve, -2e-5, 2e-5)) if curve < 0 else 0.0
        return at


def scene(
    ears: ImpulseResponse,
    heard: ImpulseResponse,
    filters: FilterSet,
    share: float,
    *,
    timed: bool = True,
    end: Float | None = None,
    clipped: Callable[[float, Float], Complex] | None = None,
) -> Scene:
    """Put measured paths, filters and what was heard together.

    Parameters
    ----------
    ears
        The session's scoring positions.
    heard
        The verification's, with the stimuli in the place of drivers.
    filters
        What should have been deployed.
    share
        Part of what both sides have in common that goes to the centre, see :func:`calibrate.verify.expected`.
    end
        Until when the direct sound is heard at each position, s.
    clipped
        Filters of the stimuli at frequencies, when drivers are cut off at a share of their largest sample.
    """
    paths, f = spectra(ears)
    got, _ = spectra(heard)
    inside = np.flatnonzero((f >= BAND[0]) & (f <= BAND[1]))[::THIN]
    h, f = paths[..., inside], f[inside]

    def at(frequencies: Float) -> Complex:
        return stimuli(np.asarray(filters.response(frequencies), dtype=np.complex128), share)

    w = at(f)
    near = np.mean([np.abs(np.einsum("pdf,df->pf", h[:, e], w[e])) ** 2 for e in (0, 1)], axis=(0, 1))
    early = None if end is None else _early(ears, heard, stimuli(filters.taps, share), end)[..., inside]
    return Scene(
        h,
        w,
        np.asarray(got[..., inside]),
        f,
        1.0 / np.maximum(near, 1e-30) / f,
        ears.fs,
        timed,
        at,
        early,
        None if clipped is None else lambda level: clipped(level, f),
    )


def _early(ears: ImpulseResponse, heard: ImpulseResponse, taps: Float, end: Float) -> Complex:
    """Spectra of heard minus predicted until ``end (position,)`` s: time is not folded on the way."""
    n = 1 << (ears.h.shape[-1] + taps.shape[-1] - 1).bit_length()
    both = np.einsum("pedf,sdf->pesf", np.fft.rfft(ears.h, n, axis=-1), np.fft.rfft(taps, n, axis=-1))
    wanted = np.fft.irfft(both, n, axis=-1)
    taken = min(n, heard.h.shape[-1])
    apart = heard.h[..., :taken] - wanted[..., :taken]
    return transform(gate.until(apart, heard.zero, heard.fs, end), grid(heard.fs), heard.zero)


def stimuli(programs: NDArray[np.inexact[Any]], share: float) -> NDArray[Any]:
    """Filters of left, right, centre ``(3, driver, f or tap)`` as those of the stimuli left, right, both."""
    left, right, centre = programs
    return np.stack([left, right, share * centre + (1.0 - share) * (left + right)])


def disagreement_db(s: Scene) -> float:
    """Weighted power of heard minus predicted over that of the predicted, dB; a common delay does not count."""
    p = s.predicted()
    return float(power_db(s.left_over(p) / max(s.power(p), 1e-300)))


def causes(
    s: Scene,
    drivers: Sequence[str],
    at: Float,
    distance_m: float,
    others: Mapping[str, Complex] | None = None,
) -> list[Cause]:
    """Every cause with what it explains, the most likely first.

    Parameters
    ----------
    s
        From :func:`scene`.
    drivers
        Names.
    at
        Their places ``(driver, 3)`` m.
    distance_m
        From the device to the head.
    others
        Filters of other filter sets by a name to call them: ``(stimulus, driver, f)`` on the scene's bins.
    """
    p = s.predicted()
    base = s.left_over(p)
    found = [
        *_level(s, p),
        *(_drivers(s, p, drivers) if s.timed else _drivers_late(s, p, drivers)),
        *_swapped(s, drivers),
        *_sides(s),
        *_bypassed(s),
        *_rates(s),
        *_room(s),
        *_clipping(s),
        *_others(s, others or {}),
        *_moved(s, at, distance_m),
    ]
    judged = [Cause(n, said, 1.0 - left / max(base, 1e-300), k) for n, said, left, k in found]
    return sorted(judged, key=lambda c: -(c.explained - SIMPLER * c.numbers))


Found = Iterator[tuple[str, str, float, int]]


def _gain(s: Scene, target: Complex, part: Complex) -> float:
    """Real factor of ``part`` that fits ``target`` best."""
    return float(np.sum(s.weight * (part.conj() * target).real) / max(s.power(part), 1e-300))


def _level(s: Scene, p: Complex) -> Found:
    q = s.aligned(p)
    g = _gain(s, s.heard, q)
    if not LOWEST_GAIN < g < 1.0 / LOWEST_GAIN:
        return  # beyond that near-silence would explain whatever is loud in the prediction
    yield "level", f"everything is {_db(g)}", s.power(s.heard - g * q), 1


def _drivers(s: Scene, p: Complex, names: Sequence[str]) -> Found:
    """One driver's level, polarity and delay."""
    for d, name in enumerate(names):
        part = np.einsum("pef,sf->pesf", s.h[:, :, d], s.w[:, d])
        q, own = _together(s, p, part)
        rest = s.heard - (q - own)
        g = _gain(s, rest, own)
        left = s.power(rest - g * own)
        if abs(g) < 0.1:
            yield "dead driver", f"driver {name!r} is silent", s.power(rest), 0
        elif g < 0:
            inverted = s.power(rest + own)
            yield "polarity", f"driver {name!r} has its polarity inverted", inverted, 0
            yield "driver level", f"driver {name!r} is inverted and {_db(-g)}", left, 2
        else:
            yield "driver level", f"driver {name!r} is {_db(g)}", left, 1
        late, left = _delay(s, rest, own)
        if abs(late) > 0.02:
            side = "late" if late > 0 else "early"
            yield "driver delay", f"driver {name!r} is {abs(late):.2f} samples {side}", left, 1


def _drivers_late(s: Scene, p: Complex, names: Sequence[str]) -> Found:
    """The same where the latency is not known: it and the driver's own delay or gain are fitted together."""
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
            yield "driver level", f"driver {name!r} is inverted and {_db(-g)}", pair.left(t, t, g), 2
        else:
            yield "driver level", f"driver {name!r} is {_db(g)}", pair.left(t, t, g), 1
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
    s
        The scene.
    others, own
        ``(position, ear, stimulus, f)``.
    base
        Delay around which both are looked for, s.
    """

    def __init__(self, s: Scene, others: Complex, own: Complex, base: float) -> None:
        def cross(a: Complex, b: Complex) -> Complex:
            return np.asarray(np.sum(s.weight * a * b.conj(), axis=(0, 1, 2)))

        self._omega, self._fs = 2j * np.pi * s.f, s.fs
        self._ho, self._hd, self._od = cross(s.heard, others), cross(s.heard, own), cross(others, own)
        self._power, self._own = s.power(s.heard) + s.power(others), max(s.power(own), 1e-300)
        self._grid = base + np.arange(-LATEST_SAMPLES, LATEST_SAMPLES + 0.25, 0.5) / s.fs

    def _at(self, cross: Complex, late: Float | float) -> Float:
        return np.asarray((np.exp(np.multiply.outer(late, self._omega)) @ cross).real)

    def left(self, t: float, u: float, g: float) -> float:
        """What is left of the heard."""
        mixed = self._at(self._hd, u) - self._at(self._od, u - t)
        return float(self._power + g * g * self._own - 2.0 * self._at(self._ho, t) - 2.0 * g * mixed)

    def gain(self, t: float) -> float:
        """Of the driver, where it is as late as the others."""
        return float((self._at(self._hd, t) - self._at(self._od, 0.0)) / self._own)

    def common(self) -> float:
        """Delay of both at which they fit best, whatever the driver's gain, s."""

        def fit(t: Float) -> Float:
            gain = (self._at(self._hd, t) - self._at(self._od, 0.0)) / self._own
            return 2.0 * self._at(self._ho, t) + gain**2 * self._own

        return self._top(fit)

    def least(self, g: float) -> float:
        """What is left with a gain that is known, at the delay of both that fits best."""
        t = self._top(lambda late: self._at(self._ho, late) + g * self._at(self._hd, late))
        return self.left(t, t, g)

    def _top(self, fit: Callable[[Float], Float]) -> float:
        best, step = float(self._grid[int(np.argmax(fit(self._grid)))]), 0.5 / self._fs
        for _ in range(3):
            near = np.asarray(best + step * np.linspace(-1.0, 1.0, 21))
            best, step = float(near[int(np.argmax(fit(near)))]), 0.1 * step
        return best

    def delay(self) -> tuple[float, float]:
        """By how many samples the driver is later than the others, and what is left then."""
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


def _together(s: Scene, p: Complex, part: Complex) -> tuple[Complex, Complex]:
    """Prediction and one driver's part of it, aligned by what the other drivers say."""
    turn = s.aligned(p) / np.where(p == 0, 1.0, p)
    common = np.mean(turn, axis=(0, 1, 2), where=np.abs(p) > 0)
    return p * common, part * common


def _delay(s: Scene, rest: Complex, own: Complex) -> tuple[float, float]:
    """Samples by which ``own`` fits ``rest`` best, and what is left then."""
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


def _swapped(s: Scene, names: Sequence[str]) -> Found:
    for a, b in combinations(range(len(names)), 2):
        w = s.w.copy()
        w[:, [a, b]] = w[:, [b, a]]
        said = f"drivers {names[a]!r} and {names[b]!r} are swapped"
        yield "drivers swapped", said, s.left_over(s.predicted(w=w)), 0


def _sides(s: Scene) -> Found:
    yield "left-right swap", "left and right are swapped", s.left_over(s.predicted(w=s.w[[1, 0, 2]])), 0
    yield "ears swapped", "the two ears are swapped", s.left_over(s.predicted(h=s.h[:, ::-1])), 0


def _bypassed(s: Scene) -> Found:
    """Every driver gets each side with one gain, whatever the frequency: no filters at all."""
    cross = np.einsum("f,pesf,pedf->df", s.weight, s.heard, s.h.conj())
    lags = [s.lag(c) for c in cross]
    tops = [float(np.sum(c * np.exp(2j * np.pi * s.f * t)).real) for c, t in zip(cross, lags, strict=True)]
    best = lags[int(np.argmax(tops))]
    for step in (0.5, 0.05):  # samples
        best = min((float(best + k * step / s.fs) for k in range(-12, 13)), key=lambda t: _unfiltered(s, t))
    left = _unfiltered(s, best)
    yield "bypassed", "the filters are not active: every driver plays its input unfiltered", left, 2


def _unfiltered(s: Scene, late: float) -> float:
    """What drivers that play left and right with one gain each for all frequencies leave over, ``late`` s later."""
    h = s.h * np.exp(-2j * np.pi * s.f * late)
    a = (np.moveaxis(h, 2, -1) * np.sqrt(s.weight)[:, None]).reshape(-1, s.h.shape[2])
    one, none = np.vstack([a.real, a.imag]), np.zeros((2 * len(a), a.shape[1]))
    b = (np.moveaxis(s.heard, 2, 0) * np.sqrt(s.weight)).reshape(s.w.shape[0], -1)
    wanted = np.concatenate([b.real, b.imag], axis=1).ravel()
    stacked = np.block([[one, none], [none, one], [one, one]])
    gains = np.linalg.lstsq(stacked, wanted, rcond=None)[0]
    return float(np.sum((wanted - stacked @ gains) ** 2))


def _rates(s: Scene) -> Found:
    """The filters' taps at another rate than they were made for."""
    for ratio in RATES:
        inside = s.f * ratio < s.f[-1]
        w = np.zeros_like(s.w)
        if s.at is not None:
            w = s.at(s.f * ratio)
        else:
            at = np.interp(s.f[inside] * ratio, s.f, np.arange(len(s.f)))
            low = np.minimum(at.astype(int), len(s.f) - 2)
            w[..., inside] = s.w[..., low] + (at - low) * (s.w[..., low + 1] - s.w[..., low])
        said = f"the filters run at {1.0 / ratio:.3f} times their sampling rate"
        p = s.predicted(w=w)
        g = _gain(s, s.heard, s.aligned(p))  # resampling may scale them
        yield "sampling rate", said, min(s.left_over(p), s.left_over(g * p) if g > LOWEST_GAIN else np.inf), 1


def _room(s: Scene) -> Found:
    """Everything after the direct sound."""
    if s.early is None:
        return
    said = "what differs comes after the direct sound: the room, or what stands in it, is not as it was measured"
    yield "room changed", said, s.power(s.early), 0


def _clipping(s: Scene) -> Found:
    """Every driver cut off at one level."""
    if s.clipped is None:
        return
    tried = {c: s.left_over(s.predicted(w=s.clipped(c))) for c in CLIPPED_AT}
    best = min(tried, key=lambda c: tried[c])
    for c in best * from_db(np.array([-0.7, -0.35, 0.35, 0.7])):
        if c < 1.0:
            tried[float(c)] = s.left_over(s.predicted(w=s.clipped(float(c))))
    best = min(tried, key=lambda c: tried[c])
    said = f"the drivers are clipped {-float(db(best)):.1f} dB below the peak of the loudest sweep"
    yield "clipping", said, tried[best], 1


def _others(s: Scene, others: Mapping[str, Complex]) -> Found:
    for name, w in others.items():
        yield "other filter set", f"the filters are those of {name}", s.left_over(s.predicted(w=w)), 0


def _moved(s: Scene, at: Float, distance_m: float) -> Found:
    """The head somewhere else: every path later or earlier by its way, to first order of the geometry."""
    ears = np.array([[0.0, -EAR_M], [0.0, EAR_M]])  # the listener faces the device: the left ear is at negative y
    low = s.f <= MOVED_BAND[1]
    f, scale = s.f[low], np.sqrt(s.weight[low])
    heard = s.heard[..., low] * scale
    if not s.timed:
        p = s.predicted()
        back = s.lag(np.sum(s.weight * s.heard * p.conj(), axis=(0, 1, 2)))
        heard = heard * np.exp(2j * np.pi * f * back)

    def paths(x: Float) -> Complex:
        turn = np.array([[np.cos(x[2]), -np.sin(x[2])], [np.sin(x[2]), np.cos(x[2])]])
        before = ears + np.array([distance_m, 0.0])
        after = ears @ turn.T + np.array([distance_m + x[0], x[1]])
        way = [np.linalg.norm(e[:, None] - at[None, :, :2], axis=-1) for e in (before, after)]
        late = (way[1] - way[0]) / 343.0
        turn_back = np.exp(-2j * np.pi * late[None, :, :, None] * f) * (way[0] / way[1])[None, :, :, None]
        return np.asarray(s.h[..., low] * turn_back)

    def rest(x: Float) -> Float:
        r = heard - np.einsum("pedf,sdf->pesf", paths(x), s.w[..., low]) * scale
        return np.concatenate([r.real.ravel(), r.imag.ravel()])

    start = float(np.sum(rest(np.zeros(3)) ** 2))
    starts = [(0.0, 0.0, 0.0)] + [tuple(sign * v for v in row) for row in STARTS for sign in (1, -1)]
    coarse = min(starts, key=lambda x: float(np.sum(rest(np.array(x)) ** 2)))
    best = least_squares(rest, coarse, x_scale=[0.01, 0.01, 0.05], max_nfev=25)
    x, y, yaw = best.x
    away = f"{abs(100 * x):.1f} cm {'farther' if x > 0 else 'nearer'}"
    aside = f"{abs(100 * y):.1f} cm to the {'left' if y > 0 else 'right'}"
    said = f"the head is {away} and {aside}, turned by {abs(np.degrees(yaw)):.1f} degrees to the "
    said += "left" if yaw > 0 else "right"
    left = 2.0 * float(best.cost) / max(start, 1e-300) * s.left_over(s.predicted())
    yield "head moved", said, left, 3


def _db(g: float) -> str:
    level = float(db(g))
    return f"{abs(level):.1f} dB {'high' if level > 0 else 'low'}"


def ranked(found: Sequence[Cause], count: int = 3) -> list[Cause]:
    """The most likely causes, one of a name; after the first only those that explain something."""
    seen: dict[str, Cause] = {}
    for cause in found:
        if not seen or cause.explained >= LEAST:
            seen.setdefault(cause.name, cause)
    return list(seen.values())[:count]


LEAST = 0.05
"""Share of the difference that a second cause must explain to be told."""
