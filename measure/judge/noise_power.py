"""Quantiles of the mean power of noise over independent cells, a gamma variate, without the start of SciPy (0.15 s)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sweetspot.rigs.units import Float

ROUNDS = 12
"""Steps of Newton's method; six reach single rounding errors from the normal variate's cube."""

LEAST = 1e-300
"""Stands for zero in a continued fraction."""

MOST_TERMS = 10_000
"""Of a continued fraction; some hundred are needed."""


def lower_quantile(cells: Float, share: float) -> Float:
    """The mean ``x (...)``, re its expectation, below which this share of all means lies: ``P(n, n x) = share``.

    Parameters
    ----------
    cells
        Number ``n`` of independent cells in each mean, at least 1; need not be whole.
    share
        Up to a half.
    """
    return _solved(cells, share, lambda x, density: (share - _lower(cells, x, density)) / density)


def upper_quantile(cells: Float, chance: float) -> Float:
    """The mean ``x (...)``, re its expectation, that noise passes with this small chance: ``Q(n, n x) = chance``.

    By the logarithm of ``Q``, which is close to a line there. Parameters as in :func:`lower_quantile`.
    """

    def step(x: Float, density: Float) -> Float:
        upper = _upper(cells, x, density)
        return np.asarray(np.log(upper / chance) * upper / density)

    return _solved(cells, 1.0 - chance, step)


def _solved(cells: Float, share: float, step: Callable[[Float, Float], Float]) -> Float:
    """The mean at which the steps end, from Wilson and Hilferty's approximation on (1931)."""
    normal = _normal_quantile(share)
    x = cells * np.maximum(1.0 - 1.0 / (9.0 * cells) + normal / (3.0 * np.sqrt(cells)), 0.1) ** 3
    log_gamma = np.array([math.lgamma(n) for n in np.ravel(cells)]).reshape(np.shape(cells))
    for _ in range(ROUNDS):
        density = np.exp((cells - 1.0) * np.log(x) - x - log_gamma)
        x = np.maximum(x + step(x, density), 0.1 * x)
    return np.asarray(x / cells)


def _lower(cells: Float, x: Float, density: Float) -> Float:
    """``P(n, x)`` by its series (Abramowitz and Stegun 6.5.29), all of whose terms are positive."""
    term = np.ones_like(x)
    total, n = term.copy(), np.array(cells, dtype=float)
    while np.any(term > np.finfo(float).eps * total):
        n += 1.0
        term = term * x / n
        total += term
    return np.asarray(density * x / cells * total)


def _upper(cells: Float, x: Float, density: Float) -> Float:
    """``Q(n, x)`` for ``x`` above ``n`` by its continued fraction (Abramowitz and Stegun 6.5.31, even part)."""
    b = x + 1.0 - cells
    c, d = np.full_like(x, 1.0 / LEAST), 1.0 / b
    found = d.copy()
    for i in range(1, MOST_TERMS):
        a, b = -i * (i - cells), b + 2.0
        d = 1.0 / np.where(a * d + b == 0.0, LEAST, a * d + b)
        c = np.where(b + a / c == 0.0, LEAST, b + a / c)
        found *= c * d
        if np.all(np.abs(c * d - 1.0) < 4.0 * np.finfo(float).eps):
            break
    return np.asarray(density * x * found)


def _normal_quantile(share: float) -> float:
    """Quantile of a normal variate, to 5e-4 (Abramowitz and Stegun 26.2.23)."""
    t = math.sqrt(-2.0 * math.log(min(share, 1.0 - share)))
    above = (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    return math.copysign(t - above, share - 0.5)
