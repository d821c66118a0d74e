"""The device's sound field around it, driver by driver: circular harmonics with radial functions from its polar set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Complex, Float, power_db

EXTRA = 3.0
"""Harmonics up to ``k a + EXTRA`` are expected of a device of radius ``a``; those beyond are damped."""

LEAST_RADIUS_M = 0.06
"""A body around each driver is at least that large, m."""

LARGER = (1.0, 1.4, 2.0, 3.0)
"""Candidate body radii re the outermost driver."""

DAMPING = 1e-3
"""Power of the errors of the polar set re its response, in the fit of the harmonics."""

STEEP = 10.0
"""By which power ratio each harmonic beyond the expected ones is less likely than the one before."""


UNLIKELY = 10.0
"""Orders that many beyond the expected ones are left out of the fit: their prior is 100 dB down."""

JUDGED_HZ, TRIED_AT = (300.0, 8000.0), 16
"""Between which frequencies, and at how many of them, bodies are compared: each octave alike. Above, too few directions
were measured for any body."""

SMALL = 1e-3
"""Power of errors that hardly matter, re the response."""

ROUNDED = 1e-11
"""Relative deviation up to which directions form an even ring."""

TOGETHER = 16
"""Neighbouring frequencies that are solved in one call, with the same orders."""


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
    left_out
        How far each direction is from its prediction by the others, power re the response ``(driver, frequency)``, mean
        over directions.
    """

    b: Complex
    m: NDArray[np.intp]
    f: Float
    centres: Float
    radius: float
    c: float
    left_out: Float

    def __post_init__(self) -> None:
        object.__setattr__(self, "b", frozen("coefficients", self.b, ndim=3, dtype=np.complex128))

    @property
    def left_out_db(self) -> Float:
        """:attr:`left_out` as mean level over frequencies ``(driver,)``, dB.

        A ring of coarse steps predicts nothing at the highest frequencies, with errors above the response itself. They
        count by their share of the band: a mean of power would be that of the highest octave alone.
        """
        return np.asarray(power_db(self.left_out + SMALL).mean(axis=1))

    @property
    def k(self) -> Float:
        """Wavenumbers ``(frequency,)``, rad/m; that of 0 Hz is taken at 1 Hz."""
        return np.asarray(2.0 * np.pi * np.maximum(self.f, 1.0) / self.c)

    def modes(self, driver: int, places: Float, orders: NDArray[np.intp]) -> tuple[Complex, Float, Float]:
        """How harmonics about a driver's centre reach places ``(place, 2)``, m.

        Parameters
        ----------
        orders
            Rows of :attr:`m` that are requested.

        Returns
        -------
        reach
            ``(place, order, frequency)``: times ``b`` of the order, and summed over orders, it is the pressure.
        bearing
            Of each place from the driver's centre ``(place,)``, rad.
        r
            Distance ``(place,)``, m.
        """
        apart = places - self.centres[driver]
        r, bearing = np.hypot(apart[:, 0], apart[:, 1]), np.arctan2(apart[:, 1], apart[:, 0])
        return harmonic_reach(self.m[orders], self.k, r, bearing, self.radius), bearing, r

    def pressure(self, places: Float) -> Complex:
        """Pressure of every driver ``(place, driver, frequency)`` at places ``(place, 2)``, Pa/FS."""
        every = np.arange(len(self.m))
        each = [np.einsum("pmf,mf->pf", self.modes(d, places, every)[0], self.b[d]) for d in range(len(self.b))]
        return np.stack(each, axis=1)


def harmonic_reach(m: NDArray[np.intp], k: Float, r: Float, bearing: Float, radius: float) -> Complex:
    """``h_|m|(k r) / h_|m|(k R) exp(j m phi)`` at places ``(place,)``: ``(place, order, frequency)``."""
    each, row = np.unique(r, return_inverse=True)
    radial = radial_ratio(int(np.abs(m).max()), k, each, radius)
    turn = np.exp(1j * m * bearing[:, None])
    return np.asarray(radial[np.abs(m)[None], row[:, None]] * turn[..., None])


