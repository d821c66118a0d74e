"""Drivers in spherical harmonics: encoded from a ring or a sphere of directions, with covariances in closed form.

A driver's response ``h(O) = sum A_nm Y_nm(O)`` is estimated from the measured directions under a stationary Gaussian
prior on the sphere: its kernel ``kappa(cos g) = sum (2n + 1) / (4 pi) a_n P_n(cos g)`` (Funk-Hecke) is diagonal on the
harmonics, so that with the measured ``h = Y A + noise``

    A = D Y^H (Y D Y^H + s I)^-1 h,    D = diag(a_n),    C = D - D Y^H (Y D Y^H + s I)^-1 Y D

are mean and covariance of what is left unknown. A density of directions with coefficients ``d_LM`` gives the power

    R_ij = A_i^H G A_j (+ trace(G C) for i = j),    G_nm,n'm' = sum_L d_LM (-1)^m Gaunt(n -m, n' m', L M)

which is the integral of ``density h_i^* h_j`` without any grid. After Y. Luo, Spherical harmonic covariance and
magnitude function encodings for beamformer design, EURASIP J. Audio Speech Music Process. 2021:41, re-derived.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.units import Complex, Float

LARGEST_ORDER = 12
"""Beyond it arrays of this size no longer steer; 169 harmonics."""

BLOCKS = 24
"""Number of bands of the frequencies, each with one prior."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Drivers on the harmonics.

    Parameters
    ----------
    a
        Coefficients ``(frequency, driver, nm)``, ``nm`` as in :func:`indices`.
    unknown
        Covariance of what the measured directions leave open, the same for every driver: per block of frequencies
        ``(block, nm, nm)``, times the driver's mean power.
    block
        Block of each frequency, ``(frequency,)``.
    power
        Mean power of each driver ``(frequency, driver)``, that ``unknown`` is scaled with.
    """

    a: Complex
    unknown: Complex
    block: NDArray[np.intp]
    power: Float

    @property
    def order(self) -> int:
        """Highest order."""
        return int(np.sqrt(self.a.shape[2])) - 1

    def at(self, azimuth: Float, elevation: Float | float = 0.0) -> Complex:
        """Responses ``(frequency, driver, direction)`` in directions given in rad."""
        y = harmonics(self.order, azimuth, np.broadcast_to(elevation, azimuth.shape))
        return np.asarray(self.a @ y.T)

    def covariance(self, density: Complex) -> Complex:
        """Power ``(frequency, driver, driver)`` over a density of directions, including the unknown part.

        Parameters
        ----------
        density
            Its coefficients up to twice the order, for example from :func:`towards`.
        """
        g = coupling(density, self.order)
        power = np.einsum("fia,ab,fjb->fij", self.a.conj(), g, self.a, optimize=True)
        loss = np.einsum("ab,kba->k", g, self.unknown).real[self.block]
        n = power.shape[1]
        return np.asarray(power + (loss[:, None] * self.power)[:, :, None] * np.eye(n))


def encode(
    h: Complex,
    azimuth: Float,
    elevation: Float,
    k: Float,
    radius: float,
    noise: float = 0.01,
    *,
    order: int = LARGEST_ORDER,
) -> Encoded:
    """Drivers on the harmonics from measured directions, on a ring or all over the sphere.

    Parameters
    ----------
    h
        Free-field responses ``(driver, direction, frequency)``.
    azimuth, elevation
        Of the directions, rad.
    k
        Wavenumbers ``(frequency,)``, rad/m.
    radius
        Of the smallest sphere that holds the drivers, m: orders beyond ``k radius`` fade by the prior.
    noise
        Power of the measurement's error over that of the response, beside the model's own.
    order
        Highest order.
    """
    y = harmonics(order, azimuth, elevation)
    edges = np.unique(np.linspace(0, len(k), BLOCKS + 1).astype(int))
    block = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    power = np.mean(np.abs(h) ** 2, axis=1).T
    a = np.empty((len(k), h.shape[0], y.shape[1]), dtype=np.complex128)
    unknown = np.empty((len(edges) - 1, y.shape[1], y.shape[1]), dtype=np.complex128)
    for i in range(len(edges) - 1):
        rows = slice(edges[i], edges[i + 1])
        prior = prior_of(float(k[edges[i + 1] - 1]) * radius, order)
        weighted = prior[:, None] * y.conj().T
        seen = y @ weighted + noise * np.eye(len(azimuth))
        gain = np.linalg.solve(seen, weighted.conj().T).conj().T  # D Y^H (Y D Y^H + s)^-1
        a[rows] = np.einsum("ap,ipf->fia", gain, h[:, :, rows])
        unknown[i] = np.diag(prior) - gain @ (y * prior[None, :])
    return Encoded(a, unknown, block, power)


def prior_of(ka: float, order: int) -> Float:
    """Variance of each coefficient ``(nm,)`` of the prior, for unit mean power on the sphere.

    A rigid sphere whose surface moves at random radiates order ``n`` with the strength ``1 / |ka h_n'(ka)|``
    (Williams, Fourier Acoustics, eq. 6.105): constant up to ``n = ka``, and falling fast beyond.
    """
    from scipy.special import spherical_jn, spherical_yn  # slow to import

    n = np.arange(order + 1)
    ka = max(ka, 1e-2)
    slope = spherical_jn(n, ka, derivative=True) - 1j * spherical_yn(n, ka, derivative=True)
    strength = 1.0 / np.maximum(np.abs(ka**2 * slope), 1e-30) ** 2
    strength = strength / np.sum((2 * n + 1) * strength) * 4.0 * np.pi
    return np.asarray(np.repeat(strength, 2 * n + 1))


def indices(order: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order ``n`` and degree ``m`` of each harmonic, ``(nm,)``: ``m`` runs from ``-n`` to ``n`` within ``n``."""
    n = np.concatenate([np.full(2 * i + 1, i) for i in range(order + 1)])
    m = np.concatenate([np.arange(-i, i + 1) for i in range(order + 1)])
    return n, m


