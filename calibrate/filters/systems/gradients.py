"""Conjugate gradients for several block-Toeplitz systems at once, applied by transforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from sweetspot.processor.compiled import loop
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Complex, Float

PIECE = 64
"""Frequencies of a product at a time, at most: they stay in the first-level cache."""


def descended(operator: Complex, wanted: Float, start: Float, steps: int, enough: float) -> Float:
    """Filters ``(program, driver, tap)`` near the solution of each program's system, by at most ``steps`` steps.

    Parameters
    ----------
    operator
        Transforms of the systems' lags ``(program, driver, driver, frequency)``, Hermitian and positive, of a length of
        at least ``2 taps - 1``; their lower triangle is read.
    wanted, start
        Right-hand sides and first filters ``(program, driver, tap)``.
    enough
        Residual over that of the start at which a program's iteration ends.
    """
    programs, drivers, taps = wanted.shape
    size = 2 * (operator.shape[-1] - 1)
    i, j = np.tril_indices(drivers)
    lower = operator[:, i, j]
    rows = np.ascontiguousarray(np.stack([lower.real, lower.imag], axis=1))
    there = np.empty((programs, drivers, operator.shape[-1]), dtype=np.complex128)
    scratch = np.empty((4, drivers, PIECE))

    def applied(x: Float) -> Float:
        spectrum = fft.rfft(x, axis=-1)
        loop(product)(rows, spectrum.view(np.float64), there.view(np.float64), scratch)
        return np.asarray(fft.irfft(there, size, axis=-1))

    q, p = np.array(start, order="C"), np.zeros((programs, drivers, size))
    direction = p[..., :taps]
    direction[:] = start
    r = wanted - applied(p)[..., :taps]
    direction[:] = r
    power = _products(r, r)
    least = enough**2 * np.maximum(power, 1e-300)
    for _ in range(steps):
        going = power > least
        if not going.any():
            break
        image = applied(p)[..., :taps]
        step = np.where(going, power / np.maximum(_products(direction, image), 1e-300), 0.0)[:, None, None]
        q += step * direction
        r -= step * image
        before, power = power, np.where(going, _products(r, r), power)
        direction *= (power / np.maximum(before, 1e-300))[:, None, None]
        direction += r
    return q


def _products(a: Float, b: Float) -> Float:
    """Inner products over drivers and taps ``(program,)``."""
    return np.asarray(np.vecdot(a, b).sum(axis=-1))


def product(rows: Any, x: Any, y: Any, scratch: Any) -> None:
    """``y = R x`` at each frequency: spectra with real and imaginary parts in turn, ``R`` as lower triangles
    ``(program, 2, pair, frequency)``."""
    xr, xi, yr, yi = scratch[0], scratch[1], scratch[2], scratch[3]
    drivers = x.shape[1]
    for program in range(x.shape[0]):
        for first in range(0, rows.shape[3], PIECE):
            n = min(PIECE, rows.shape[3] - first)
            for i in range(drivers):
                given, ar, ai, br, bi = x[program, i][2 * first :], xr[i], xi[i], yr[i], yi[i]
                for f in range(n):
                    ar[f], ai[f], br[f], bi[f] = given[2 * f], given[2 * f + 1], 0.0, 0.0
            for i in range(drivers):
                ar, ai, br, bi = xr[i], xi[i], yr[i], yi[i]
                for j in range(i + 1):
                    p = i * (i + 1) // 2 + j
                    real, imag = rows[program, 0, p][first:], rows[program, 1, p][first:]
                    cr, ci, dr, di = xr[j], xi[j], yr[j], yi[j]
                    for f in range(n):
                        br[f] += real[f] * cr[f] - imag[f] * ci[f]
                        bi[f] += real[f] * ci[f] + imag[f] * cr[f]
                    for f in range(n if j < i else 0):  # above the diagonal
                        dr[f] += real[f] * ar[f] + imag[f] * ai[f]
                        di[f] += real[f] * ai[f] - imag[f] * ar[f]
            for i in range(drivers):
                made, br, bi = y[program, i][2 * first :], yr[i], yi[i]
                for f in range(n):
                    made[2 * f], made[2 * f + 1] = br[f], bi[f]
