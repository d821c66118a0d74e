"""Estimation of all other paths from a unit's fixed microphones: components by ridge regression, the rest by proximity.

``y = Psi a + c + s + e`` at the microphones. Given ``a``, frequencies are independent with covariance
``B = C + V R + noise``; ``a`` has the precision ``A = 1 + sum_f Psi^T B^-1 Psi``. Level and phase are two observations
with the same variances. The posterior of a path ``p`` has mean ``Phi a + k B^-1 (y - Psi a)`` and variance
``C + V - k B^-1 k + G A^-1 G`` with ``G = Phi - k B^-1 Psi``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.calibrate.quick.model import Leftover, alike
from sweetspot.rigs.units import Complex, Float

LEAST = 1e-8
"""Smallest variance, for numerical stability: 0.001 dB."""

UNPLAYED = 1e6
"""Variance of a ratio at a frequency that a driver does not play: no information."""


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Posterior of one driver.

    Parameters
    ----------
    mean
        Log ratio ``(path, frequency)`` to the mean unit.
    variance
        Of its level and of its phase, ``(path, frequency)``.
    distance
        Squared Mahalanobis distance of the observation from the mean unit, over its degrees of freedom.
    left
        What the model does not explain of the observation ``(mic, frequency)``, in standard deviations.
    """

    mean: Complex
    variance: Float
    distance: float
    left: Float


def estimated(
    y: Complex, noise: Float, components: Complex, seen: slice, directions: Float, rest: Leftover
) -> Posterior:
    """All paths of one driver from its observation.

    Parameters
    ----------
    y, noise
        Log ratios ``(mic, frequency)`` at the fixed microphones, and the variance that noise gives them.
    components
        ``(component, path, frequency)``.
    seen
        The fixed microphones among the paths.
    directions
        Of all paths, ``(path, 3)``.
    rest
        What components leave.
    """
    near = alike(directions, directions[seen])
    count, observed = components.shape[0], near[seen]
    B = rest.common[:, None, None] + rest.local[:, None, None] * observed
    B = B + np.einsum("mf,mn->fmn", noise + LEAST, np.eye(len(noise)))
    inverse = np.linalg.inv(B)
    k = rest.common[:, None, None] + rest.local[:, None, None] * near
    psi, phi = np.moveaxis(components[:, seen], 2, 0), np.moveaxis(components, 2, 0)  # (f, k, m), (f, k, p)
    weighted = np.einsum("fkm,fmn->fkn", psi, inverse)
    A = np.eye(count) + np.einsum("fkm,flm->kl", weighted, psi.conj()).real
    b = np.einsum("fkm,mf->k", weighted.conj(), y).real
    a = np.linalg.solve(A, b)
    apart = np.moveaxis(y, 1, 0) - np.einsum("k,fkm->fm", a, psi)
    gain = np.einsum("fpm,fmn->fpn", k, inverse)
    mean = np.einsum("k,fkp->pf", a, phi) + np.einsum("fpm,fm->pf", gain, apart)
    G = phi - np.einsum("fpm,fkm->fkp", gain, psi)
    fixed = (rest.common + rest.local)[:, None] - np.einsum("fpm,fpm->fp", gain, k)
    by_a = 0.5 * np.einsum("fkp,kl,flp->fp", G, np.linalg.inv(A), G.conj(), optimize=True).real if count else 0.0
    explained = float(b @ a)
    alone = np.einsum("mf,fmn,nf->", y.conj(), inverse, y, optimize=True).real
    own = np.sqrt(np.maximum(np.moveaxis(np.diagonal(B, axis1=1, axis2=2), 1, 0), LEAST))
    distance = float(alone - explained) / (2.0 * max(int(np.sum(noise < UNPLAYED)), 1))
    return Posterior(mean, np.maximum(fixed + by_a, LEAST).T, distance, np.abs(np.moveaxis(apart, 1, 0)) / own)
