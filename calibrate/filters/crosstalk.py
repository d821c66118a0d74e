"""Crosstalk cancellation and null steering: distortionless, held to a target, limited in effort.

For one program and every frequency, with near-ear responses ``g (driver)``, the expected far-ear covariance ``R``, a
driver cost ``Q``, a wanted near-ear response ``d``, a target power ratio ``T`` and an effort limit ``E``::

    minimise w^H Q w   subject to   g^T w = d,   w^H R w <= |d|^2 / T,   w^H Q w <= E |d|^2 / |g_ref|^2

The solutions for a multiplier ``mu >= 0`` are ``w(mu) = d (Q + mu R)^-1 g* / (g^T (Q + mu R)^-1 g*)``; far-ear power
falls and effort rises with ``mu``, so that the least ``mu`` that meets the target, or the greatest that the effort
allows, is found by bisection. One eigendecomposition a bin makes every step of it cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.filters.effort import Cost, whitening
from sweetspot.rigs.units import Complex, Float

HALVINGS = 50
OVER_DB = 0.3
"""By how much smoothed multipliers may pass the target, dB; the filters' truncation adds to it."""

MU_RANGE = (1e-9, 1e9)


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
    """

    basis: Complex
    values: Float
    b: Complex
    scale: Float

    @classmethod
    def of(cls, g: Complex, R: Complex, cost: Cost) -> MultiplierSweep:
        """Decompose: ``g (frequency, driver)``, ``R (frequency, driver, driver)``, and a cost."""
        back = whitening(cost)
        values, U = np.linalg.eigh(back @ R @ np.conj(np.swapaxes(back, 1, 2)))
        scale = np.maximum(values.mean(axis=1), 1e-300)
        basis = np.conj(np.swapaxes(back, 1, 2)) @ U
        b = np.einsum("fji,fj->fi", basis.conj(), g.conj())
        return cls(basis, np.maximum(values, 0.0) / scale[:, None], b, scale)

    def leak_and_effort(self, mu: Float) -> tuple[Float, Float]:
        """Far-ear power and effort ``(frequency,)`` at ``mu (frequency,)``, both over ``|d|^2``."""
        D = 1.0 + mu[:, None] * self.values
        B = np.abs(self.b) ** 2
        s = np.sum(B / D, axis=1) ** 2
        leak = self.scale * np.sum(self.values * B / D**2, axis=1) / s
        return leak, np.sum(B / D**2, axis=1) / s

    def weights(self, mu: Float, d: Complex) -> Complex:
        """Driver weights ``(frequency, driver)``."""
        shaped = self.b / (1.0 + mu[:, None] * self.values)
        norm = np.sum(np.abs(self.b) ** 2 / (1.0 + mu[:, None] * self.values), axis=1)
        return np.asarray(np.einsum("fij,fj->fi", self.basis, shaped) * (d / norm)[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class Cancellation:
    """A design of one program.

    Parameters
    ----------
    w
        Driver weights ``(frequency, driver)``.
    mu
        The multiplier of each bin.
    most
        The multiplier at which the target is passed by :data:`OVER_DB`: none that is used may be above.
    limit
        Which condition decided each bin: ``"shadow"`` (the natural shadow reaches the target), ``"target"``,
        ``"effort"`` (the target was not reached), or ``"spread"`` (no weights at all keep the far ear that quiet at
        every position within the errors).
    """

    w: Complex
    mu: Float
    most: Float
    limit: NDArray[np.str_]


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


def steer(g: Complex, R: Complex, cost: Cost, d: Complex, target: Float, effort: Float) -> Cancellation:
    """Weights of one program for all bins at once.

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
    target
        Wanted power ratio of near ear to far ear ``(frequency,)``.
    effort
        Largest ``w^H Q w`` over ``|d|^2`` ``(frequency,)``.
    """
    path = MultiplierSweep.of(g, R, cost)
    ones = np.ones(len(d))
    for_target = least_mu(path, lambda leak, _: leak <= 1.0 / target, ones)
    most = least_mu(path, lambda leak, _: leak <= 10.0 ** (-0.1 * OVER_DB) / target, ones)
    for_effort = least_mu(path, lambda _, spent: spent >= effort, ones)
    mu = np.minimum(for_target, for_effort)
    limit = np.where(for_target <= MU_RANGE[0], "shadow", np.where(for_target <= for_effort, "target", "effort"))
    limit = np.where(mu >= 0.99 * MU_RANGE[1], "spread", limit)
    return Cancellation(path.weights(np.where(mu <= MU_RANGE[0], 0.0, mu), d), mu, most, limit)


def shaped(g: Complex, R: Complex, cost: Cost, d: Complex, mu: Float) -> Complex:
    """Weights ``(frequency, driver)`` for multipliers chosen beforehand, for example smoothed ones."""
    return MultiplierSweep.of(g, R, cost).weights(mu, d)


Reached = Callable[[Float, Float], NDArray[np.bool_]]
"""Says for each bin whether a leak and an effort have come as far as wanted."""


def least_mu(path: MultiplierSweep, reached: Reached, ones: Float, halvings: int = HALVINGS) -> Float:
    """Least ``mu`` of each bin at which ``reached(leak, effort)`` holds, by bisection on its logarithm."""
    low, high = (np.log(m) * ones for m in MU_RANGE)
    at_start = reached(*path.leak_and_effort(np.exp(low)))
    for _ in range(halvings):
        middle = 0.5 * (low + high)
        met = reached(*path.leak_and_effort(np.exp(middle)))
        low, high = np.where(met, low, middle), np.where(met, middle, high)
    return np.asarray(np.where(at_start, MU_RANGE[0], np.exp(high)))
