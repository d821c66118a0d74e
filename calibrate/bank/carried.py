"""Driver-to-ear responses extrapolated to the places of a bank and to heads around each of them.

At every place the field of a driver is summed from its harmonics exactly, in parts that come from separate stretches of
the device, such as a driver and the edges of its cabinet. Each part's gradient along the circle gives its direction of
arrival, ``asin(Im(dp/dphi / p) / (k r))`` from the driver's centre, for which the head's response is taken. For heads a
few centimetres around the place the part is continued by that gradient. The model's error is corrected by the ratio of
measured to modelled responses, with most weight on the nearest measured positions of similar yaw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant.places import DeviceField, HeadResponse, Heads, weighed
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.layout import wrapped
from sweetspot.rigs.units import Complex, Float

STEEPEST = 0.9
"""Largest sine of the angle beside the line of sight from which a field is taken to arrive."""

QUIET = 1e-4
"""Power, re a driver's mean over places, below which the direction of arrival fades to the line of sight."""

WEAK = 1e-4
"""Relative power below which harmonics are omitted."""

STRETCH_M, MOST_PARTS = 0.1, 9
"""Width of the stretches of a device that parts of a driver's field come from, and the largest number of parts."""

OUTSIDE, JUDGED_HZ = 0.003, (1600.0, 8000.0)
"""Power of a driver's field in these frequencies that needs no part of its own."""

NEAR_M = 0.1
"""Measured positions within this distance of a place count alike; beyond, with the inverse square of it."""

ALIKE_DEG = 4.0
"""Difference of the head's angle to the device within which measured positions count most, as the model's error depends
on the direction of arrival."""

ELSEWHERE = 0.02
"""Smallest weight of measured positions at any angle."""

GROWS_M = 1.0
"""Distance from the nearest measured position over which the error grows from that beside it to the model's own."""

GROWS_DEG = 5.0
"""Angle around the device, from the nearest measured position, over which the error of the polar set is met in full."""

FARTHER = 0.3
"""Weight of a step away from the device in that distance."""

LARGEST_ERROR = 0.25
"""Squared relative error that is counted at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Heads around a place: towards the device's middle, across, and turned.

    Parameters
    ----------
    away, left
        ``(head,)``, m: farther from the device, and to the left as seen from it.
    yaw
        ``(head,)``, rad.
    """

    away: Float
    left: Float
    yaw: Float

    @classmethod
    def spread(cls, metres: float, radians: float) -> Cloud:
        """The place itself first, then heads that stand and turn so far away, eleven in all."""
        a = np.array([0, 0, 0, 1, -1, 0, 0, 0.75, -0.75, 0.75, -0.75]) * metres
        b = np.array([0, 1, -1, 0, 0, 0, 0, 1, 1, -1, -1]) * metres
        t = np.array([0, 0, 0, 0, 0, 1, -1, 1, -1, -1, 1]) * radians
        return cls(a, b, t)

    @classmethod
    def even(cls, metres: float, radians: float) -> Cloud:
        """Six heads that no filter was fitted to: each way and turn takes six even steps, in an order of its own.

        A few drawn ones may all be near the place, and promise too much.
        """
        steps = np.outer([1, 2, 3], np.arange(1, 7)) % 7  # a lattice: no two heads share a step
        away, left, turn = (2.0 * steps - 7.0) / 6.0
        return cls(metres * away, metres * left, radians * turn)

    def around(self, places: Float) -> tuple[Float, Float]:
        """Places ``(place, head, 2)``, m, and yaws ``(place, head)``, rad, around ``places (place, 3)``."""
        bearing = np.arctan2(places[:, 1], places[:, 0])[:, None]
        x = places[:, None, 0] + np.cos(bearing) * self.away - np.sin(bearing) * self.left
        y = places[:, None, 1] + np.sin(bearing) * self.away + np.cos(bearing) * self.left
        return np.stack([x, y], axis=-1), places[:, None, 2] + self.yaw


