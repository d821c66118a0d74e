"""Directivity from polar sets: level around the device, directivity index, beam width, CTA-2034 curves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import wrapped_deg
from sweetspot.rigs.units import P_REF, Float, power_db

ORBIT_DEG = 10.0
"""Step of the two orbits of CTA-2034-A."""


@dataclass(frozen=True, slots=True, eq=False)
class Orbit:
    """Mean-square pressure on a circle around the device.

    Parameters
    ----------
    degrees
        ``(direction,)``, rising, in [-180, 180): counter-clockwise from straight ahead.
    f
        ``(frequency,)``, Hz.
    power
        ``(direction, driver, frequency)``, Pa^2 (rms) of a full-scale sine.
    """

    degrees: Float
    f: Float
    power: Float
    drivers: tuple[str, ...]

    @property
    def level_db(self) -> Float:
        """``(direction, driver, frequency)``, dB re 20 uPa."""
        return power_db(self.power / P_REF**2)

    def re_axis_db(self) -> Float:
        """Level re straight ahead, ``(direction, driver, frequency)`` dB."""
        ahead = self.power[int(np.argmin(np.abs(self.degrees)))]
        return power_db(self.power / np.maximum(ahead, 1e-30))


def circle(degrees: Float, level: Float) -> tuple[Float, Float]:
    """Directions in degrees above -180 up to 180, rising, and their ``level (direction, ...)``.

    The circle is closed, unless an arc was left out: nothing is drawn between the two ends of a half circle.
    """
    degrees = np.where(degrees < 1e-6 - 180.0, degrees + 360.0, degrees)
    order = np.argsort(degrees)
    degrees, level = degrees[order], level[order]
    gap = degrees[0] + 360.0 - degrees[-1]
    if 1e-6 < gap <= 1.5 * np.diff(degrees).max(initial=0.0):
        degrees, level = np.append(degrees[-1] - 360.0, degrees), np.concatenate([level[-1:], level])
    return degrees, level


def orbit(set_: ImpulseResponse, mic: int, per_octave: int = 48, smoothing: float = 1.0 / 12.0) -> Orbit:
    """The orbit of a polar set at one microphone, at ``per_octave`` frequencies an octave over the judged band.

    Parameters
    ----------
    per_octave
        Frequencies an octave.
    smoothing
        Width of the power average around each frequency, octaves; 0 leaves the response as it is.
    """
    order, power = np.argsort(set_.positions["azimuth_deg"]), _power(set_, mic)
    bins = np.asarray(np.fft.rfftfreq(set_.h.shape[-1] - set_.zero, 1.0 / set_.fs))
    low, high = set_.band
    f = low * 2.0 ** (np.arange(int(np.log2(high / low) * per_octave + 1e-9) + 1) / per_octave)
    at = np.interp(f, bins, np.arange(len(bins)))
    below = np.minimum(at.astype(int), len(bins) - 2)
    part = at - below
    rows = np.stack([below, below + 1])
    ends = smoothed(power, bins, smoothing, rows) if smoothing > 0 else power[..., rows]
    fine = (ends[..., 0, :] * (1.0 - part) + ends[..., 1, :] * part)[order]
    return Orbit(np.asarray(set_.positions["azimuth_deg"][order]), f, fine, set_.drivers)


@lru_cache(maxsize=2)
def _power(set_: ImpulseResponse, mic: int) -> Float:
    """Power ``(direction, driver, bin)`` of what arrives, once for all pictures: half of an orbit's time."""
    return np.asarray(np.abs(np.fft.rfft(set_.h[:, mic, :, set_.zero :])) ** 2 / 2.0)


def index_db(around: Orbit) -> Float:
    """Directivity index ``(driver, frequency)`` in dB of a device, assuming radiation symmetric about its axis.

    The ring stands for the sphere: each direction weighs as much as the band of the sphere that is nearest to it on its
    side, ``cos(b) - cos(c)`` between the angles ``b`` and ``c`` from the axis, half-way to its neighbours (Beranek,
    Acoustics, 4.16). A half circle stands for both sides.
    """
    weight = np.zeros(len(around.degrees))
    for rows in _sides(around.degrees):
        a = np.abs(np.radians(around.degrees[rows]))
        edges = np.cos(np.concatenate([[0.0], 0.5 * (a[1:] + a[:-1]), [np.pi]]))
        weight[rows] += edges[:-1] - edges[1:]
    mean = np.einsum("a,adf->df", weight / weight.sum(), around.power)
    ahead = around.power[int(np.argmin(np.abs(around.degrees)))]
    return power_db(ahead / np.maximum(mean, 1e-30))


def _sides(degrees: Float) -> list[NDArray[np.intp]]:
    """Rows of each measured side, from ahead to the rear; a direction on the axis belongs to both."""
    on_axis = np.isclose(np.sin(np.radians(degrees)), 0.0)
    each = [np.flatnonzero(on_axis | (side * degrees > 0.0)) for side in (1.0, -1.0)]
    found = [rows[np.argsort(np.abs(degrees[rows]))] for rows in each if not on_axis[rows].all()]
    return found or [each[0][np.argsort(np.abs(degrees[each[0]]))]]


