"""Causes of a difference from the prediction: simple models, each fitted to the measured responses.

Every cause changes the measured paths ``H`` or the filters ``W`` of a :class:`residual.Residual`, with few fitted
parameters; it explains the share of the weighted squared difference between measured and predicted that it removes::
explained = 1 - |measured - p(cause)|^2 / |measured - p|^2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from sweetspot.calibrate.verify.diagnose import driver_faults, head_faults
from sweetspot.calibrate.verify.diagnose.driver_faults import LOWEST_GAIN, Found
from sweetspot.calibrate.verify.diagnose.residual import AS_PREDICTED, Residual, own_power
from sweetspot.rigs.units import Complex, Float, db, from_db

RATES = (44100.0 / 48000.0, 48000.0 / 44100.0, 0.5, 2.0)
"""Ratios of sampling rates that are mistaken for each other."""

CLIPPED_AT = tuple(float(from_db(-v)) for v in (0.7, 1.4, 2.8, 4.2, 5.6, 7.0, 9.0, 12.0, 15.0, 18.0))
"""Tested clipping levels, re the largest sample of any driver."""

SIMPLER = 0.03
"""Required advantage of a cause with more fitted parameters."""

NOT_FAR = 0.4
"""Largest difference of the direct sound, re its power, where the room is the cause: a head that moves changes both,
and a floor that came may reflect within the gate."""

LEAST_SHARE = 0.05
"""Smallest share of the linear form that is distinguished from none."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause with its explained share.

    Parameters
    ----------
    name
        Short and stable, for records: ``"driver level"``, ``"polarity"`` and so on.
    text
        In a sentence, with the numbers that were fitted.
    explained
        Share of the difference, at most 1.
    """

    name: str
    text: str
    explained: float
    numbers: int

    @property
    def percent(self) -> float:
        """Explained share in percent, from 0."""
        return 100.0 * max(self.explained, 0.0)

    @property
    def evidence(self) -> str:
        """Short text of its evidence."""
        if self.name == UNCLEAR:
            return f"nothing explains more than {self.percent:.0f} % of the difference"
        if self.name in MEASURED:
            return "as measured"
        return "as predicted" if self.name == DESIGN else f"explains {self.percent:.0f} % of the difference"


GUARD_OFF, NOISE, DISTORTION, BUZZ, LATENCY, TREBLE = MEASURED = (
    "guard off", "noise", "distortion", "rub and buzz", "latency", "treble"
)  # fmt: skip
"""Causes that a metric of the chain states by itself: no difference from the prediction in :data:`residual.BAND`."""

ROOM = "room changed"
"""The direct sound is not far from its prediction, and what follows it is."""

DESIGN = "design"
"""The unit is good: its design cannot meet the limits."""


def causes(
    s: Residual,
    drivers: Sequence[str],
    at: Float,
    distance_m: float,
    others: Mapping[str, Complex] | None = None,
) -> list[Cause]:
    """All causes with their explained shares, the most likely first.

    Parameters
    ----------
    s
        From :func:`sweetspot.calibrate.verify.diagnose.residual.of`.
    at
        Their places ``(driver, 3)`` m.
    distance_m
        From the device to the head.
    others
        Filters of other filter sets by a name to call them: ``(stimulus, driver, f)`` on the scene's bins.
    """
    p = s.predicted()
    noise = s.variance(s.noise)
    base = own_power(s, s.left_over(p))  # noise is nobody's fault
    found = [
        *_level(s, p),
        *(driver_faults.timed if s.timed else driver_faults.untimed)(s, p, drivers),
        *driver_faults.paired(s, p, drivers),
        *driver_faults.banded(s, p, drivers),
        *_swapped(s, drivers),
        *_sides(s),
        *_inverted(s),
        *_program_level(s, p),
        *head_faults.inverted(s),
        *head_faults.ear_gain(s, p),
        *head_faults.banded(s, p),
        *_centre(s),
        *_bypassed(s),
        *_rates(s),
        *_room(s),
        *_clipping(s),
        *_others(s, others or {}),
        *_swapped_beside(s, drivers),
    ]
    direct = s.direct(AS_PREDICTED) or s  # what a room returns to a moved head, no model has
    apart = own_power(direct, direct.left_over(direct.predicted()))
    moved = _judged([*head_faults.moved(direct, at, distance_m)], apart, direct.variance(direct.noise))
    judged = _judged(found, base, noise)
    if direct is not s and max(c.explained for c in moved) >= CLEAR:
        judged = [c for c in judged if c.name != ROOM]
    judged += moved
    if max(c.explained for c in judged) < CLEAR:
        judged += _judged([*head_faults.elsewhere(s)], base, noise)
    return sorted(judged, key=lambda c: -(c.explained - SIMPLER * c.numbers))


def _judged(found: Sequence[tuple[str, str, float, int]], base: float, noise: float) -> list[Cause]:
    """Causes with their share of a difference ``base``, of what they leave beyond the noise."""
    return [Cause(n, message, 1.0 - max(left - noise, 0.0) / max(base, 1e-300), k) for n, message, left, k in found]


def _swapped_beside(s: Residual, drivers: Sequence[str]) -> Found:
    """Swapped ears, and beside them a fault of one driver."""
    swapped = replace(s, h=s.h[:, ::-1])
    each = (driver_faults.timed if s.timed else driver_faults.untimed)(swapped, swapped.predicted(), drivers)
    for _, message, left, k in each:
        yield "ears swapped, driver", f"the two ears are swapped, and {message}", left, k + 2


def _level(s: Residual, p: Complex) -> Found:
    q = s.aligned(p)
    g = s.gain(s.heard, q)
    if not LOWEST_GAIN < g < 1.0 / LOWEST_GAIN:
        return  # beyond that near-silence would explain whatever is loud in the prediction
    yield "level", f"everything is {driver_faults.level(g)}", s.power(s.heard - g * q), 1


def _swapped(s: Residual, names: Sequence[str]) -> Found:
    for a, b in combinations(range(len(names)), 2):
        w = s.w.copy()
        w[:, [a, b]] = w[:, [b, a]]
        message = f"drivers {names[a]!r} and {names[b]!r} are swapped"
        yield "drivers swapped", message, s.left_over(s.predicted(w=w)), 0


def _sides(s: Residual) -> Found:
    yield "left-right swap", "left and right are swapped", s.left_over(s.predicted(w=s.w[[1, 0, 2]])), 0
    yield "ears swapped", "the two ears are swapped", s.left_over(s.predicted(h=s.h[:, ::-1])), 0


def _inverted(s: Residual) -> Found:
    """Everything, or one input of the processor, with the opposite sign: what both have in common is then a side."""
    left, right = s.w[:2]
    message = "everything has its polarity inverted: all drivers, all inputs or the loopback"
    yield "polarity of all", message, s.left_over(s.predicted(w=-s.w)), 0
    for name, w in (("left", [-left, right, right - left]), ("right", [left, -right, left - right])):
        message = f"the {name} program has its polarity inverted: its input or cable"
        yield "program polarity", message, s.left_over(s.predicted(w=np.stack(w))), 0


def _program_level(s: Residual, p: Complex) -> Found:
    """One input of the processor at another level, or silent."""
    late = 0.0 if s.timed else s.lag(np.sum(s.weight * s.heard * p.conj(), axis=(0, 1, 2)))
    heard = s.heard * np.exp(2j * np.pi * s.f * late)
    for i, name in enumerate(("left", "right")):
        part = np.zeros_like(s.w)
        part[[i, 2]] = s.w[i]
        own = s.predicted(w=part)
        g = s.gain(heard - (p - own), own)
        if abs(g) < LOWEST_GAIN:
            yield "program silent", f"the {name} program is silent: its input or cable", _left(s, s.w - part), 0
        elif 0.0 < g < 1.0 / LOWEST_GAIN:
            message = f"the {name} program is {driver_faults.level(g)}: its input or cable"
            yield "program level", message, _left(s, np.asarray(s.w + (g - 1.0) * part)), 1


def _centre(s: Residual) -> Found:
    """The centre program at another level or missing, or a form without an upmix, with or without a fixed centre."""
    if s.share <= 0.0:
        return
    sides = s.w[0] + s.w[1]
    centre = (s.w[2] - (1.0 - s.share) * sides) / s.share
    rest, part = np.zeros_like(s.w), np.zeros_like(s.w)
    rest[:2], rest[2], part[2] = s.w[:2], (1.0 - s.share) * sides, s.share * centre
    yield "centre missing", "the centre program is missing: their common signal is not played", _left(s, rest), 0
    g = s.gain(s.heard - s.aligned(s.predicted(w=rest)), s.aligned(s.predicted(w=part)))
    if LOWEST_GAIN < g < 1.0 / LOWEST_GAIN:
        message = f"the centre program is {driver_faults.level(g)}"
        yield "centre level", message, _left(s, np.asarray(rest + g * part)), 1
    plain, moved = np.stack([s.w[0], s.w[1], sides]), np.stack([centre - sides, centre - sides, 2.0 * (centre - sides)])
    message = "the upmix is off: both sides play through their own filters, the centre program is silent"
    yield "upmix off", message, _left(s, plain), 0
    a = s.gain(s.heard - s.aligned(s.predicted(w=plain)), s.aligned(s.predicted(w=moved)))
    if LEAST_SHARE < a < 1.0 - LEAST_SHARE:
        message = f"the upmix is the linear one, C = {a:.2f} (L + R), in place of the adaptive one"
        yield "upmix linear", message, _left(s, np.asarray(plain + a * moved)), 1


def _left(s: Residual, w: Complex) -> float:
    return s.left_over(s.predicted(w=w))


def _bypassed(s: Residual) -> Found:
    """Every driver gets each side with one gain at all frequencies: no filters at all."""
    cross = np.einsum("f,pesf,pedf->df", s.weight, s.heard, s.h.conj())
    lags = [s.lag(c) for c in cross]
    tops = [float(np.sum(c * np.exp(2j * np.pi * s.f * t)).real) for c, t in zip(cross, lags, strict=True)]
    best = lags[int(np.argmax(tops))]
    for step in (0.5, 0.05):  # samples
        best = min((float(best + k * step / s.fs) for k in range(-12, 13)), key=lambda t: _unfiltered(s, t))
    left = _unfiltered(s, best)
    yield "bypassed", "the filters are not active: every driver plays its input unfiltered", left, 2


def _unfiltered(s: Residual, late: float) -> float:
    """Residual of drivers that play left and right with one gain each at all frequencies, ``late`` s later."""
    h = s.h * np.exp(-2j * np.pi * s.f * late)
    a = (np.moveaxis(h, 2, -1) * np.sqrt(s.weight)[:, None]).reshape(-1, s.h.shape[2])
    one, none = np.vstack([a.real, a.imag]), np.zeros((2 * len(a), a.shape[1]))
    b = (np.moveaxis(s.heard, 2, 0) * np.sqrt(s.weight)).reshape(s.w.shape[0], -1)
    wanted = np.concatenate([b.real, b.imag], axis=1).ravel()
    stacked = np.block([[one, none], [none, one], [one, one]])
    gains = np.linalg.lstsq(stacked, wanted, rcond=None)[0]
    return float(np.sum((wanted - stacked @ gains) ** 2))


def _rates(s: Residual) -> Found:
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
        message = f"the filters run at {1.0 / ratio:.3f} times their sampling rate"
        p = s.predicted(w=w)
        g = s.gain(s.heard, s.aligned(p))  # resampling may scale them
        yield (
            "sampling rate",
            message,
            min(s.left_over(p), s.left_over(g * p) if g > LOWEST_GAIN else np.inf),
            1,
        )


def _room(s: Residual) -> Found:
    """Everything after the direct sound, where that itself is not far from its prediction."""
    if s.early is None or s.direct(NOT_FAR):
        return
    message = "the difference comes after the direct sound: the room, or an object in it, has changed"
    later = s.variance(s.noise) - s.variance(s.early_noise)
    yield ROOM, message, s.power(s.early) + later, 0


def _clipping(s: Residual) -> Found:
    """Every driver cut off at one level."""
    if s.clipped is None:
        return
    tried = {c: s.left_over(s.predicted(w=s.clipped(c))) for c in CLIPPED_AT}
    best = min(tried, key=lambda c: tried[c])
    for c in best * from_db(np.array([-0.7, -0.35, 0.35, 0.7])):
        if c < 1.0:
            tried[float(c)] = s.left_over(s.predicted(w=s.clipped(float(c))))
    best = min(tried, key=lambda c: tried[c])
    message = f"the drivers are clipped {-float(db(best)):.1f} dB below the peak of the loudest sweep"
    yield "clipping", message, tried[best], 1


def _others(s: Residual, others: Mapping[str, Complex]) -> Found:
    for name, w in others.items():
        yield "other filter set", f"the filters are those of {name}", s.left_over(s.predicted(w=w)), 0


def ranked(found: Sequence[Cause], count: int = 3) -> list[Cause]:
    """The most likely causes, one of a name; after the first only those that explain something.

    Where none explains :data:`CLEAR` of the difference, the first entry is :data:`UNCLEAR`.
    """
    seen: dict[str, Cause] = {}
    for cause in found:
        if not seen or cause.explained >= LEAST:
            seen.setdefault(cause.name, cause)
    best = list(seen.values())[:count]
    if not best or best[0].explained >= CLEAR:
        return best
    text = (
        f"unclear: no single cause explains half of the difference; the best is {best[0].name}, with "
        f"{best[0].percent:.0f} %"
    )
    return [Cause(UNCLEAR, text, best[0].explained, 0), *best[: count - 1]]


def ruled_out(found: Sequence[Cause]) -> tuple[str, ...]:
    """Names of the causes that explain almost nothing."""
    best: dict[str, float] = {}
    for cause in found:
        best[cause.name] = max(best.get(cause.name, 0.0), cause.explained)
    return tuple(sorted(name for name, share in best.items() if share < RULED_OUT))


UNCLEAR = "unclear"
"""Name of the cause that is reported where none is likely."""

CLEAR = 0.5
"""Share of the difference that a cause must explain to be called likely."""

LEAST = 0.05
"""Share of the difference that a second cause must explain to be named."""

RULED_OUT = 0.1
"""A cause that explains less than this share is ruled out."""
