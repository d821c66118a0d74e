"""The golden model: the mean unit, and the spread of units over frequency and direction.

For each driver, the log ratio of a unit to the mean unit at path ``p`` and frequency ``f`` is

``sum_k a_k phi_k(p, f) + c(f) + s(p, f)``

with principal components ``phi`` (scaled, ``a`` of unit variance), and the residual: ``c``, equal in all directions,
and ``s``, correlated in neighbouring ones (correlation ``exp(-(angle / 30 deg)^2 / 2)``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.units import Complex, Float

NEPER_DB = 20.0 / float(np.log(10.0))
"""dB in one neper."""

WIDTH = float(np.radians(30.0))
"""Correlation angle of the components' residual."""


@dataclass(frozen=True, slots=True, eq=False)
class Leftover:
    """Residual variances ``(frequency,)`` of the components: common to all directions, and of one."""

    common: Float
    local: Float


@dataclass(frozen=True, slots=True, eq=False)
class ModelSet:
    """One set of the mean unit.

    Parameters
    ----------
    stderr
        Their standard errors, as a session keeps them.
    directions
        ``(path, 3)``.
    first
        The set's first path among all of the model.
    """

    ir: ImpulseResponse
    stderr: Float
    directions: Float
    first: int

    @property
    def paths(self) -> slice:
        """The set's paths."""
        return slice(self.first, self.first + len(self.directions))


@dataclass(frozen=True, slots=True, eq=False)
class GoldenModel:
    """Model of the units of one kind.

    Parameters
    ----------
    units
        Serial numbers of the units that it was learned from.
    rig_sha256
        The rig file that they were measured with.
    temperature_c
        Of the air.
    f
        Frequencies, Hz.
    sets
        The mean unit.
    components
        ``(component, driver, path, frequency)``, complex log ratios; none from a single unit.
    common, local
        Variances ``(frequency,)`` of what the components leave, in all directions alike, and in one.
    near, by_nearness
        Variances of whole deviations from the mean unit, and the names of the sets that are estimated from them and the
        nearest monitors alone, since components made of few units did worse on units that were left out in turn.
    scale, missed
        By set ``(frequency,)`` and ``(path, frequency)``: what turns a posterior's variance into the one that is
        stated, ``scale v + missed``, as units left out in turn show. ``missed`` is what no monitor
        hears of a set: a unit's seat in the test box, the head put back elsewhere; of a single unit, an assumption
        (:mod:`learning`).
    gauge
        Variance of the monitors' log ratios by noise alone, mean of all units.
    distance, distance_spread, count
        Where the tail of good drivers' log distances begins, its mean excess (:mod:`judge`), and of how many there are;
        0 for none.
    lowest_hz
        Of each driver, the lower edge of its band: nothing is played below it, and ratios there are of leakage from
        the response's window, so that they count for nothing.
    by
        The set that measures a unit: ``"monitor"``, or ``"device"`` where microphones of the device follow its drift.
    """

    units: tuple[str, ...]
    rig_sha256: str
    temperature_c: float
    f: Float
    sets: Mapping[str, ModelSet]
    components: Complex
    common: Float
    local: Float
    near: Leftover
    by_nearness: frozenset[str]
    scale: Mapping[str, Float]
    missed: Mapping[str, Float]
    gauge: float
    lowest_hz: tuple[float, ...]
    distance: float = 0.0
    distance_spread: float = 0.0
    count: int = 0
    by: str = "monitor"

    @property
    def drivers(self) -> tuple[str, ...]:
        """Names of the drivers."""
        return self.sets["ears"].ir.drivers

    @property
    def plays(self) -> NDArray[np.bool_]:
        """Whether a driver plays ``(driver, frequency)``."""
        return np.asarray(self.f >= np.array(self.lowest_hz)[:, None])

    @property
    def directions(self) -> Float:
        """Of all paths, ``(path, 3)``."""
        return np.concatenate([s.directions for s in self.sets.values()])

    @property
    def observed(self) -> tuple[str, ...]:
        """Names of the microphones that measure a unit."""
        return self.sets[self.by].ir.mics

    def stated(self, name: str, variance: Float) -> Float:
        """Variances ``(path, frequency)`` of level and of phase as they are stated of a set, from a posterior's."""
        return np.asarray(self.scale[name] * variance + self.missed[name])

    @property
    def text(self) -> str:
        """One line for a reader."""
        shown = ", ".join(self.units[:4]) + (f" and {len(self.units) - 4} more" if len(self.units) > 4 else "")
        made = f"{len(self.components)} components" if len(self.components) else "ratio only"
        return f"model of {len(self.units)} unit{'s' * (len(self.units) > 1)} ({shown}), {made}"


def alike(one: Float, other: Float) -> Float:
    """Correlation ``(one, other)`` of the residual between directions."""
    angle = np.arccos(np.clip(one @ other.T, -1.0, 1.0))
    return np.asarray(np.exp(-0.5 * (angle / WIDTH) ** 2))