def beam_width_deg(around: Orbit, drop_db: float = 6.0) -> Float:
    """Full angle ``(driver, frequency)`` around straight ahead within which the level stays above ``-drop_db``.

    360 where it never falls so far; linear between neighbouring directions. Twice that of one side if only one was
    measured.
    """
    level, sides = around.re_axis_db(), _sides(around.degrees)
    each = [_first_fall(level[rows], -drop_db, np.abs(around.degrees[rows])) for rows in sides]
    return np.asarray(2.0 * np.mean(each, axis=0))


def _first_fall(level: Float, limit: float, degrees: Float) -> Float:
    """Angle ``(driver, frequency)`` at which ``level (angle, driver, frequency)`` first falls below ``limit``."""
    below = level < limit
    first = np.argmax(below, axis=0)
    before = np.maximum(first - 1, 0)
    high = np.take_along_axis(level, before[None], axis=0)[0]
    low = np.take_along_axis(level, first[None], axis=0)[0]
    part = (high - limit) / np.maximum(high - low, 1e-9)
    angle = degrees[before] + part * (degrees[first] - degrees[before])
    return np.where(below.any(axis=0), angle, 180.0)


@dataclass(frozen=True, slots=True, eq=False)
class Cta2034:
    """The curves of CTA-2034-A of one driver, dB re 20 uPa of a full-scale sine, each ``(frequency,)``.

    Parameters
    ----------
    f
        Hz.
    on_axis, listening_window, early_reflections, sound_power, in_room
        Levels, dB; ``in_room`` is the estimated in-room response.
    """

    f: Float
    on_axis: Float
    listening_window: Float
    early_reflections: Float
    sound_power: Float
    in_room: Float

    @property
    def sound_power_di(self) -> Float:
        """Listening window over sound power, dB."""
        return self.listening_window - self.sound_power

    @property
    def early_reflections_di(self) -> Float:
        """Listening window over early reflections, dB."""
        return self.listening_window - self.early_reflections


def cta2034(horizontal: Orbit, vertical: Orbit, driver: int) -> Cta2034:
    """The curves from two orbits of 10-degree steps (CTA-2034-A, section 5.2; weights re-derived in :func:`weights`).

    Parameters
    ----------
    horizontal, vertical
        Orbits at the same frequencies; positive angles of the vertical one are above the device.

    Raises
    ------
    BadInput
        An orbit lacks one of the 36 directions.
    """
    h, v = (_ring(o, driver, n) for o, n in ((horizontal, "horizontal"), (vertical, "vertical")))

    def mean(parts: list[Float]) -> Float:
        return np.asarray(np.mean(parts, axis=0))

    window = mean([v[a] for a in (-10, 0, 10)] + [h[a] for a in (-30, -20, -10, 10, 20, 30)])
    floor = [v[a] for a in (-40, -30, -20)]
    ceiling = [v[a] for a in (40, 50, 60)]
    front = [h[a] for a in h if abs(a) <= 30]
    side = [h[a] for a in h if 40 <= abs(a) <= 80]
    rear = [h[a] for a in h if abs(a) >= 90]
    early = mean([mean(wall) for wall in (floor, ceiling, front, side, rear)])
    weight = weights()
    total = sum(weight[abs(a)] * (h[a] + v[a]) for a in h)
    power = np.asarray(total) / sum(2.0 * weight[abs(a)] for a in h)
    room = 0.12 * window + 0.44 * early + 0.44 * power
    on_axis, window, early, power, room = (power_db(p / P_REF**2) for p in (h[0], window, early, power, room))
    return Cta2034(horizontal.f, on_axis, window, early, power, room)


def weights() -> dict[int, float]:
    """Part of the sphere that each angle from the axis stands for, in 10-degree steps (CTA-2034-A, appendix C).

    The square of the sphere that great circles at ``+-a`` degrees across both orbits cut out has the solid angle
    ``S(a) = 4 asin(sin^2 a)``; an angle's share is the frame between the squares around it, the same for each of the
    four directions at that angle. At 90 degrees the frames of the two halves meet; the rear mirrors the front.
    """
    edges = np.radians(np.arange(5.0, 90.0, 10.0))
    square = np.append(4.0 * np.arcsin(np.sin(edges) ** 2), 2.0 * np.pi)
    share = np.diff(square, prepend=0.0) / (16.0 * np.pi)
    share[-1] *= 2.0
    return {10 * i: float(share[min(i, 18 - i)]) for i in range(19)}


def _ring(around: Orbit, driver: int, name: str) -> dict[int, Float]:
    """Power ``(frequency,)`` by angle in whole degrees, -180 to 170."""
    found: dict[int, Float] = {}
    for wanted in range(-180, 180, 10):
        gap = np.abs(wrapped_deg(around.degrees - wanted))
        if gap.min() > 0.5:
            raise BadInput(
                f"CTA-2034 needs a direction every {ORBIT_DEG:g} degrees: none at {wanted} degrees in the {name} "
                f"orbit. "
                "Measure with polar.step_deg = 10, 5 or 2.5"
            )
        found[wanted] = around.power[int(np.argmin(gap)), driver]
    return found
