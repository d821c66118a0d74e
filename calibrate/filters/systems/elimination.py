"""Solutions of one small Hermitian system a frequency along a multiplier, by elimination of many frequencies at once.

Matrices are packed: their lower triangle, row after row, real parts and imaginary parts apart, frequencies last. Loops
over frequencies are then vector code that stays in the first-level cache: a quarter of the time of NumPy's steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.compiled import loop
from sweetspot.rigs.units import Complex, Float

PIECE = 64
"""Frequencies that are solved at a time, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """The solutions ``w(m) = (B + m S)^-1 r`` of all frequencies, and two powers of each.

    Parameters
    ----------
    B, S
        Hermitian, positive and not negative, ``(2, pair, frequency)``, see :func:`packed`.
    r
        ``(2, driver, frequency)``, real and imaginary parts.
    other
        The matrix of the first power, packed.
    """

    B: Float
    S: Float
    r: Float
    other: Float

    def __post_init__(self) -> None:
        for name in ("B", "S", "r", "other"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name)))

    def at(self, rows: NDArray[np.intp]) -> Line:
        """The systems of some frequencies."""
        return Line(self.B[..., rows], self.S[..., rows], self.r[..., rows], self.other[..., rows])

    def solved(self, m: Float) -> tuple[Complex, Float]:
        """``w (driver, frequency)`` at ``m (frequency,)``, and ``w^H O w`` of the other matrix and ``w^H S w``
        ``(2, frequency)``."""
        parts, drivers, count = self.r.shape
        pairs = self.B.shape[1]
        w, powers = np.empty(self.r.shape), np.empty((2, count))
        scratch = (np.empty((parts, pairs, PIECE)), np.empty((parts, drivers, PIECE)), np.empty((drivers + 2, PIECE)))
        loop(along)(np.ascontiguousarray(m), (self.B, self.S, self.r, self.other), scratch, w, powers)
        return w[0] + 1j * w[1], powers


def packed(R: Complex) -> Float:
    """Hermitian matrices ``(frequency, driver, driver)`` as ``(2, pair, frequency)``."""
    i, j = np.tril_indices(R.shape[1])
    lower = R[:, i, j].T
    return np.stack([lower.real, lower.imag])


def on_diagonal(own: Float) -> Float:
    """Diagonal matrices with ``own (driver, frequency)``, packed."""
    drivers, count = own.shape
    out = np.zeros((2, drivers * (drivers + 1) // 2, count))
    out[0, np.cumsum(np.arange(1, drivers + 1)) - 1] = own
    return out


def along(m: Any, given: tuple[Any, Any, Any, Any], scratch: tuple[Any, Any, Any], w: Any, powers: Any) -> None:
    """Solve all systems of a :class:`Line` in pieces."""
    B, S, r, other = given
    A, x, inverse = scratch
    drivers = r.shape[1]
    for first in range(0, m.size, PIECE):
        n = min(PIECE, m.size - first)
        some = m[first:]
        for part in range(2):
            for p in range(B.shape[1]):
                a, b, s = A[part, p], B[part, p][first:], S[part, p][first:]
                for f in range(n):
                    a[f] = b[f] + some[f] * s[f]
            for i in range(drivers):
                a, b = x[part, i], r[part, i][first:]
                for f in range(n):
                    a[f] = b[f]
        eliminate(A, x, inverse, n)
        power(other, x, powers[0], first, n)
        power(S, x, powers[1], first, n)
        for part in range(2):
            for i in range(drivers):
                a, b = w[part, i][first:], x[part, i]
                for f in range(n):
                    a[f] = b[f]


def eliminate(A: Any, x: Any, inverse: Any, n: int) -> None:
    """``A^-1 x`` in the place of ``x`` by ``A = L D L^H``, of the first ``n`` frequencies of a piece."""
    drivers = x.shape[1]
    sr, si = inverse[drivers], inverse[drivers + 1]
    for k in range(drivers):
        pivot, over, xr, xi = A[0, k * (k + 1) // 2 + k], inverse[k], x[0, k], x[1, k]
        for f in range(n):
            over[f] = 1.0 / pivot[f]
        for i in range(drivers - 1, k, -1):  # the rows above still hold their own column as it was
            row = i * (i + 1) // 2
            ar, ai, yr, yi = A[0, row + k], A[1, row + k], x[0, i], x[1, i]
            for f in range(n):
                sr[f], si[f] = ar[f] * over[f], ai[f] * over[f]
                yr[f] -= sr[f] * xr[f] - si[f] * xi[f]
                yi[f] -= sr[f] * xi[f] + si[f] * xr[f]
            for j in range(k + 1, i + 1):
                column = j * (j + 1) // 2 + k
                br, bi, cr, ci = A[0, column], A[1, column], A[0, row + j], A[1, row + j]
                for f in range(n):
                    cr[f] -= sr[f] * br[f] + si[f] * bi[f]
                    ci[f] -= si[f] * br[f] - sr[f] * bi[f]
            for f in range(n):
                ar[f], ai[f] = sr[f], si[f]
    for k in range(drivers):
        over, xr, xi = inverse[k], x[0, k], x[1, k]
        for f in range(n):
            xr[f] *= over[f]
            xi[f] *= over[f]
    for k in range(drivers - 1, 0, -1):
        row, xr, xi = k * (k + 1) // 2, x[0, k], x[1, k]
        for i in range(k):
            ar, ai, yr, yi = A[0, row + i], A[1, row + i], x[0, i], x[1, i]
            for f in range(n):
                yr[f] -= ar[f] * xr[f] + ai[f] * xi[f]
                yi[f] -= ar[f] * xi[f] - ai[f] * xr[f]


def power(R: Any, x: Any, out: Any, first: int, n: int) -> None:
    """``x^H R x`` of a piece's ``n`` frequencies from ``first`` on."""
    total = out[first:]
    for f in range(n):
        total[f] = 0.0
    for i in range(x.shape[1]):
        yr, yi = x[0, i], x[1, i]
        for j in range(i + 1):
            p, twice = i * (i + 1) // 2 + j, 1.0 if i == j else 2.0
            rr, ri, zr, zi = R[0, p][first:], R[1, p][first:], x[0, j], x[1, j]
            for f in range(n):
                total[f] += twice * (rr[f] * (yr[f] * zr[f] + yi[f] * zi[f]) - ri[f] * (yr[f] * zi[f] - yi[f] * zr[f]))
