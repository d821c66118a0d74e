"""Whether a unit is within the range of a model's units, and if not, the faulty driver and its fault. A driver's
distance is the squared Mahalanobis distance of the monitor responses from the mean unit, over its degrees of freedom.
Its logarithm over good units has a tail to the far side that falls off exponentially, not as a normal one: spreads
multiply (a mode's weight, its frequency). The limit is where a stated share of good units would lie beyond, by the
excess of the far third of the units that were left out in turn, its scale uncertain as few of them leave it (an
exponential tail with a gamma prior on its rate: Pareto's second kind, N. L. Johnson, "Continuous univariate
distributions" 1, ch. 20). What the model was not taught (a leak, a missing grille, a swapped cable) shows there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.quick import seat
from sweetspot.calibrate.quick.estimate import Posterior
from sweetspot.calibrate.quick.features import FEATURES, Beside, judged, together
from sweetspot.calibrate.quick.model import NEPER_DB, GoldenModel
from sweetspot.calibrate.quick.ratio import nearest_bins
from sweetspot.calibrate.quick.seat import SeatPlaces
from sweetspot.rigs.units import Complex, Float

FALSE_ALARM = 1.0 / 400.0
"""Allowed share of rejected good units."""

UNPROVED = 9.0
"""Limit of the distance if a single unit was learned, and the largest one: three standard deviations."""

FAR = 1.0 / 3.0
"""Share of good drivers whose distances define the tail."""
EXCESS, WEIGHT = 0.6, 3.0
"""Assumed mean excess of log distances in the tail, and its weight in observations."""

DEAD_DB, LEVEL_DB, DELAY_S, BAND_DB = -20.0, 1.0, 15e-6, 1.5
MICROPHONE_DB = 0.4
"""Level of a microphone, off alike for every driver of a unit beyond its limits, that is taken for the box's fault."""
OPPOSITE_RAD = 2.3
ALIKE_S = 5e-6
"""Arrivals that differ less between drivers are alike."""
GROSS_DB, GROSS_S = 4.0, 40e-6
"""Deviations that are faults regardless of the model's units."""
SEAT_SHARE, SEAT_RAD, SEAT_M = 1.0 / 3.0, 0.02, 0.1
"""A unit is turned on its seat when what that leaves of its arrivals is less than :data:`DELAY_S` (rms) and, as
variance, than this share of what one driver at another place leaves; least angle (diffraction makes it up to 1.5 times
as large), and largest way, m."""
REMARKED = 0.3
"""Part of a limit beyond which an accepted driver's feature is remarked on."""
CLOSER = 0.3
"""A driver fits another's place when its squared difference there is less than this part of that at its own."""


