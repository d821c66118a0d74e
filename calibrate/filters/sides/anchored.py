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

The centre's beam has the same form (:func:`beam`): ``g`` is the response where it points, ``R`` what shall be quiet,
``w0`` the drivers in front alone. All drivers play what these play, through one short ratio each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.calibrate.design import BeamDesign, target_power
from sweetspot.calibrate.filters.beam import beamform, handover
from sweetspot.calibrate.filters.sides import multiplier
from sweetspot.calibrate.filters.sides.crosstalk import MultiplierSweep
from sweetspot.calibrate.filters.sides.effort import Cost, matrix
from sweetspot.rigs.arrays import Rows
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
    def of(cls, g: Complex, R: Complex, cost: Cost, d: Complex, lead: Complex) -> Anchored:
        """Decompose all bins; the anchor is the reference, weights ``lead (frequency, driver)``, at the level ``d`` at
        the near ear ``g``."""
        own = np.einsum("fd,fd->f", g, lead)
        w0 = lead * (d / np.where(np.abs(own) > 0.0, own, np.inf))[:, None]
        return cls.around(g, R, cost, d, w0)

    @classmethod
    def around(cls, g: Complex, R: Complex, cost: Cost, d: Complex, w0: Complex) -> Anchored:
        """The same with weights ``w0 (frequency, driver)`` as the anchor."""
        path = MultiplierSweep.of(g, R, cost, d)
        return cls(path, np.einsum("fji,fjk,fk->fi", path.basis.conj(), matrix(cost), w0))

    @property
    def bins(self) -> int:
        """Number of frequencies."""
        return self.path.bins

    def at(self, rows: Rows) -> Anchored:
        """The solutions of some frequencies."""
        return Anchored(self.path.at(rows), self.start[rows])

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


def beam(
    regions: beamform.Regions,
    f: Float,
    cost: Float,
    design: BeamDesign,
    wanted: Complex,
    front: handover.Fronts | None = None,
) -> beamform.Beam:
    """The centre's beam in relative form: the front drivers unchanged as far as the quiet directions allow.

    Nothing holds the lobe flat but the drivers in front, which have none of the ripple that neighbours leave. The
    contrast is that of the axis over what shall be quiet.

    Parameters
    ----------
    regions
        Of :func:`beamform.ring`.
    cost
        Driver cost ``(frequency, driver)``.
    wanted
        Response where the beam points ``(frequency,)``.
    front
        As :func:`beamform.solve` has it.
    """
    w0 = handover.alone(regions.ahead, wanted, f, design, front, regions.bands)
    line = Anchored.around(regions.ahead, regions.off, cost, wanted, w0)
    limit = np.maximum(beamform.allowed(regions.ahead, wanted, design), np.sum(cost * np.abs(w0) ** 2, axis=1))
    effort = limit / np.maximum(np.abs(wanted) ** 2, 1e-300)
    found = multiplier.steer(line, target_power(design.target_db, f), effort)
    return beamform.completed(found.w, regions, f, cost, design, wanted, front=front)
