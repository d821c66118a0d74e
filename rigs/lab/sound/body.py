"""The device's body: drivers as points or caps on one rigid sphere, or each as a piston in its own baffle.

Both are made of one thing, a source on a rigid sphere: on :class:`SphereBody` all drivers share one sphere around the
device's middle and are shadowed by it; on :class:`BaffledBody` each driver sits at its place in a round baffle of its
own, a rigid sphere as wide as the baffle, and the neighbours' baffles cast no shadow on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import field, order, series, summed
from sweetspot.rigs.lab.sound.spread import DriverSpread
from sweetspot.rigs.layout import azimuth
from sweetspot.rigs.units import Complex, Float

KEPT_SERIES = 4
"""Series of a sphere's field that are kept."""


class DriverSource:
    """Drivers that share one rigid sphere.

    Parameters
    ----------
    radius
        Of the sphere, m.
    centre
        Of the sphere, ``(3,)`` m, from the device's middle.
    axes
        ``(driver, 3)``, unit vectors from the sphere's centre through the drivers.
    cap
        Half-angle of a driver seen from the sphere's centre, rad; 0 is a point.
    drivers
        Which of the body's drivers these are.
    spread
        By what their fields differ from the model's, one a driver; none for a unit without tolerances in direction.
    """

    def __init__(
        self,
        radius: float,
        centre: Float,
        axes: Float,
        cap: float,
        drivers: NDArray[np.intp],
        *,
        spread: Sequence[DriverSpread] = (),
    ) -> None:
        self.radius, self.centre, self.axes, self.cap, self.drivers = radius, centre, axes, cap, drivers
        self.spread = spread
        self.extent = radius + max((s.reach for s in spread), default=0.0)
        self._series: tuple[tuple[Float, float, Complex], ...] = ()
        self.azimuths = azimuth(axes)
        self.elevations = np.arctan2(axes[:, 2], np.hypot(axes[:, 0], axes[:, 1]))

    def response(self, directions: Float, k: Float, r: float) -> NDArray[np.complex128]:
        """Response ``(driver, direction, frequency)`` in the sphere's horizontal plane at distance ``r`` m, in 1/m.

        ``directions`` are azimuths seen from the device, rad.
        """
        cos_gamma = np.cos(self.elevations)[:, None] * np.cos(directions[None, :] - self.azimuths[:, None])
        out = field(cos_gamma, k, self.radius, r, self.cap)
        u = np.stack([np.cos(directions), np.sin(directions), np.zeros_like(directions)], axis=-1)
        for row, one in zip(out, self.spread, strict=False):
            row *= one.factor(u, k)
        return out

    def at(self, point: Float, k: Float) -> Complex:
        """Response ``(driver, frequency)`` at a point ``(3,)`` m of the device's coordinates, in 1/m."""
        away = point - self.centre
        r = float(np.linalg.norm(away))
        out = summed(self.axes @ (away / r), self._series_at(k, r))
        for row, one in zip(out, self.spread, strict=False):
            row *= one.factor(away / r, k)
        return out

    def _series_at(self, k: Float, r: float) -> Complex:
        """The last series are kept: around a device they are those of one distance and its roundings."""
        for of_k, of_r, known in self._series:
            if of_k is k and of_r == r:
                return known
        made = series(k, self.radius, r, self.cap)
        self._series = (*self._series[-KEPT_SERIES + 1 :], (k, r, made))
        return made

    def spectrum(self, k: Float, r: float) -> tuple[NDArray[np.intp], Complex]:
        """Circular harmonics of the field on the horizontal circle of radius ``r``.

        Returns
        -------
        m
            Orders, ``(order,)``.
        b
            Coefficients ``(driver, order, frequency)``, in 1/m: the field is ``sum_m b_m exp(j m azimuth)``.
        """
        top = order(float(k[-1]) * self.extent)
        count = 2 * top + 2
        directions = 2.0 * np.pi * np.arange(count) / count
        spectrum = np.fft.fft(self.response(directions, k, r), axis=1) / count
        m = np.fft.fftfreq(count, 1.0 / count).astype(np.intp)
        return m, spectrum