@dataclass(frozen=True, slots=True)
class UnitFault:
    """Fault of one driver, or of the test box.

    Parameters
    ----------
    what
        ``"driver"``, ``"microphone"`` or ``"box"``.
    name
        Of the driver or microphone; empty for the box.
    cause
        ``"dead"``, ``"polarity"``, ``"swapped"``, ``"level"``, ``"delay"``, ``"low end"``, ``"response"``,
        ``"direction"`` or ``"seat"``.
    """

    what: str
    name: str
    cause: str
    text: str

    @property
    def label(self) -> str:
        """A few words for statistics of causes."""
        return " ".join(
            [*([self.what] if self.what != "driver" else []), *([self.name] if self.name else []), self.cause]
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def limit(model: GoldenModel, false_alarm: float = FALSE_ALARM) -> float:
    """The largest distance of a driver of a good unit."""
    if model.count < 2:
        return UNPROVED
    beyond = FAR * len(model.drivers) / false_alarm
    known = WEIGHT + 0.5 * FAR * model.count  # drivers of one unit share their test box: two count as one
    excess = known * model.distance_spread * (beyond ** (1.0 / known) - 1.0)
    return float(min(np.exp(model.distance + excess), UNPROVED))


def tail(log_distances: Float) -> tuple[float, float]:
    """Start of the tail of good drivers' log distances, and its mean excess, including the assumption."""
    begins = float(np.quantile(log_distances, 1.0 - FAR))
    more = log_distances[log_distances > begins] - begins
    return begins, float((WEIGHT * EXCESS + 0.5 * more.sum()) / (WEIGHT + 0.5 * len(more)))


def findings(
    model: GoldenModel,
    y: Complex,
    found: tuple[Posterior, ...],
    mean: Complex,
    most: float,
    beside: Beside,
    *,
    places: SeatPlaces | None = None,
) -> tuple[UnitFault, ...]:
    """Faults of a unit with drivers beyond a limit; empty if all are within.

    Parameters
    ----------
    y
        Log ratios ``(driver, mic, frequency)`` at the monitors.
    found
        What was estimated of each driver.
    mean
        Log spectra ``(driver, mic, frequency)`` of the mean unit at the monitors.
    most
        Limit of the distance.
    beside
        The drivers beside each other, with their limits.
    places
        Of drivers and microphones, where they are known: then a unit that is turned on its seat is told from faults of
        its drivers.
    """
    beyond = [d for d, one in enumerate(found) if one.distance > most or _gross(model, y[d], d) or beside.beyond(d)]
    if not beyond:
        return ()
    far = [f"distance {one.distance:.1f}, limit {most:.1f}" for one in found]
    alone = [d for d in beyond if beside.beyond(d)]
    turned = () if places is None else _of_seat(model, y, places)
    return (
        turned
        or _box(model, y, mean, beyond, alone)
        or tuple(_driver(model, y, d, mean, beside, far[d], all_of=len(beyond) == len(y) > 2) for d in beyond)
    )


def remarks(model: GoldenModel, y: Complex, beside: Beside) -> tuple[str, ...]:
    """Remarks on an accepted unit: drift of the box, and features beyond a part of their limits, corrected."""
    units = (("dB", 1.0), ("dB", 1.0), ("us", 1e6))
    return _drift(model, y) + tuple(
        f"driver {name!r}: {feature} {scale * beside.values[k, d]:+.1f} {unit} re the others "
        f"(limit {scale * beside.limits[k]:.1f}): corrected"
        for d, name in enumerate(model.drivers)
        for k, (feature, (unit, scale)) in enumerate(zip(FEATURES, units, strict=True))
        if abs(beside.values[k, d]) > REMARKED * beside.limits[k]
    )


def _drift(model: GoldenModel, y: Complex) -> tuple[str, ...]:
    """Level and arrival that all drivers share at all microphones, where they are off the model's units."""
    each = np.array(
        [[_summed(model, one, judged(model.f, p)) for one in row] for row, p in zip(y, model.plays, strict=True)]
    )
    level, _, slope = (each[..., k] for k in range(3))  # (driver, mic)
    found, shared, late = [], float(np.median(level)), float(np.median(slope))
    if abs(shared) > LEVEL_DB and np.max(np.abs(level - shared)) < abs(shared):
        found.append(
            f"all drivers are {shared:+.1f} dB off the model's units: check the amplifier's and preamplifier's gain"
        )
    if abs(late) > DELAY_S and np.max(np.abs(slope - late)) < abs(late):
        where = f"check the unit's seat and the air (the model is for {model.temperature_c:g} degrees C)"
        found.append(f"all drivers are {_arrival(late)} at all microphones: {where}")
    return tuple(found)


def _gross(model: GoldenModel, y: Complex, d: int) -> bool:
    """Whether a driver is off by more than any model of few units may allow: level, polarity, delay, a band."""
    g, inside = together(y), judged(model.f, model.plays[d])
    level, turn, slope = _summed(model, g, inside)
    band = float(np.percentile(np.abs(NEPER_DB * g.real[inside] - level), 98))
    return abs(level) > GROSS_DB or turn > OPPOSITE_RAD or abs(slope) > GROSS_S or band > GROSS_DB


def _summed(model: GoldenModel, g: Complex, inside: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Level in dB, phase without the delay in rad, and delay in s (late is negative) of a log ratio."""
    f, phase = model.f[inside], g.imag[inside]
    slope = float(np.polyfit(2.0 * np.pi * f, phase, 1)[0])
    rest = np.angle(np.exp(1j * (phase - 2.0 * np.pi * f * slope)))
    return float(np.median(NEPER_DB * g.real[inside])), float(np.median(np.abs(rest))), slope


def _box(model: GoldenModel, y: Complex, mean: Complex, beyond: list[int], alone: list[int]) -> tuple[UnitFault, ...]:
    """One microphone, two that are swapped, or all alike, off in the same way for every driver: not the unit.

    Parameters
    ----------
    mean
        Log spectra of the mean unit.
    beyond, alone
        Drivers beyond a limit, and those of them that are so beside the other drivers too.
    """
    if len(y) < 2 or (len(beyond) < len(y) and alone):
        return ()
    inside = [judged(model.f, p) for p in model.plays]
    level = NEPER_DB * np.stack([np.median(one.real[:, i], axis=-1) for one, i in zip(y, inside, strict=True)])
    if np.median(level) < DEAD_DB:
        return (UnitFault("box", "", "dead", "every driver is silent: check the amplifier and the unit's power"),)
    spread = float(np.max(np.abs(level - np.median(level))))
    if abs(np.median(level)) > LEVEL_DB and spread < 0.5 * abs(np.median(level)):
        return (
            UnitFault(
                "box",
                "",
                "level",
                f"all drivers are {np.median(level):+.1f} dB off at all microphones: check the amplifier's and the "
                "preamplifier's gain",
            ),
        )
    return _of_swapped(model, y, mean) or _of_microphones(model, level) or _of_phase(model, y, inside)


def _of_swapped(model: GoldenModel, y: Complex, mean: Complex) -> tuple[UnitFault, ...]:
    """Two microphones where every driver responds as at the other one. One swapped pair of drivers is the unit's.

    Over all that a driver plays: two microphones ahead differ at high frequencies only.
    """
    alike = sum(_fits(y, d, mean, judged(model.f, p)) is not None for d, p in enumerate(model.plays))
    if 0 < alike <= 2:
        return ()

    def apart(a: int, b: int) -> float:
        """Squared difference at microphone ``a`` from the mean unit at ``b``."""
        each = [(y[d, a] + mean[d, a] - mean[d, b]).real[p] for d, p in enumerate(model.plays)]
        return float(sum(np.mean(one**2) for one in each))

    pairs = list(combinations(range(y.shape[1]), 2))
    gain = [(apart(a, b) + apart(b, a)) / max(apart(a, a) + apart(b, b), 1e-12) for a, b in pairs]
    if not pairs or min(gain) > CLOSER:
        return ()
    one, other = (model.observed[m] for m in pairs[int(np.argmin(gain))])
    also = ", or the channels of all drivers are" if alike else ""
    text = f"microphones {one!r} and {other!r} are swapped{also}: check the microphones' cables first"
    return (UnitFault("microphone", f"{one}, {other}", "swapped", text),)


def _of_microphones(model: GoldenModel, level: Float) -> tuple[UnitFault, ...]:
    """Microphones whose levels ``(driver, mic)`` are off alike for every driver."""
    out = []
    for m, name in enumerate(model.observed):
        rest = np.delete(level, m, axis=1)
        if not rest.size:
            continue
        own = level[:, m] - np.median(rest, axis=1)
        if abs(np.median(level[:, m])) <= abs(np.median(rest)):
            continue
        if abs(np.median(own)) > MICROPHONE_DB and np.ptp(own) < abs(np.median(own)):
            text = f"microphone {name!r} is {np.median(own):+.1f} dB off the others for every driver: check it first"
            out.append(UnitFault("microphone", name, "level", text))
    return tuple(out)


def _of_phase(model: GoldenModel, y: Complex, inside: list[NDArray[np.bool_]]) -> tuple[UnitFault, ...]:
    """Microphones with inverted polarity, and arrivals that are off alike for every driver: place or air."""
    each = [[_summed(model, one, i)[1:] for one in row] for row, i in zip(y, inside, strict=True)]
    turn, late = np.moveaxis(np.array(each), -1, 0)  # (driver, mic)
    turned = np.all(turn > OPPOSITE_RAD, axis=0)
    if turned.all() and len(turned) > 1:
        text = (
            "every driver is inverted at all microphones: check the polarity of the amplifier's and the unit's cables"
        )
        return (UnitFault("box", "", "polarity", text),)
    if turned.any() and np.all(turn[:, ~turned] < OPPOSITE_RAD):
        return tuple(
            UnitFault("microphone", n, "polarity", f"microphone {n!r} has its polarity inverted: check its cable first")
            for n, there in zip(model.observed, turned, strict=True)
            if there
        )
    shared = np.median(late, axis=0)  # (mic,), s
    if np.max(np.abs(late - shared)) > max(0.5 * float(np.max(np.abs(shared))), ALIKE_S) or turned.any():
        return ()
    off = [m for m, s in enumerate(shared) if abs(s) > DELAY_S]
    if not off:
        return ()
    if 2 * len(off) <= len(shared):
        moved = ((model.observed[m], _arrival(shared[m])) for m in off)
        return tuple(
            UnitFault("microphone", n, "delay", f"every driver is {late} at microphone {n!r}: check its place first")
            for n, late in moved
        )
    arrivals = ", ".join(f"{_arrival(s)} at {n!r}" for s, n in zip(shared, model.observed, strict=True))
    text = (
        f"every driver is off alike: {arrivals}. Check the unit's seat in the test box, the places of the microphones, "
        f"and the air: the model is for {model.temperature_c:g} degrees C"
    )
    return (UnitFault("box", "", "delay", text),)


def _of_seat(model: GoldenModel, y: Complex, places: SeatPlaces) -> tuple[UnitFault, ...]:
    """A unit that is turned on its seat, and perhaps moved: arrivals of all drivers at all microphones as of one body,
    which one driver at another place explains worse.
    """
    inside = [judged(model.f, p) for p in model.plays]
    late = -np.array([[_summed(model, one, i)[2] for one in row] for row, i in zip(y, inside, strict=True)])
    spare = late.size - seat.NUMBERS
    if spare < seat.NUMBERS or np.max(np.abs(late)) < DELAY_S:
        return ()
    x, left = places.rigid(late)
    others = np.sum(late**2) - np.max(np.sum(late**2, axis=1))  # whatever the worst driver does at each microphone
    fits = left / spare < min(DELAY_S**2, SEAT_SHARE * others / (late.size - late.shape[1]))
    if not fits or abs(x[2]) < SEAT_RAD or np.hypot(x[0], x[1]) > SEAT_M:
        return ()
    side = "left" if x[2] > 0.0 else "right"
    text = (
        f"the unit is turned to the {side} on its seat: all drivers arrive as of one body there, by up to "
        f"{1e6 * np.max(np.abs(late)):.0f} us off. Put it back on its seat"
    )
    return (UnitFault("box", "", "seat", text),)


def _arrival(slope: float) -> str:
    return f"{1e6 * abs(slope):.0f} us {'late' if slope < 0.0 else 'early'}"


def _driver(
    model: GoldenModel, y: Complex, d: int, mean: Complex, beside: Beside, far: str, *, all_of: bool
) -> UnitFault:
    """Fault of one driver, in the order in which causes exclude each other; ``all_of``: all of several have one."""
    name, inside = model.drivers[d], judged(model.f, model.plays[d])
    g = together(y[d])
    level = NEPER_DB * g.real
    middle, turn, slope = _summed(model, g, inside)
    if middle < DEAD_DB:
        return UnitFault("driver", name, "dead", f"driver {name!r} is silent ({middle:.0f} dB)")
    if (other := _fits(y, d, mean, inside)) is not None:
        mics = ", or two microphones are" if all_of else ""
        text = f"driver {name!r} responds like {model.drivers[other]!r}: their channels are swapped{mics}"
        return UnitFault("driver", name, "swapped", text)
    if turn > OPPOSITE_RAD and abs(slope) < DELAY_S:
        return UnitFault("driver", name, "polarity", f"driver {name!r} has its polarity inverted")
    level_off, low_end, late = (float(v) for v in beside.values[:, d])
    most_level, most_low, most_late = beside.limits
    if abs(low_end) > most_low:
        edge = beside.edges[d]
        text = (
            f"driver {name!r} is {low_end:+.1f} dB off at its low end ({edge:.0f} to {2.0 * edge:.0f} Hz) re the "
            f"others, limit {most_low:.1f}: " + ("its seal leaks" if low_end < 0.0 else "its suspension, its damping")
        )
        return UnitFault("driver", name, "low end", text)
    if abs(slope) > DELAY_S or abs(late) > most_late:
        slope = late if abs(late) > most_late else slope
        side = "late" if slope < 0 else "early"
        text = f"driver {name!r} is {1e6 * abs(slope):.0f} µs {side}: its place, its channel's delay ({far})"
        return UnitFault("driver", name, "delay", text)
    uneven = float(np.percentile(np.abs(level[inside] - middle), 90))
    if abs(level_off) > most_level or (abs(middle) > LEVEL_DB and uneven < 0.7 * abs(middle)):
        off = level_off if abs(level_off) > most_level else middle
        return UnitFault("driver", name, "level", f"driver {name!r} is {off:+.1f} dB off ({far})")
    plays = model.plays[d]
    return _banded(name, y[d][:, plays], model.f[plays], far)


def _banded(name: str, y: Complex, at: Float, far: str) -> UnitFault:
    """A driver whose response differs in a band, or differently in each direction."""
    levels = NEPER_DB * y.real
    mean = levels.mean(axis=0)
    apart = np.abs(levels - mean).max(axis=0)
    if len(levels) > 1 and apart.max() > max(1.5 * np.abs(mean).max(), BAND_DB):
        f = float(at[int(np.argmax(apart))])
        text = (
            f"driver {name!r} differs between directions, most at {f:.0f} Hz by {apart.max():.1f} dB: its "
            f"mount, its grille ({far})"
        )
        return UnitFault("driver", name, "direction", text)
    rest = np.abs(levels).max(axis=0)
    strong = np.flatnonzero(rest >= 0.5 * rest.max())
    low, high = float(at[strong[0]]), float(at[strong[-1]])
    worst = float(levels.flat[int(np.argmax(np.abs(levels)))])
    text = f"driver {name!r} differs from {low:.0f} to {high:.0f} Hz, by up to {worst:+.1f} dB ({far})"
    return UnitFault("driver", name, "response", text)


def _fits(y: Complex, d: int, mean: Complex, inside: NDArray[np.bool_]) -> int | None:
    """The other driver whose response this one has."""

    def apart(other: int) -> float:
        return float(np.mean((y[d] + mean[d] - mean[other]).real[:, inside] ** 2))

    each = np.array([apart(o) for o in range(len(y))])
    best = int(np.argmin(each))
    return best if best != d and each[best] < CLOSER * each[d] else None


def observed_log(spectra: Complex, f: Float, at: Float) -> Complex:
    """Log levels ``(driver, mic, at)`` of spectra, without phase."""
    nearest = nearest_bins(f, at)
    return np.asarray(np.log(np.maximum(np.abs(spectra[..., nearest]), 1e-12)) + 0j)
