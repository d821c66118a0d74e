"""The classical designs for comparison: exact inverse, Kirkeby, Choueiri, contrast maximisation. All of them use the
nominal head only, except contrast maximisation. With ears in the rows of ``C (2, driver)`` and wanted near-ear
responses ``D = diag(d_left, d_right)``, the inverse designs share one form, ::

    W = C^H (C C^H + beta I)^-1 D

with ``beta = 0`` (the exact inverse, of least norm for more than two drivers), ``beta`` a fixed fraction (O. Kirkeby,
P. A. Nelson, H. Hamada and F. Orduna-Bustamante, IEEE Trans. Speech Audio Process. 6, 189, 1998), or just so much at
each frequency that no singular value of the filters exceeds ``Gamma`` (E. Y. Choueiri, "Optimal crosstalk cancellation
for binaural audio with two loudspeakers", 2008).
"""

from __future__ import annotations

import numpy as np

from sweetspot.calibrate.filters.sides import Problem
from sweetspot.calibrate.plant import Plant
from sweetspot.rigs.units import Complex, Float, from_db

KIRKEBY = 0.003
"""Kirkeby's ``beta`` over the mean of the eigenvalues of ``C C^H``, within the band."""

KIRKEBY_BAND = (150.0, 15000.0)
"""Below and above it, Hz, ``beta`` rises with the square of the frequency ratio."""

GAMMA_DB = 7.0
"""Choueiri's example of a gain limit, dB."""


def inverse(C: Complex, d: Complex, beta: Float) -> Complex:
    """Regularised inverse ``(side, frequency, driver)``.

    Parameters
    ----------
    C
        ``(frequency, ear, driver)``.
    d
        Wanted near-ear responses ``(side, frequency)``.
    beta
        ``(frequency,)``, in the unit of ``|C|^2``.
    """
    CH = np.conj(np.swapaxes(C, 1, 2))
    gram = C @ CH + beta[:, None, None] * np.eye(2)
    W = CH @ np.linalg.inv(gram) * d.T[:, None, :]
    return np.asarray(np.moveaxis(W, 2, 0))


def kirkeby_beta(C: Complex, f: Float) -> Float:
    """Fixed fraction of the plant's power, shaped so that frequencies outside the drivers' bands are not boosted."""
    power = np.sum(np.abs(C) ** 2, axis=(1, 2)) / 2.0
    middle = float(np.mean(power[(f > 500.0) & (f < 5000.0)]))
    low, high = KIRKEBY_BAND
    shape = np.maximum(1.0, np.maximum(low / np.maximum(f, 1.0), f / high)) ** 4
    return np.asarray(KIRKEBY * middle * shape)


def choueiri_beta(C: Complex, level: Float, gamma_db: float = GAMMA_DB) -> Float:
    """Least ``beta (frequency,)`` at which no singular value of the filters exceeds ``Gamma``.

    A singular value ``s`` of the plant (over ``level``, the response that counts as gain 1) becomes
    ``s / (s^2 + beta)`` in the filters, so that ``beta = max(0, s / gamma - s^2)`` over both of them. For two points in
    free field with ``C = [[1, g e], [g e, 1]]``, ``e = exp(-j w t)``, that is Choueiri's pair of branches
    ``-(g^2 -+ 2 g cos(w t) + 1) + sqrt(g^2 -+ 2 g cos(w t) + 1) / gamma``.

    Parameters
    ----------
    C
        ``(frequency, ear, driver)``.
    level
        ``(frequency,)``.
    gamma_db
        Limit, dB re what one driver alone needs.
    """
    s = np.linalg.svd(C, compute_uv=False) / level[:, None]
    beta = np.max(s / float(from_db(gamma_db)) - s**2, axis=1)
    return np.asarray(np.maximum(beta, 0.0) * level**2)


def contrast(near: Complex, far: Complex, d: Complex, loading: float = 1e-3) -> Complex:
    """Acoustic contrast maximisation over head positions ``(frequency, driver)`` (J.-W. Choi and Y.-H. Kim, JASA 111,
    1695, 2002): the top generalised eigenvector of near-ear against far-ear covariance.

    The phase, free in each bin, is set by the first position's near ear, and so is the level.

    Parameters
    ----------
    near, far
        Responses ``(position, driver, frequency)``; the nominal position first.
    d
        Wanted near-ear response at the nominal head ``(frequency,)``.
    loading
        On the diagonal of the far-ear covariance, over its mean.
    """
    R_near, R_far = (np.einsum("pmf,pnf->fmn", h.conj(), h) / len(h) for h in (near, far))
    drivers = near.shape[1]
    load = loading * np.einsum("fmm->f", R_far).real / drivers
    root = np.linalg.cholesky(R_far + np.maximum(load, 1e-30)[:, None, None] * np.eye(drivers))
    back = np.linalg.inv(root)
    _, U = np.linalg.eigh(back @ R_near @ np.conj(np.swapaxes(back, 1, 2)))
    w = np.einsum("fji,fj->fi", back.conj(), U[:, :, -1])
    heard = np.einsum("df,fd->f", near[0], w)
    return np.asarray(w * (d / heard)[:, None])


def designs(plant: Plant, nominal: int, asked: tuple[Problem, Problem]) -> dict[str, Complex]:
    """Weights ``(side, frequency, driver)`` of every classical design, by name."""
    C = np.moveaxis(plant.h[nominal], 2, 0)
    d = np.stack([p.wanted for p in asked])
    level = np.sqrt(np.mean(np.abs(d) ** 2, axis=0))
    order = [nominal, *(i for i in range(len(plant.h)) if i != nominal)]
    h = plant.h[order]
    eps = np.maximum(1e-12 * level**2, 1e-30)
    return {
        "exact inverse": inverse(C, d, eps),
        "Kirkeby": inverse(C, d, np.maximum(kirkeby_beta(C, plant.f), eps)),
        "Choueiri": inverse(C, d, np.maximum(choueiri_beta(C, np.maximum(level, 1e-15)), eps)),
        "contrast": np.stack([contrast(h[:, e], h[:, 1 - e], d[e]) for e in (0, 1)]),
    }
