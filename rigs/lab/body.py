"""The device's body: drivers as points on a rigid sphere, and the angular spectrum of what each radiates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rigs.lab.sphere import Complex, field, order
from rigs.layout import azimuth
from rigs.units import Float


class SphereBody:
    """Point drivers on a rigid sphere around the origin.

    Parameters
    ----------
    diameter
        Of the sphere, m.
    places
        ``(driver, 3)`` m; each driver sits where the ray from the centre through its place meets the sphere.
    """

    def __init__(self, diameter: float, places: Float) -> None:
        self.radius = diameter / 2.0
        self.azimuths = azimuth(places)
        flat = np.hypot(places[:, 0], places[:, 1])
        self.elevations = np.arctan2(places[:, 2], flat)

    def response(self, directions: Float, k: Float, r: float) -> NDArray[np.complex128]:
        """Response ``(driver, direction, frequency)`` in the horizontal plane at distance ``r`` m, in 1/m.

        ``directions`` are azimuths seen from the device, rad.
        """
        cos_gamma = np.cos(self.elevations)[:, None] * np.cos(directions[None, :] - self.azimuths[:, None])
        return field(cos_gamma, k, self.radius, r)

    def spectrum(self, k: Float, r: float) -> tuple[NDArray[np.intp], Complex]:
        """Circular harmonics of the field on the horizontal circle of radius ``r``.

        Returns
        -------
        m
            Orders, ``(order,)``.
        b
            Coefficients ``(driver, order, frequency)``, in 1/m: the field is ``sum_m b_m exp(j m azimuth)``.
        """
        top = order(float(k[-1]) * self.radius)
        count = 2 * top + 2
        directions = 2.0 * np.pi * np.arange(count) / count
        spectrum = np.fft.fft(self.response(directions, k, r), axis=1) / count
        m = np.fft.fftfreq(count, 1.0 / count).astype(np.intp)
        return m, spectrum
