"""Beams of measured rings, and the highest contrast that any beam reaches: what designs are compared with."""

from __future__ import annotations

import numpy as np

from sweetspot.calibrate.design import BeamDesign
from sweetspot.calibrate.filters.beam.beamform import Beam, Regions, ring, solve
from sweetspot.rigs.units import Complex, Float


def beam_bound(regions: Regions) -> Float:
    """Highest contrast ``(frequency,)`` that any weights reach between the lobe's power and the quiet one's.

    The largest generalised eigenvalue of the two, with no regard to effort, flatness or errors.
    """
    R_on = np.einsum("fmi,fni,i->fmn", regions.lobe.conj(), regions.lobe, regions.weight)
    tiny = 1e-12 * np.trace(regions.off, axis1=1, axis2=2).real[:, None, None] * np.eye(R_on.shape[1])
    back = np.linalg.inv(np.linalg.cholesky(regions.off + tiny))
    return np.asarray(np.linalg.eigvalsh(back @ R_on @ np.conj(np.swapaxes(back, 1, 2)))[:, -1])


def steered(h: Complex, azimuths: Float, f: Float, cost: Float, design: BeamDesign, reference: Complex) -> Beam:
    """The beam of responses ``h (driver, direction, frequency)`` as they were measured on a ring."""
    return solve(ring(h, azimuths, design), f, cost, design, reference)
