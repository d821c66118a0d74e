"""Level, low end and delay of each driver re the unit's other drivers, and the limits for good ones.

A distance over all frequencies and microphones dilutes a fault in one band: a leaking seal shows from the driver's low
edge to an octave above it. Box, amplifier and air shift all drivers alike, so a driver is compared both with the others
(their median) and with the mean unit.

The limit of a feature is ``t s sqrt(1 + 1/n)``: ``s`` is the spread that ``n`` learned units show, ``t`` Student's
quantile of the stated share of good units. A single unit shows no spread: its limit is stated, and counts as
:data:`WEIGHT` observations of the spread that it amounts to. No limit is less than its floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.quick.model import NEPER_DB, GoldenModel
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.units import Complex, Float

FEATURES = ("level", "low end", "delay")
STATED = np.array([4.0, 2.0, 30e-6])
"""Limits if a single unit was learned: dB, dB, s (10 mm of air)."""
FLOOR = np.array([1.5, 2.0, 20e-6])
"""Smallest limits: units within them are corrected as well as any."""
WEIGHT = 6.0

BAND_HZ = (300.0, 8000.0)
"""Where level and delay are read, as far as a driver plays there."""
EDGE_DB = -6.0
"""Level of a driver's low edge, re its median where its level is read."""
MIDDLE = 4.0
"""Multiple of the edge's frequency from which reference levels of the low end are read."""


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """Features of one unit.

    Parameters
    ----------
    values
        ``(feature, driver)`` beside the other drivers: dB, dB, s (late is negative).
    limits
        ``(feature,)``, of their size.
    edges
        ``(driver,)``: the lowest frequencies at which drivers work, Hz.
    """

    values: Float
    limits: Float
    edges: Float

    def beyond(self, driver: int) -> bool:
        """Whether a driver lies beyond a limit."""
        return bool(np.any(np.abs(self.values[:, driver]) > self.limits))


def beside(model: GoldenModel, y: Complex, mean: Complex, false_alarm: float) -> Beside:
    """Features of a unit from its log ratios ``(driver, mic, frequency)`` at the monitors.

    Parameters
    ----------
    mean
        Log levels ``(driver, mic, frequency)`` of the mean unit there.
    false_alarm
        Share of good units that may lie beyond a limit.
    """
    plays = model.plays
    edges = np.array([edge(model.f, NEPER_DB * m.real.mean(axis=0), p) for m, p in zip(mean, plays, strict=True)])
    own = np.stack([_read(model.f, together(row), e, p) for row, e, p in zip(y, edges, plays, strict=True)], axis=1)
    most = limits(model, edges, false_alarm)
    return Beside(_apart(own, most), most, edges)


def limits(model: GoldenModel, edges: Float, false_alarm: float) -> Float:
    """The largest values ``(feature,)`` of a good unit's drivers."""
    from scipy.stats import t as student

    n, count = len(model.units), len(model.drivers)
    at = 1.0 - false_alarm / (2.0 * count * len(FEATURES))
    stated = STATED / (float(student.ppf(at, WEIGHT)) * np.sqrt(2.0))
    shown = 0.5 * count * (n - 1)  # drivers of one unit share its seat: two count as one
    power = WEIGHT * stated**2 + shown * (_spread(model, edges) if n > 1 else 0.0)
    t = float(student.ppf(at, WEIGHT + shown))
    return np.asarray(np.maximum(t * np.sqrt(power / (WEIGHT + shown) * (1.0 + 1.0 / n)), FLOOR))


def _spread(model: GoldenModel, edges: Float) -> Float:
    """Variance ``(feature,)`` of a driver beside the others, over learned units: that of their components."""
    seen, count = model.sets[model.by].paths, len(model.drivers)
    each = [
        [_read(model.f, together(c[d, seen]), edges[d], model.plays[d]) ** 2 for d in range(count)]
        for c in model.components
    ]  # (component, driver, feature)
    others = 1.0 / (count - 1) if count > 1 else 0.0
    return np.asarray(np.sum(each, axis=0).mean(axis=0) * (1.0 + others))


def judged(f: Float, plays: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where level and delay of a driver are read: :data:`BAND_HZ` as far as it plays there, an octave at least."""
    lowest = float(f[plays][0]) if plays.any() else float(f[-1])
    high = max(BAND_HZ[1], 2.0 * lowest)
    return np.asarray((f >= min(max(BAND_HZ[0], lowest), 0.5 * f[-1])) & (f <= high))


def edge(f: Float, level_db: Float, plays: NDArray[np.bool_]) -> float:
    """The lowest frequency at which a driver plays and is no more than 6 dB below its median, Hz."""
    smooth = smoothed(level_db, f, 1.0 / 3.0)
    strong = np.flatnonzero((smooth >= np.median(smooth[judged(f, plays)]) + EDGE_DB) & plays)
    return float(f[strong[0]]) if len(strong) else float(f[-1])


def _read(f: Float, g: Complex, low: float, plays: NDArray[np.bool_]) -> Float:
    """Level, low end over level, and delay of a log ratio ``(frequency,)``."""
    level, inside = NEPER_DB * g.real, judged(f, plays)
    first = min(MIDDLE * low, BAND_HZ[1])
    middle, bottom = (f >= first) & (f <= 2.0 * BAND_HZ[1]), (f >= low) & (f < 2.0 * low)
    slope = np.polyfit(2.0 * np.pi * f[inside], g.imag[inside], 1)[0]
    return np.array([np.median(level[inside]), level[bottom].mean() - np.median(level[middle]), slope])


def together(y: Complex) -> Complex:
    """Mean of the microphones ``(mic, frequency)``, without phase differences of full turns."""
    at = y.shape[1] // 2
    turns = np.round((y[:, at].imag - y[0, at].imag) / (2.0 * np.pi))
    return np.asarray((y - 2j * np.pi * turns[:, None]).mean(axis=0))


def _apart(own: Float, most: Float) -> Float:
    """Values ``(feature, driver)`` less the median of the other drivers', the farthest one left out as often as needed.

    So that one faulty driver among few does not make the others look wrong. Of two, the one farther from the mean unit.
    The low end, which box, amplifier and air leave alone, is the one re the mean unit where that is smaller: where most
    seals leak, the intact one is not at fault.
    """
    values, left, low = np.zeros_like(own), list(range(own.shape[1])), FEATURES.index("low end")
    while left:
        for d in left:
            others = [o for o in left if o != d]
            values[:, d] = own[:, d] - (np.median(own[:, others], axis=1) if others else 0.0)
            values[low, d] = min(values[low, d], own[low, d], key=abs)
        size = np.max((np.abs(values) + 1e-3 * np.abs(own)) / most[:, None], axis=0)
        worst = max(left, key=lambda d: float(size[d]))
        if size[worst] <= 1.0:
            break
        left.remove(worst)
    return values