@dataclass(frozen=True, slots=True, eq=False)
class Arriving:
    """Fields at places, part by part: each comes from one stretch of the device's width, and so from one direction.

    Parameters
    ----------
    p
        Pressure ``(place, part, frequency)``, Pa/FS.
    gradient
        ``dp/dphi / p`` along the circle around the driver's centre, same shape.
    drivers
        Whose parts they are ``(part,)``.
    places
        ``(place, 2)``, m.
    """

    p: Complex
    gradient: Complex
    drivers: NDArray[np.intp]
    places: Float

    def some(self, rows: slice) -> Arriving:
        """Those at some of the places."""
        return Arriving(self.p[rows], self.gradient[rows], self.drivers, self.places[rows])


def arriving(field: DeviceField, places: Float) -> Arriving:
    """Fields of all drivers at places ``(place, 2)``."""
    parts = [_parts(field, d, places) for d in range(len(field.b))]
    drivers = np.repeat(np.arange(len(parts)), [len(p) for p, _ in parts])
    p, slope = (np.moveaxis(np.concatenate([x[i] for x in parts]), 0, 1) for i in (0, 1))
    floor = QUIET * np.mean(np.abs(p) ** 2, axis=0) + 1e-300
    return Arriving(p, slope * p.conj() / (np.abs(p) ** 2 + floor), drivers, places)


def _parts(field: DeviceField, driver: int, places: Float) -> tuple[list[Complex], list[Complex]]:
    """Pressure and its derivative along the circle, ``(place, frequency)`` of each part of a driver's field.

    Parts that reach the places with next to nothing are added to the ones beside them.
    """
    power = np.abs(field.b[driver]) ** 2
    strong = np.any(power > WEAK * np.maximum(power.sum(axis=0), 1e-30), axis=1)
    one = replace(field, b=np.ascontiguousarray(field.b[driver : driver + 1, strong]), m=field.m[strong])
    one, window = replace(one, centres=field.centres[driver : driver + 1]), _windows(field, driver)[:, strong]
    p, slope = (np.empty((len(window), len(places), len(field.f)), dtype=np.complex128) for _ in range(2))
    for start in range(0, len(places), 16):
        rows = slice(start, start + 16)
        modes = one.modes(0, places[rows], np.arange(len(one.m)))[0] * one.b[0]
        for part, share in enumerate(window):
            some = modes * share if len(window) > 1 else modes
            p[part, rows] = some.sum(axis=1)
            slope[part, rows] = 1j * np.einsum("m,pmf->pf", one.m.astype(float), some)
    each = list(zip(p, slope, strict=True))
    judged = _judged(field.f)
    least = OUTSIDE * np.sum(np.abs(p.sum(axis=0)[:, judged]) ** 2)
    for end, beside in ((0, 1), (-1, -2)):
        while len(each) > 1 and np.sum(np.abs(each[end][0][:, judged]) ** 2) < least:
            each[beside] = (each[beside][0] + each[end][0], each[beside][1] + each[end][1])
            del each[end]
    return [x for x, _ in each], [x for _, x in each]


def _judged(f: Float) -> NDArray[np.bool_]:
    return (f >= JUDGED_HZ[0]) & (f <= JUDGED_HZ[1])


