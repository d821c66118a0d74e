"""The device's sound field around it, driver by driver: circular harmonics with radial functions from its polar set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Float, power_db

Complex = NDArray[np.complex128]

EXTRA = 3.0
"""Harmonics up to ``k a + EXTRA`` are expected of a device of radius ``a``; those beyond are damped."""

LEAST_RADIUS_M = 0.06
"""A body around each driver is at least that large, m."""

DAMPING = 1e-3
"""Power of the errors of the polar set re its response, in the fit of the harmonics."""

STEEP = 10.0
"""By which power ratio each harmonic beyond the expected ones is less likely than the one before."""


@dataclass(frozen=True, slots=True, eq=False)
class DeviceField:
    """Fields of the drivers in the horizontal plane.

    Driver ``d`` has ``p(r, phi) = sum_m b_m h_|m|(k r) / h_|m|(k R) exp(i m phi)`` with the spherical Hankel functions
    of the second kind, ``r`` and ``phi`` counted from its own centre: exact for sources whose harmonics on the sphere
    are sectoral, and for ``k r`` well above ``m^2`` for all.

    Parameters
    ----------
    b
        Coefficients ``(driver, order, frequency)`` at the radius ``R``, Pa/FS.
    m
        Orders ``(order,)``.
    f
        Frequencies, Hz.
    centres
        ``(driver, 2)``, m re the middle of the device.
    radius
        ``R``, m.
    c
        Speed of sound, m/s.
    left_out_db
        How far each direction is from what the others say of it, power re the response ``(driver,)``, dB, mean over
        directions and frequencies.
    """

    b: Complex
    m: NDArray[np.intp]
    f: Float
    centres: Float
    radius: float
    c: float
    left_out_db: Float

    def __post_init__(self) -> None:
        object.__setattr__(self, "b", frozen("coefficients", self.b, ndim=3, dtype=np.complex128))

    @property
    def k(self) -> Float:
        """Wavenumbers ``(frequency,)``, rad/m; that of 0 Hz is taken at 1 Hz."""
        return np.asarray(2.0 * np.pi * np.maximum(self.f, 1.0) / self.c)

    def modes(self, driver: int, places: Float) -> tuple[Complex, Float, Float]:
        """What each harmonic of a driver brings to places ``(place, 2)``, m.

        Returns
        -------
        p
            ``(place, order, frequency)``, Pa/FS; their sum over orders is the pressure.
        bearing
            Of each place from the driver's centre ``(place,)``, rad.
        r
            Distance ``(place,)``, m.
        """
        apart = places - self.centres[driver]
        r, bearing = np.hypot(apart[:, 0], apart[:, 1]), np.arctan2(apart[:, 1], apart[:, 0])
        top = int(np.abs(self.m).max())
        radial = np.stack([radial_ratio(top, self.k, float(x), self.radius) for x in r])[:, np.abs(self.m)]
        turn = np.exp(1j * self.m * bearing[:, None])
        return np.asarray(radial * turn[..., None] * self.b[driver]), bearing, r

    def pressure(self, places: Float) -> Complex:
        """Pressure of every driver ``(place, driver, frequency)`` at places ``(place, 2)``, Pa/FS."""
        return np.stack([self.modes(d, places)[0].sum(axis=1) for d in range(len(self.b))], axis=1)


def radial_ratio(top: int, k: Float, r: float, radius: float) -> Complex:
    """``h_n(k r) / h_n(k R)`` for ``n = 0 .. top``, ``(order, frequency)``, spherical Hankel, second kind.

    By ratios of neighbouring orders, which neither overflow nor cancel.
    """
    near, far = k * r, k * radius
    out = np.empty((top + 1, len(k)), dtype=np.complex128)
    out[0] = (radius / r) * np.exp(-1j * (near - far))
    a, b = 1.0 / near + 1j, 1.0 / far + 1j  # h_1 / h_0
    for n in range(top):
        out[n + 1] = out[n] * a / b
        a, b = (2 * n + 3) / near - 1.0 / a, (2 * n + 3) / far - 1.0 / b
    return out


def fitted(h: Complex, f: Float, azimuths: Float, distance: float, at: Float, c: float) -> DeviceField:
    """Fields of all drivers from a polar set.

    Each driver is expanded about the device's middle or about its own place, whichever needs fewer harmonics: an array
    of separate drivers the latter, drivers on one compact body the former.

    Parameters
    ----------
    h
        Gated spectra ``(direction, driver, frequency)``, Pa/FS.
    azimuths
        Directions, rad.
    distance
        Of the microphone from the middle of the device, m.
    at
        Places of the drivers ``(driver, 3)``, m.
    """
    places = distance * np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
    k = 2.0 * np.pi * np.maximum(f, 1.0) / c
    m = np.arange(-((len(azimuths) - 1) // 2), (len(azimuths) - 1) // 2 + 1)
    whole = max(float(np.hypot(at[:, 0], at[:, 1]).max()), LEAST_RADIUS_M)
    coefficients, centres, left_out = [], [], []
    for d in range(h.shape[1]):
        tried = [(np.zeros(2), whole), (at[d, :2], LEAST_RADIUS_M)]
        found = [
            _expanded(h[:, d], k, m, places=places, distance=distance, centre=centre, radius=radius)
            for centre, radius in tried
        ]
        best = int(np.argmin([left for _, left in found]))
        coefficients.append(found[best][0])
        centres.append(tried[best][0])
        left_out.append(float(power_db(found[best][1] / h[:, d].size)))
    return DeviceField(
        np.stack(coefficients), m, f=f, centres=np.stack(centres), radius=distance, c=c, left_out_db=np.array(left_out)
    )


def _expanded(
    h: Complex, k: Float, m: NDArray[np.intp], *, places: Float, distance: float, centre: Float, radius: float
) -> tuple[Complex, float]:
    """Coefficients ``(order, frequency)`` of one driver about a centre, and what a leave-one-out test leaves (power).

    Regularised least squares at each frequency: orders beyond ``k a + EXTRA`` are ever less likely. The residual of
    direction ``i`` when it is left out is ``e_i / (1 - S_ii)`` with the smoother's diagonal ``S_ii``.
    """
    apart = places - centre
    r, bearing = np.hypot(apart[:, 0], apart[:, 1]), np.arctan2(apart[:, 1], apart[:, 0])
    top = int(np.abs(m).max())
    radial = np.stack([radial_ratio(top, k, float(x), distance) for x in r])[:, np.abs(m)]
    basis = np.moveaxis(radial * np.exp(1j * m * bearing[:, None])[..., None], -1, 0)  # (frequency, direction, order)
    beyond = np.maximum(np.abs(m)[None, :] - (k[:, None] * radius + EXTRA), 0.0)
    prior = STEEP ** -np.minimum(beyond, 12.0)
    power = np.mean(np.abs(h) ** 2, axis=0)
    noise = DAMPING * np.maximum(power, 1e-30)
    prior = prior / prior.sum(axis=1, keepdims=True) * np.maximum(power, 1e-30)[:, None]
    weighted = prior[:, :, None] * np.conj(np.swapaxes(basis, 1, 2))
    seen = basis @ weighted
    seen[:, np.arange(len(h)), np.arange(len(h))] += noise[:, None]
    gain = np.conj(np.swapaxes(np.linalg.solve(seen, np.conj(np.swapaxes(weighted, 1, 2))), 1, 2))
    b = (gain @ h.T[..., None])[..., 0]
    fit = (basis @ b[..., None])[..., 0].T
    diagonal = np.einsum("fdo,fod->df", basis, gain).real
    left = np.sum(np.abs((h - fit) / np.maximum(1.0 - diagonal, 1e-3)) ** 2 / np.maximum(power, 1e-30))
    return b.T, float(left)