class Body:
    """A device: sources and their total number of drivers."""

    def __init__(self, sources: tuple[DriverSource, ...]) -> None:
        self.sources = sources
        self.drivers = sum(len(s.drivers) for s in sources)

    @property
    def reach(self) -> float:
        """Radius around the device's middle that holds all of it, m."""
        return max(float(np.linalg.norm(s.centre)) + s.radius for s in self.sources)

    def at(self, point: Float, k: Float) -> Complex:
        """Response ``(driver, frequency)`` of all drivers at a point ``(3,)`` m of the device's coordinates, in 1/m."""
        out = np.empty((self.drivers, len(k)), dtype=np.complex128)
        for source in self.sources:
            out[source.drivers] = source.at(point, k)
        return out


class SphereBody(Body):
    """Drivers on one rigid sphere around the origin.

    Parameters
    ----------
    diameter
        Of the sphere, m.
    places
        ``(driver, 3)`` m; each driver sits where the ray from the centre through its place meets the sphere.
    driver_diameter
        Of the caps that vibrate, m; 0 makes points of them.
    spread
        One a driver: tilt and place across the axis turn the driver around the sphere, the rest is in its field.
    """

    def __init__(
        self, diameter: float, places: Float, driver_diameter: float = 0.0, spread: Sequence[DriverSpread] = ()
    ) -> None:
        axes = outward(places)
        if spread:
            aside = np.stack([s.tilt + (s.moved - s.shift) / (diameter / 2.0) for s in spread])
            axes = outward(axes + aside)
        cap = float(np.arcsin(min(driver_diameter / diameter, 1.0)))
        self.one = DriverSource(diameter / 2.0, np.zeros(3), axes, cap, np.arange(len(places)), spread=spread)
        super().__init__((self.one,))
        self.radius, self.azimuths, self.elevations = self.one.radius, self.one.azimuths, self.one.elevations

    def response(self, directions: Float, k: Float, r: float) -> NDArray[np.complex128]:
        """See :meth:`DriverSource.response`."""
        return self.one.response(directions, k, r)


def outward(places: Float) -> Float:
    """Unit vectors ``(driver, 3)`` from the middle through the drivers; straight ahead for one in the middle."""
    r = np.linalg.norm(places, axis=1, keepdims=True)
    return np.asarray(np.where(r > 0.0, places / np.where(r > 0.0, r, 1.0), [1.0, 0.0, 0.0]))


class BaffledBody(Body):
    """Pistons on a line or a ring: each in a round baffle of its own.

    Parameters
    ----------
    places
        ``(driver, 3)`` m: the middle of each piston's face.
    facing
        ``(driver, 3)``, unit vectors in which the pistons face.
    baffle
        Diameter of the baffles, m: above ``c / (pi baffle)`` a driver radiates into half of the space, below into all.
    driver_diameter
        Of the pistons, m; 0 makes points of them.
    spread
        One a driver: its place and tilt move and turn the baffle with it.
    """

    def __init__(
        self,
        places: Float,
        facing: Float,
        baffle: float,
        driver_diameter: float = 0.0,
        spread: Sequence[DriverSpread] = (),
    ) -> None:
        radius = baffle / 2.0
        if spread:
            places = places + np.stack([s.moved for s in spread])
            facing = outward(facing + np.stack([s.tilt for s in spread]))
            spread = [replace(s, shift=np.zeros(3)) for s in spread]
        cap = float(np.arcsin(min(driver_diameter / baffle, 1.0)))
        super().__init__(
            tuple(
                DriverSource(radius, place - radius * axis, axis[None, :], cap, np.array([d]), spread=spread[d : d + 1])
                for d, (place, axis) in enumerate(zip(places, facing, strict=True))
            )
        )