def harmonics(order: int, azimuth: Float, elevation: Float) -> Complex:
    """Complex orthonormal harmonics ``(direction, nm)`` with the phase of Condon and Shortley."""
    from scipy.special import gammaln, lpmv  # slow to import

    n, m = indices(order)
    size = np.abs(m)
    norm = np.exp(0.5 * (np.log((2 * n + 1) / (4.0 * np.pi)) + gammaln(n - size + 1) - gammaln(n + size + 1)))
    legendre = lpmv(size[None, :], n[None, :], np.sin(elevation)[:, None])
    y = norm * legendre * np.exp(1j * size * azimuth[:, None])
    return np.where(m < 0, (-1.0) ** size * y.conj(), y)


def towards(azimuth: float, concentration: float, order: int, elevation: float = 0.0) -> Complex:
    """A von Mises-Fisher density around a direction as coefficients ``(nm,)``; it integrates to one.

    ``d_nm = I_{n+1/2}(c) / I_{1/2}(c) Y_nm^*``; ``concentration`` 0 is the whole sphere, and a ring of directions
    ``a`` rad away still weighs ``exp(c (cos a - 1))`` of the middle.
    """
    from scipy.special import ive  # slow to import

    n, _ = indices(order)
    if concentration <= 0:
        flat = np.zeros(len(n), dtype=np.complex128)
        flat[0] = 1.0 / np.sqrt(4.0 * np.pi)
        return flat
    strength = ive(np.arange(order + 1) + 0.5, concentration) / ive(0.5, concentration)
    return np.asarray(strength[n] * harmonics(order, np.array([azimuth]), np.array([elevation]))[0].conj())


def coupling(density: Complex, order: int) -> Complex:
    """``G (nm, nm)``: the integral of ``density Y_nm^* Y_n'm'``, exact for densities up to order ``2 order``."""
    row, column, which, value = _gaunt(order)
    size = (order + 1) ** 2
    g = np.zeros((size, size), dtype=np.complex128)
    wide = np.zeros((2 * order + 1) ** 2, dtype=np.complex128)
    wide[: min(len(density), len(wide))] = density[: len(wide)]
    np.add.at(g, (row, column), value * wide[which])
    return g


@lru_cache(maxsize=4)
def _gaunt(order: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], Float]:
    """Nonzero integrals of ``Y_nm^* Y_n'm' Y_LM``: rows, columns, index of ``LM``, values."""
    n, m = indices(order)
    i, j = (x.ravel() for x in np.meshgrid(np.arange(len(n)), np.arange(len(n)), indexing="ij"))
    rows, columns, which, values = [], [], [], []
    for top in range(2 * order + 1):
        shift = m[i] - m[j]
        ok = (np.abs(shift) <= top) & (np.abs(n[i] - n[j]) <= top) & (n[i] + n[j] >= top)
        ok &= (n[i] + n[j] + top) % 2 == 0
        a, b = i[ok], j[ok]
        flat = np.zeros_like(a)
        value = wigner_3j(n[a], n[b], flat + top, flat, flat, flat)
        value = value * wigner_3j(n[a], n[b], flat + top, -m[a], m[b], shift[ok])
        value = value * (-1.0) ** m[a] * np.sqrt((2 * n[a] + 1) * (2 * n[b] + 1) * (2 * top + 1) / (4.0 * np.pi))
        rows.append(a)
        columns.append(b)
        which.append(top * top + top + shift[ok])
        values.append(value)
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(which), np.concatenate(values)


def wigner_3j(
    a: NDArray[np.intp],
    b: NDArray[np.intp],
    c: NDArray[np.intp],
    d: NDArray[np.intp],
    e: NDArray[np.intp],
    f: NDArray[np.intp],
) -> Float:
    """Wigner's 3j symbols ``(a b c; d e f)`` by Racah's sum, for arrays that satisfy the triangle and ``d+e+f = 0``."""

    from scipy.special import gammaln  # slow to import

    def factorial(x: NDArray[np.intp]) -> Float:
        return np.asarray(gammaln(x + 1.0))

    triangle = factorial(a + b - c) + factorial(a - b + c) + factorial(-a + b + c) - factorial(a + b + c + 1)
    edge = sum(factorial(x) for x in (a + d, a - d, b + e, b - e, c + f, c - f))
    total = np.zeros(a.shape)
    for t in range(int((a + b - c).max(initial=0)) + 1):
        parts = (np.full_like(a, t), c - b + t + d, c - a + t - e, a + b - c - t, a - t - d, b - t + e)
        ok = np.all([p >= 0 for p in parts], axis=0)
        below = sum(factorial(np.maximum(p, 0)) for p in parts)
        total += np.where(ok, (-1.0) ** t * np.exp(0.5 * (triangle + edge) - below), 0.0)
    return np.asarray((-1.0) ** (a - b - f) * total)
