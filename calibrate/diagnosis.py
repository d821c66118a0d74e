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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calibrate.predict import spectra
from measure.impulse import ImpulseResponse
from processor.filterset import FilterSet
from rigs.units import Float, db, power_db

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
    """

    h: Complex
    w: Complex
    heard: Complex
    f: Float
    weight: Float
    fs: int
    timed: bool = True

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
    ears: ImpulseResponse, heard: ImpulseResponse, filters: FilterSet, share: float, *, timed: bool = True
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
    """
    paths, f = spectra(ears)
    got, _ = spectra(heard)
    inside = np.flatnonzero((f >= BAND[0]) & (f <= BAND[1]))[::THIN]
    h, f = paths[..., inside], f[inside]
    w = stimuli(np.asarray(filters.response(f), dtype=np.complex128), share)
    near = np.mean([np.abs(np.einsum("pdf,df->pf", h[:, e], w[e])) ** 2 for e in (0, 1)], axis=(0, 1))
    return Scene(h, w, np.asarray(got[..., inside]), f, 1.0 / np.maximum(near, 1e-30) / f, ears.fs, timed)


def stimuli(programs: Complex, share: float) -> Complex:
    """Filters of left, right, centre ``(3, driver, f)`` as those of the stimuli left, right, both."""
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
        *_drivers(s, p, drivers),
        *_swapped(s, drivers),
        *_sides(s),
        *_bypassed(s),
        *_rates(s),
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
    count = s.h.shape[2]
    cross = np.einsum("f,pesf,pedf->df", s.weight, s.heard, s.h.conj())
    lags = [s.lag(c) for c in cross]
    tops = [float(np.sum(c * np.exp(2j * np.pi * s.f * t)).real) for c, t in zip(cross, lags, strict=True)]
    h = s.h * np.exp(-2j * np.pi * s.f * lags[int(np.argmax(tops))])
    a = (np.moveaxis(h, 2, -1) * np.sqrt(s.weight)[:, None]).reshape(-1, count)
    left = 0.0
    for i in range(s.w.shape[0]):
        b = (s.heard[:, :, i] * np.sqrt(s.weight)).reshape(-1)
        stacked, wanted = np.vstack([a.real, a.imag]), np.concatenate([b.real, b.imag])
        gains = np.linalg.lstsq(stacked, wanted, rcond=None)[0]
        left += float(np.sum((wanted - stacked @ gains) ** 2))
    yield "bypassed", "the filters are not active: every driver plays its input unfiltered", left, 2


def _rates(s: Scene) -> Found:
    for ratio in RATES:
        inside = s.f * ratio < s.f[-1]
        at = np.interp(s.f[inside] * ratio, s.f, np.arange(len(s.f)))
        low = np.minimum(at.astype(int), len(s.f) - 2)
        w = np.zeros_like(s.w)
        w[..., inside] = s.w[..., low] + (at - low) * (s.w[..., low + 1] - s.w[..., low])
        said = f"the filters run at {1.0 / ratio:.3f} times their sampling rate"
        yield "sampling rate", said, s.left_over(s.predicted(w=w)), 0


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
    said = f"the head is {100 * x:+.1f} cm farther and {100 * y:+.1f} cm to the left, turned by "
    said += f"{np.degrees(yaw):+.1f} degrees"
    left = 2.0 * float(best.cost) / max(start, 1e-300) * s.left_over(s.predicted())
    yield "head moved", said, left, 3


def _db(g: float) -> str:
    level = float(db(g))
    return f"{abs(level):.1f} dB {'high' if level > 0 else 'low'}"


def ranked(found: Sequence[Cause], count: int = 3) -> list[Cause]:
    """The most likely causes, one of a name."""
    seen: dict[str, Cause] = {}
    for cause in found:
        seen.setdefault(cause.name, cause)
    return list(seen.values())[:count]