def radial_ratio(top: int, k: Float, r: Float, radius: float) -> Complex:
    """``h_n(k r) / h_n(k R)``, ``n = 0 .. top``, ``(order, place, frequency)``, spherical Hankel, second kind.

    By ratios ``a`` of neighbouring orders, which neither overflow nor cancel: ``h_1 / h_0 = 1 / x + j``, and
    ``h_(n+2) / h_(n+1) = (2 n + 3) / x - h_n / h_(n+1)``.
    """
    near, far = k * r[:, None], k[None] * radius
    out = np.empty((top + 1, *near.shape), dtype=np.complex128)
    out[0] = (radius / r)[:, None] * np.exp(-1j * (near - far))
    steps = [(1.0 / x, 1.0 / x, np.ones_like(x)) for x in (near, far)]  # 1/x, and real and imaginary parts of the ratio
    for n in range(top):
        (_, real, imag), (_, real_far, imag_far) = steps
        np.multiply(out[n], (real + 1j * imag) / (real_far + 1j * imag_far), out=out[n + 1])
        steps = [(x, (2 * n + 3) * x - a / (a * a + b * b), b / (a * a + b * b)) for x, a, b in steps]
    return out


def fitted(
    h: Complex, f: Float, azimuths: Float, distance: float, at: Float, c: float, *, more: float = 0.0
) -> DeviceField:
    """Fields of all drivers from a polar set.

    Each driver is expanded about the device's middle or about its own place, as a body of one of a few sizes, whichever
    predicts left-out directions best: an array of separate drivers its own place, drivers on one compact body the
    middle, a cabinet whose edges radiate a larger body.

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
    more
        By how many nepers of power bodies about the device's middle must predict better to be chosen. About its own
        place a driver needs fewer orders; about the middle all drivers share their directions.
    """
    places = distance * np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
    k = 2.0 * np.pi * np.maximum(f, 1.0) / c
    m = np.arange(-((len(azimuths) - 1) // 2), (len(azimuths) - 1) // 2 + 1)
    whole = max(float(np.hypot(at[:, 0], at[:, 1]).max()), LEAST_RADIUS_M)
    some = np.unique(np.clip(np.searchsorted(f, np.geomspace(*JUDGED_HZ, TRIED_AT)), 0, len(f) - 1))
    middle = [(np.zeros(2), size * whole) for size in LARGER]
    missed = np.stack(
        [_misses(_expanded(h[..., some], k[some], m, places, distance, body)[1]) for body in middle], axis=1
    )  # (driver, body): about the middle, all drivers at once
    chosen: dict[int | tuple[int, int], tuple[tuple[Float, float], list[int]]] = {}
    for d in range(h.shape[1]):
        own = [(at[d, :2], size) for size in (LEAST_RADIUS_M, 0.12)]
        one = h[:, d : d + 1, some]
        there = [_misses(_expanded(one, k[some], m, places, distance, body)[1])[0] for body in own]
        best = int(np.argmin([*(missed[d] + more), *there]))
        key = best if best < len(middle) else (d, best)
        chosen.setdefault(key, ([*middle, *own][best], []))[1].append(d)
    b, left_out = np.empty((h.shape[1], len(m), len(f)), dtype=np.complex128), np.empty((h.shape[1], len(f)))
    centres = np.empty((h.shape[1], 2))
    for body, drivers in chosen.values():  # drivers of one body have the same equations
        b[drivers], left_out[drivers] = _expanded(h[:, drivers], k, m, places, distance, body)
        centres[drivers] = body[0]
    b.setflags(write=False)
    return DeviceField(b, m, f=f, centres=centres, radius=distance, c=c, left_out=left_out)


def _misses(left_out: Float) -> Float:
    """Score ``(driver,)`` of errors ``(driver, frequency)``, power: their mean level."""
    return np.asarray(np.mean(np.log(left_out + SMALL), axis=1))


def _expanded(
    h: Complex, k: Float, m: NDArray[np.intp], places: Float, distance: float, body: tuple[Float, float]
) -> tuple[Complex, Float]:
    """Coefficients ``(driver, order, frequency)`` about the centre of a body, and residuals of a leave-one-out test.

    The latter are power re the mean power over directions ``(driver, frequency)``, mean over directions; ``h`` is
    ``(direction, driver, frequency)``, and a body has a centre and a radius.

    Regularised least squares at each frequency: orders beyond ``k a + EXTRA`` are ever less likely, with prior power
    ``P`` of the orders, and those beyond ``UNLIKELY`` are left out. With ``A = B^H B + noise P^-1`` the coefficients
    are ``A^-1 B^H h``; direction ``i``, left out, is missed by the fit's error there over ``1 - (B A^-1 B^H)_ii``.
    About the centre of an even ring ``B^H B`` is the number of directions times the identity: nothing is to be solved.
    """
    centre, radius = body
    apart = places - centre
    r, bearing = np.hypot(apart[:, 0], apart[:, 1]), np.arctan2(apart[:, 1], apart[:, 0])
    power = np.maximum(np.mean(np.abs(h) ** 2, axis=0), 1e-30)
    out, missed = np.zeros((h.shape[1], len(m), len(k)), dtype=np.complex128), np.empty((h.shape[1], len(k)))
    by_frequency, turn = np.moveaxis(h, -1, 0), _even_ring(r, bearing, distance, m)
    for start in range(0, len(k), TOGETHER):
        some = slice(start, start + TOGETHER)
        beyond = np.maximum(np.abs(m)[None, :] - (k[some, None] * radius + EXTRA), 0.0)
        likely = np.flatnonzero(beyond[-1] < UNLIKELY)  # the last frequency has the most
        prior = STEEP ** -np.minimum(beyond, 12.0)
        prior = (prior / prior.sum(axis=1, keepdims=True))[:, likely]  # re the power of the response
        if turn is not None:
            part = 1.0 / (len(places) + DAMPING / prior)
            b = part[..., None] * (np.conj(turn[:, likely]).T @ by_frequency[some])
            error, own = by_frequency[some] - turn[:, likely] @ b, 1.0 - part.sum(axis=1, keepdims=True)
        else:
            basis = np.moveaxis(harmonic_reach(m[likely], k[some], r, bearing, distance), -1, 0)
            adjoint = np.conj(np.swapaxes(basis, 1, 2))
            seen = adjoint @ basis
            seen[:, np.arange(len(likely)), np.arange(len(likely))] += DAMPING / prior
            solved = np.linalg.solve(seen, adjoint)  # (frequency, order, direction)
            b = solved @ by_frequency[some]  # (frequency, order, driver)
            error, own = by_frequency[some] - basis @ b, 1.0 - np.einsum("fdm,fmd->fd", basis, solved).real
        missed[:, some] = np.mean(np.abs(error / np.maximum(own, 1e-3)[..., None]) ** 2, axis=1).T / power[:, some]
        out[:, likely, some] = np.moveaxis(b, 0, -1).swapaxes(0, 1)
    return out, missed


def _even_ring(r: Float, bearing: Float, distance: float, m: NDArray[np.intp]) -> Complex | None:
    """Harmonics ``(direction, order)`` at the radius of expansion, if they are orthogonal there: ``exp(j m phi)``."""
    if not np.allclose(r, distance, rtol=ROUNDED, atol=0.0):
        return None
    turn = np.exp(1j * m * bearing[:, None])
    other = turn.conj().T @ turn - len(r) * np.eye(len(m))
    return np.asarray(turn) if float(np.abs(other).max()) < ROUNDED * len(r) else None
