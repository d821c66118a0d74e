"""The relative form: every driver's filter over that of a reference driver, anchored so that the ratio stays short.

Filters that reproduce the reference driver's own near-ear response are relative already: bulk delay and the driver's
roll-off drop out of them. Written as ratios ``W_m / W_ref`` the reference driver plays a pure delay, and a two-driver
null is one short, causal filter, the ratio of the two paths to the far ear. The least-effort design is a bad start for
that: where its effort limit lets go, the weights turn from against each other to alongside, a ratio passes through
zero, and its filter rings. The anchored design leaves the reference driver alone as far as the target allows::

    minimise (w - w0)^H Q (w - w0) + mu w^H R w   subject to   g^T w = d,   w0 = the reference driver alone
    A = Q + mu R,   u = A^-1 Q w0,   w = u + A^-1 g* (d - g^T u) / (g^T A^-1 g*)

With ``d`` the reference driver's own response ``mu = 0`` gives ``w0``, and the ratios fade to nothing where nothing is
cancelled. Far-ear power falls with ``mu`` all the same, so that target and effort are met by the same bisection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.calibrate.filters.sides.crosstalk import MultiplierSweep
from sweetspot.calibrate.filters.sides.effort import Cost, matrix
from sweetspot.rigs.units import Complex, Float


@dataclass(frozen=True, slots=True, eq=False)
class Anchored:
    """The anchored solutions of all bins along ``mu``.

    Parameters
    ----------
    path
        The decomposition of the cost and the far ear.
    start
        The anchor in that basis ``(frequency, driver)``: ``basis^-1 w0``.
    """

    path: MultiplierSweep
    start: Complex

    @classmethod
    def of(cls, g: Complex, R: Complex, cost: Cost, d: Complex, reference: int) -> Anchored:
        """Decompose all bins; the anchor is ``reference`` alone, as loud as ``d`` asks at the near ear ``g``."""
        path = MultiplierSweep.of(g, R, cost, d)
        w0 = np.zeros_like(g)
        w0[:, reference] = d / np.where(np.abs(g[:, reference]) > 0.0, g[:, reference], np.inf)
        return cls(path, np.einsum("fji,fjk,fk->fi", path.basis.conj(), matrix(cost), w0))

    @property
    def bins(self) -> int:
        """How many frequencies."""
        return self.path.bins

    def coordinates(self, mu: Float) -> Complex:
        """Weights in the basis ``(frequency, driver)``."""
        D = 1.0 + mu[:, None] * self.path.values
        u, b = self.start / D, self.path.b
        missing = self.path.d - np.einsum("fi,fi->f", b.conj(), u)
        return np.asarray(u + b / D * (missing / np.sum(np.abs(b) ** 2 / D, axis=1))[:, None])

    def leak_and_effort(self, mu: Float) -> tuple[Float, Float]:
        """Far-ear power and effort ``(frequency,)`` at ``mu (frequency,)``, both over ``|d|^2``."""
        power, level = np.abs(self.coordinates(mu)) ** 2, np.maximum(np.abs(self.path.d) ** 2, 1e-300)
        leak = self.path.scale * np.sum(self.path.values * power, axis=1)
        return leak / level, np.sum(power, axis=1) / level

    def weights(self, mu: Float) -> Complex:
        """Driver weights ``(frequency, driver)``."""
        return np.asarray(np.einsum("fij,fj->fi", self.path.basis, self.coordinates(mu)))
