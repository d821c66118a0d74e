"""Crosstalk cancellation and null steering: distortionless, with a target and an effort limit.

For one program and every frequency, with near-ear responses ``g (driver)``, the expected far-ear covariance ``R``, a
driver cost ``Q``, a wanted near-ear response ``d``, a target power ratio ``T`` and an effort limit ``E``::

    minimise w^H Q w   subject to   g^T w = d,   w^H R w <= |d|^2 / T,   w^H Q w <= E |d|^2 / |g_ref|^2

The solutions for a multiplier ``mu >= 0`` are ``w(mu) = d (Q + mu R)^-1 g* / (g^T (Q + mu R)^-1 g*)``; far-ear power
falls and effort rises with ``mu``, so that the least ``mu`` that meets the target, or the greatest that the effort
allows, is found by bisection. One eigendecomposition a bin makes every step of it cheap.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sweetspot.calibrate.filters.sides.effort import Cost, mean_over, whitening
from sweetspot.calibrate.filters.systems import Pencil, on_diagonal, packed
from sweetspot.rigs.arrays import Rows
from sweetspot.rigs.units import Complex, Float

ALIKE = 1e-3
"""Load on the listeners' constraints: near ears that differ by less than -30 dB are not forced apart."""


@dataclass(frozen=True, slots=True, eq=False)
class MultiplierSweep:
    """The solutions of all bins along ``mu``, after one eigendecomposition each.

    Parameters
    ----------
    basis
        ``Q^-1/2 U (frequency, driver, driver)``.
    values
        Eigenvalues of ``Q^-1/2 R Q^-1/2``, ``(frequency, driver)``, over their mean in each bin.
    b
        ``U^H Q^-1/2 g* (frequency, driver)``.
    scale
        That mean ``(frequency,)``: ``mu`` is counted in units of its inverse.
    d
        Wanted near-ear response ``(frequency,)``.
    rows, power
        ``values`` and ``|b|^2`` with drivers first: sums over them are then of whole rows of frequencies, five times as
        fast.
    """

    basis: Complex
    values: Float
    b: Complex
    scale: Float
    d: Complex
    rows: Float = field(init=False)
    power: Float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", np.ascontiguousarray(self.values.T))
        object.__setattr__(self, "power", np.ascontiguousarray((np.abs(self.b) ** 2).T))

    @classmethod
    def of(cls, g: Complex, R: Complex, cost: Cost, d: Complex) -> MultiplierSweep:
        """Decompose all bins.

        Parameters
        ----------
        g
            Near-ear responses ``(frequency, driver)``.
        R
            Far-ear covariance ``(frequency, driver, driver)``.
        cost
            Driver cost ``(frequency, driver)``, or a matrix ``(frequency, driver, driver)``.
        d
            Wanted near-ear response ``(frequency,)``.
        """
        if cost.ndim == 2:  # products of matrices of which one is diagonal take ten times as long
            own = 1.0 / np.sqrt(cost)
            values, U = np.linalg.eigh(own[:, :, None] * R * own[:, None, :])
            basis = own[:, :, None] * U
        else:
            back = whitening(cost)
            values, U = np.linalg.eigh(back @ R @ np.conj(np.swapaxes(back, 1, 2)))
            basis = np.conj(np.swapaxes(back, 1, 2)) @ U
        scale = np.maximum(values.mean(axis=1), 1e-300)
        b = np.einsum("fji,fj->fi", basis.conj(), g.conj())
        return cls(basis, np.maximum(values, 0.0) / scale[:, None], b, scale, d)

    @property
    def bins(self) -> int:
        """How many frequencies."""
        return len(self.d)

    def at(self, rows: Rows) -> MultiplierSweep:
        """The solutions of some frequencies."""
        return MultiplierSweep(self.basis[rows], self.values[rows], self.b[rows], self.scale[rows], self.d[rows])

    def leak_and_effort(self, mu: Float) -> tuple[Float, Float]:
        """Far-ear power and effort ``(frequency,)`` at ``mu (frequency,)``, both over ``|d|^2``."""
        D = 1.0 + mu * self.rows
        once = self.power / D
        s, twice = np.add.reduce(once) ** 2, once / D
        return self.scale * np.add.reduce(self.rows * twice) / s, np.add.reduce(twice) / s

    def weights(self, mu: Float) -> Complex:
        """Driver weights ``(frequency, driver)``."""
        shaped = self.b / (1.0 + mu[:, None] * self.values)
        norm = np.sum(np.abs(self.b) ** 2 / (1.0 + mu[:, None] * self.values), axis=1)
        return np.asarray(np.einsum("fij,fj->fi", self.basis, shaped) * (self.d / norm)[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class Distortionless:
    """The solutions of all bins along ``mu``, by an elimination for each that is asked for.

    A search takes less time by these than by one eigendecomposition of each bin.

    Parameters
    ----------
    g, d, scale
        As of :class:`MultiplierSweep`.
    line
        ``x(m) = (Q + m R)^-1 g*``, with the effort as the first of its powers.
    """

    g: Complex
    d: Complex
    scale: Float
    line: Pencil

    @classmethod
    def of(cls, g: Complex, R: Complex, cost: Cost, d: Complex) -> Distortionless:
        """See :meth:`MultiplierSweep.of`."""
        Q = on_diagonal(cost.T) if cost.ndim == 2 else packed(cost)
        return cls(g, d, np.maximum(mean_over(R, cost), 1e-300), Pencil.of(Q, packed(R), g.T.conj(), Q))

    @property
    def bins(self) -> int:
        """How many frequencies."""
        return len(self.d)

    def at(self, rows: Rows) -> Distortionless:
        """The solutions of some frequencies."""
        return Distortionless(self.g[rows], self.d[rows], self.scale[rows], self.line.at(rows))

    def leak_and_effort(self, mu: Float) -> tuple[Float, Float]:
        """Far-ear power and effort ``(frequency,)`` at ``mu (frequency,)``, both over ``|d|^2``."""
        x, (spent, leak) = self.line.solved(mu / self.scale)
        near = np.maximum(np.abs(np.sum(self.g.T * x, axis=0)) ** 2, 1e-300)
        return leak / near, spent / near

    def weights(self, mu: Float) -> Complex:
        """Driver weights ``(frequency, driver)``."""
        x, _ = self.line.solved(mu / self.scale)
        return np.ascontiguousarray((x * (self.d / np.sum(self.g.T * x, axis=0))).T)


@dataclass(frozen=True, slots=True, eq=False)
class SeveralListeners:
    """The solutions of all bins along ``mu`` that keep a near ear of each of several listeners.

    ``w(mu) = A^-1 G^H (G A^-1 G^H)^-1 d`` with ``A = Q + mu R``, one row of ``G`` a listener; ``R`` is the covariance
    at all of their far ears (minimum variance with linear constraints: O. L. Frost, Proc. IEEE 60, 1972).

    Parameters
    ----------
    basis, values, scale
        As of :class:`MultiplierSweep`.
    b
        ``U^H Q^-1/2 G^H (frequency, driver, listener)``.
    d
        Wanted near-ear responses ``(frequency, listener)``.
    """

    basis: Complex
    values: Float
    b: Complex
    scale: Float
    d: Complex

    @classmethod
    def of(cls, G: Complex, R: Complex, cost: Cost, d: Complex) -> SeveralListeners:
        """Decompose all bins; ``G (listener, frequency, driver)`` and ``d (listener, frequency)``."""
        line = MultiplierSweep.of(G[0], R, cost, d[0])
        b = np.einsum("fji,lfj->fil", line.basis.conj(), G.conj())
        return cls(line.basis, line.values, b, line.scale, d.T)

    @property
    def bins(self) -> int:
        """How many frequencies."""
        return len(self.d)

    def at(self, rows: Rows) -> SeveralListeners:
        """The solutions of some frequencies."""
        return SeveralListeners(self.basis[rows], self.values[rows], self.b[rows], self.scale[rows], self.d[rows])

    def leak_and_effort(self, mu: Float) -> tuple[Float, Float]:
        """Far-ear power, mean of all far ears, and effort a listener ``(frequency,)``, both over ``|d|^2``."""
        power = np.abs(self._shaped(mu)) ** 2
        wanted = np.maximum(np.mean(np.abs(self.d) ** 2, axis=1), 1e-300)
        leak = self.scale * np.sum(self.values * power, axis=1) / wanted
        return leak, np.sum(power, axis=1) / (wanted * self.d.shape[1])

    def weights(self, mu: Float) -> Complex:
        """Driver weights ``(frequency, driver)``."""
        return np.asarray(np.einsum("fij,fj->fi", self.basis, self._shaped(mu)))

    def _shaped(self, mu: Float) -> Complex:
        """Weights in the basis ``(frequency, driver)``; near ears that the drivers cannot separate are treated
        together."""
        damped = self.b / (1.0 + mu[:, None] * self.values)[..., None]
        S = np.einsum("fil,fim->flm", self.b.conj(), damped)
        own = np.arange(S.shape[1])
        S[:, own, own] += ALIKE * np.trace(S, axis1=1, axis2=2).real[:, None] + 1e-300
        return np.asarray(np.einsum("fil,fl->fi", damped, np.linalg.solve(S, self.d[..., None])[..., 0]))


def far_covariance(h: Complex, error: Float) -> Complex:
    """Expected covariance ``(frequency, driver, driver)`` at the far ear over head positions, with error loading.

    Parameters
    ----------
    h
        Far-ear responses ``(position, driver, frequency)``.
    error
        Expected squared relative error of each path ``(position, driver)`` or ``(position, driver, frequency)``: what
        the measurement's noise and the unit's tolerance leave uncertain is power that no design can count on
        cancelling.
    """
    positions = h.shape[0]
    R = np.einsum("pmf,pnf->fmn", h.conj(), h) / positions
    each = error if error.ndim == 3 else error[:, :, None]
    loading = np.mean(each * np.abs(h) ** 2, axis=0).T
    diagonal = np.arange(h.shape[1])
    R[:, diagonal, diagonal] += loading
    return np.asarray(R)
