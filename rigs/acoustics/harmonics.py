"""Real spherical harmonics, and the fit of them to a response measured in scattered directions."""

from __future__ import annotations

import numpy as np

from sweetspot.rigs.units import Float


def harmonics(directions: Float, order: int) -> Float:
    """Real orthonormal spherical harmonics ``(direction, (order + 1)^2)``, term ``n^2 + n + m`` in its column.

    ``directions (direction, 3)`` are unit vectors. The associated Legendre functions are built upward in the degree
    from their diagonal, which is stable (Press et al., Numerical Recipes, 3rd ed., sec. 6.7).
    """
    x, y, z = directions.T
    around = np.arctan2(y, x)
    flat = np.hypot(x, y)
    out = np.empty((len(directions), (order + 1) ** 2))
    diagonal = np.full(len(directions), np.sqrt(0.25 / np.pi))
    for m in range(order + 1):
        before, now = np.zeros_like(z), diagonal
        c, s = (np.sqrt(2.0) * np.cos(m * around), np.sqrt(2.0) * np.sin(m * around)) if m else (1.0, 0.0)
        for n in range(m, order + 1):
            out[:, n * n + n + m] = now * c
            if m:
                out[:, n * n + n - m] = now * s
            top = (n + 1.0) ** 2 - m * m
            rise = np.sqrt((2 * n + 1.0) * (2 * n + 3.0) / top)
            fall = np.sqrt((2 * n + 3.0) * (n * n - m * m) / ((2 * n - 1.0) * top)) if n > m else 0.0
            before, now = now, rise * z * now - fall * before
        diagonal = diagonal * flat * np.sqrt((2 * m + 3.0) / (2 * m + 2.0))
    return out


def fitting(directions: Float, order: int, smoothing: float) -> Float:
    """The matrix ``((order + 1)^2, direction)`` that turns values at directions into coefficients.

    Least squares, each term weighed down by ``smoothing`` times its ``n (n + 1)``, so that the fit stays calm where
    nothing was measured (R. Duraiswami et al., ICASSP 2004).
    """
    basis = harmonics(directions, order)
    n = np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)
    ridge = smoothing * len(directions) / (4.0 * np.pi) * (n * (n + 1.0))
    return np.asarray(np.linalg.solve(basis.T @ basis + np.diag(ridge), basis.T))