def _windows(field: DeviceField, driver: int) -> Float:
    """Shares of the harmonics in each part of a driver's field ``(part, order, frequency)``, one in sum.

    The harmonic of order ``m`` passes the driver's centre at ``m / k``: that far beside it lies what radiates it, as
    an edge of the cabinet. Parts are :data:`STRETCH_M` wide; a compact driver has one.
    """
    judged = _judged(field.f)
    beside = field.m[:, None] / field.k
    power = np.abs(field.b[driver][:, judged]) ** 2
    power = power / np.maximum(power.sum(axis=0), 1e-30)
    if not power.any():
        return np.ones((1, *beside.shape))
    middle = float(np.sum(power * beside[:, judged]) / power.sum())
    away = np.abs(beside[:, judged] - middle)
    outside = [float(power[away > (n + 0.5) * STRETCH_M].sum() / power.sum()) for n in range(MOST_PARTS // 2)]
    sides = int(np.argmax(np.array([*outside, 0.0]) < OUTSIDE))
    if not sides:
        return np.ones((1, *beside.shape))
    knots = middle + STRETCH_M * np.arange(-sides, sides + 1)
    place = np.clip(beside, knots[0], knots[-1])
    return np.maximum(1.0 - np.abs(place - knots[:, None, None]) / STRETCH_M, 0.0)


def ear_responses(field: DeviceField, head: HeadResponse, fields: Arriving, places: Float, yaw: Float) -> Complex:
    """Modelled responses ``(place, head, ear, driver, frequency)`` of heads near places where the fields are known.

    Parameters
    ----------
    places
        Of the heads ``(place, head, 2)``, m.
    yaw
        ``(place, head)``, rad.
    """
    count, heads = yaw.shape
    out = np.zeros((count, heads, 2, len(field.b), len(field.f)), dtype=np.complex128)
    for part, d in enumerate(fields.drivers):
        (r0, phi0), (r, phi) = (_polar(x, field.centres[d]) for x in (fields.places[:, None], places))
        gradient = fields.gradient[:, None, part]
        turn = np.mod(phi - phi0 + np.pi, 2.0 * np.pi) - np.pi
        moved = (r0 / r)[..., None] * np.exp(-1j * field.k * (r - r0)[..., None] + gradient * turn[..., None])
        sine = np.clip(gradient.imag / (field.k * r0[..., None]), -STEEPEST, STEEPEST)
        answered = head.at((phi - yaw)[..., None] - np.arcsin(sine))
        out[:, :, :, d] += np.moveaxis(answered, 0, 2) * (fields.p[:, None, part] * moved)[:, :, None]
    return out


def _polar(places: Float, centre: Float) -> tuple[Float, Float]:
    apart = places - centre
    return np.hypot(apart[..., 0], apart[..., 1]), np.arctan2(apart[..., 1], apart[..., 0])


@dataclass(frozen=True, slots=True, eq=False)
class CarriedPlaces:
    """Responses at the ears for places that were not measured.

    Parameters
    ----------
    measured
        Gated responses there ``(position, ear, driver, frequency)``, Pa/FS.
    modelled
        The model's there.
    left_out, model_error
        Squared relative error ``(driver, frequency)`` of positions carried from the others, and of the model alone.
    """

    field: DeviceField
    head: HeadResponse
    anchors: Heads
    measured: Complex
    modelled: Complex
    left_out: Float
    model_error: Float

    @classmethod
    def of(cls, field: DeviceField, head: HeadResponse, anchors: Heads, measured: Complex) -> CarriedPlaces:
        """From gated responses at measured positions."""
        here = arriving(field, anchors.places)
        modelled = ear_responses(field, head, here, anchors.places[:, None], anchors.yaw[:, None])[:, 0]
        others = _left_out(measured, modelled, anchors)
        alone = _relative_error(measured, modelled, field.f)
        error = _relative_error(measured, others, field.f)
        return cls(field, head, anchors, measured, modelled, left_out=error, model_error=alone)

    def at(self, places: Float, cloud: Cloud, fields: Arriving | None = None) -> Complex:
        """Responses ``(place, head, ear, driver, frequency)`` around ``places (place, 3)``, Pa/FS.

        ``fields`` are those at the places, where they are known already.
        """
        at, yaw = cloud.around(places)
        modelled = ear_responses(self.field, self.head, fields or arriving(self.field, places[:, :2]), at, yaw)
        heads = Heads(at.reshape(-1, 2), yaw.ravel())
        modelled *= self.correction(heads).reshape(modelled.shape)
        return modelled

    def correction(self, heads: Heads) -> Complex:
        """``sum w H M* / sum w |M|^2`` over measured positions ``(head, ear, driver, frequency)``.

        Those count most that are nearest and where the head faces the device at the same angle.
        """
        return weighed(self.measured, self.modelled, _weights(heads, self.anchors))

    def distances(self, places: Float) -> Float:
        """Of places from the nearest measured position ``(place,)``, m."""
        apart = np.linalg.norm(places[:, None, :2] - self.anchors.places[None], axis=-1)
        return np.asarray(apart.min(axis=1))

    def error(self, places: Float) -> Float:
        """Expected squared relative error ``(place, driver, frequency)``.

        That of a measured position which was left out, grown to that of the model alone with the distance from the
        nearest measured position, and with the angle around the device to what left-out directions of the polar set
        are missed by.
        """
        apart = self._moved(places)
        share = (1.0 - np.exp(-apart / GROWS_M))[:, None, None]
        bearing, known = (np.arctan2(p[:, 1], p[:, 0]) for p in (places, self.anchors.places))
        turn = np.abs(wrapped(bearing[:, None] - known[None])).min(axis=1) / np.radians(GROWS_DEG)
        grown = self.left_out + share * np.maximum(self.model_error - self.left_out, 0.0)
        grown = grown + (1.0 - np.exp(-turn))[:, None, None] * self.field.left_out
        return np.asarray(np.minimum(grown, LARGEST_ERROR))

    def _moved(self, places: Float) -> Float:
        """Distances from the nearest measured position ``(place,)``, m; farther from the device counts less.

        What the model lacks of a field only fades with the distance.
        """
        apart = places[:, None, :2] - self.anchors.places[None]
        away = self.anchors.places / np.linalg.norm(self.anchors.places, axis=1, keepdims=True)
        along = np.sum(apart * away, axis=-1)
        across = np.linalg.norm(apart - along[..., None] * away, axis=-1)
        return np.asarray(np.hypot(across, np.where(along > 0.0, FARTHER * along, along)).min(axis=1))


def _weights(heads: Heads, anchors: Heads) -> Float:
    """Of measured positions for each head ``(head, position)``."""
    apart = np.linalg.norm(heads.places[:, None] - anchors.places[None], axis=-1)
    turn = wrapped(heads.facing[:, None] - anchors.facing[None]) / np.radians(ALIKE_DEG)
    return np.asarray((np.exp(-0.5 * turn**2) + ELSEWHERE) / (apart**2 + NEAR_M**2))


def _left_out(measured: Complex, modelled: Complex, anchors: Heads) -> Complex:
    """Responses at each measured position carried from all others; the model's own where there is only one."""
    if len(measured) < 2:
        return modelled
    weight = _weights(anchors, anchors)
    np.fill_diagonal(weight, 0.0)
    return modelled * weighed(measured, modelled, weight)


def _relative_error(measured: Complex, carried: Complex, f: Float) -> Float:
    """Squared relative error ``(driver, frequency)``, third octaves, mean over positions and ears.

    A factor that all drivers share at an ear, which cancellation does not depend on, is taken out.
    """
    shared = np.sum(measured * carried.conj(), axis=2) / np.maximum(np.sum(np.abs(carried) ** 2, axis=2), 1e-30)
    off = np.abs(measured - shared[:, :, None] * carried) ** 2
    power = np.maximum(np.mean(np.abs(measured) ** 2, axis=(0, 1)), 1e-30)
    return np.asarray(smoothed(np.mean(off, axis=(0, 1)), f) / np.maximum(smoothed(power, f), 1e-30))


def joined(carried: CarriedPlaces, found: tuple[Complex, Float], second: Float, cloud: Cloud) -> tuple[Complex, Float]:
    """Responses ``(place, head, ...)`` and errors ``(place, driver, frequency)`` with a second listener's heads.

    ``second`` is its place ``(1, 3)``, or nothing ``(0, 3)``; the larger error holds for both.
    """
    h, error = found
    if not len(second):
        return found
    more = np.broadcast_to(carried.at(second, cloud), h.shape)
    return np.concatenate([h, more], axis=1), np.maximum(error, carried.error(second))
