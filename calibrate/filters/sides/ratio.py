"""The constant-ratio design: maximum power in one zone per effort, at a given power ratio to another zone.

For covariances ``I`` of the bright and ``C`` of the dark zone, a cost ``Q`` and a target ``T``, every frequency alone::

    maximise w^H I w / w^H Q w   subject to   w^H I w = T w^H C w   (or >= T, where it is met without any steering)

No place is named at which the response must be kept, which makes it the design from zone to zone. Stationary weights
are the top eigenvector of ``Q^-1 (I + v (I - T C))``; the derivative of that eigenvalue by ``v`` is the constraint's
residual, which therefore never falls with ``v`` (the eigenvalue is convex in it), so that ``v`` is bracketed and found
for all bins at once. Re-derived after the maximum-efficiency constant-directivity design of Y. Luo (Constant
directivity loudspeaker beamforming, 2024), whose quadratically constrained problem has the same secular equation.

Near the largest ratio that any weights reach, effort runs away for a null that errors fill again: the target is held
below :data:`SHARE` of it. The phase, free in each bin, is set at the bright zone's first place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.filters.sides.effort import Cost, whitening
from sweetspot.rigs.arrays import bisected
from sweetspot.rigs.units import Complex, Float

SHARE = 0.8
"""Of the largest reachable ratio: no target is followed beyond."""

RANGE = (1e-5, 1e7)
"""Search range of the multiplier."""

STEPS = 40
CLOSE = 1e-6
"""Relative error of the ratio, or of the effort, at which a bin is found."""

LARGEST_LIFT = 2.0
"""Largest excess of the bright zone's mean level over the target if its first place is weak."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A design of all bins.

    Parameters
    ----------
    w
        Weights ``(frequency, driver)`` of unit cost, ``w^H Q w = 1``; their phase means nothing.
    multiplier
        ``v (frequency,)``; 0 where the least effort meets the target.
    value
        The eigenvalue ``(frequency,)``.
    aim
        The ratio that was aimed at ``(frequency,)``: the target, or what of it can be reached.
    limit
        As :class:`multiplier.Cancellation` has it: ``"shadow"``, ``"target"``, ``"effort"``, or ``"spread"``
        where the target was lowered to what can be reached.
    """

    w: Complex
    multiplier: Float
    value: Float
    aim: Float
    limit: NDArray[np.str_]


def covariance(h: Complex) -> Complex:
    """Mean power ``(frequency, driver, driver)`` over places, from responses ``(position, driver, frequency)``."""
    return np.asarray(np.einsum("pmf,pnf->fmn", h.conj(), h) / len(h))


def largest(bright: Complex, dark: Complex) -> tuple[Float, Complex]:
    """The largest power ratio that any weights reach ``(frequency,)``, and those weights ``(frequency, driver)``."""
    back = _whitening(dark)
    values, vectors = np.linalg.eigh(back @ bright @ _adjoint(back))
    return values[:, -1], np.einsum("fji,fj->fi", back.conj(), vectors[:, :, -1])


def steer(bright: Complex, dark: Complex, cost: Cost, target: Float, effort: Float, *, exact: bool = False) -> Found:
    """Weights of all bins.

    Parameters
    ----------
    bright, dark
        Covariances ``(frequency, driver, driver)``, the dark one loaded with the expected error.
    cost
        Driver cost ``(frequency, driver)``, or a matrix ``(frequency, driver, driver)``.
    target
        Wanted power ratio ``(frequency,)``.
    effort
        Largest ``w^H Q w / w^H I w (frequency,)``.
    exact
        Hold the ratio at the target also where the least effort exceeds it (constant directivity).
    """
    back = whitening(cost)
    on, off = (back @ x @ _adjoint(back) for x in (bright, dark))
    reach, _ = largest(on, off)
    aim = np.minimum(target, SHARE * reach)
    at_rest = _Bins(on, off, aim, effort).look(np.zeros(len(aim)))
    low = np.full(len(aim), np.log(RANGE[0]))
    multiplier = _crossing(_Bins(on, off, aim, effort), low, np.full(len(aim), np.log(RANGE[1])))
    met = (at_rest.ratio >= aim) | (at_rest.spent >= effort)
    v = np.where(met, 0.0, np.exp(multiplier))
    if exact:
        loud = at_rest.ratio > aim * (1.0 + CLOSE)
        v[loud] = _lowered(_Bins(on, off, aim, effort).only(np.flatnonzero(loud)))
    there = _Bins(on, off, aim, effort).look(v)
    limit = np.where(
        there.ratio < aim * (1.0 - 1e-3), "effort", np.where(aim < target * (1 - 1e-9), "spread", "target")
    )
    limit = np.where((v == 0.0) & (at_rest.ratio >= aim), "shadow", limit)
    return Found(np.einsum("fji,fj->fi", back.conj(), there.x), v, there.value, aim, limit)


def shaped(bright: Complex, dark: Complex, cost: Cost, aim: Float, v: Float) -> tuple[Complex, Float]:
    """Weights ``(frequency, driver)`` and eigenvalues for multipliers chosen beforehand, for example smoothed ones."""
    back = whitening(cost)
    there = _Bins(back @ bright @ _adjoint(back), back @ dark @ _adjoint(back), aim, aim).look(v)
    return np.einsum("fji,fj->fi", back.conj(), there.x), there.value


def anchored(w: Complex, first: Complex, bright: Complex, wanted: Complex) -> Complex:
    """Weights with the phase, and if possible the level, of ``wanted (frequency,)`` at one place.

    Parameters
    ----------
    w
        ``(frequency, driver)``.
    first
        Responses at that place ``(frequency, driver)``.
    bright
        Covariance of the bright zone: where the level at the place is far below that in the zone, the zone's mean
        level is held instead, at most :data:`LARGEST_LIFT` above the wanted one.
    """
    heard = np.einsum("fd,fd->f", first, w)
    mean = np.sqrt(np.maximum(np.einsum("fm,fmn,fn->f", w.conj(), bright, w).real, 1e-300))
    level = np.maximum(np.abs(heard), mean / LARGEST_LIFT)
    turned = wanted * heard.conj() / np.maximum(np.abs(heard), 1e-300)
    return np.asarray(w * (turned / level)[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Results of weights at some multipliers ``(frequency,)``: ratio, effort, eigenvalue and whitened weights."""

    ratio: Float
    spent: Float
    value: Float
    x: Complex


@dataclass(frozen=True, slots=True, eq=False)
class _Bins:
    """Whitened covariances ``(frequency, driver, driver)``, targets and effort limits of some bins."""

    on: Complex
    off: Complex
    aim: Float
    effort: Float

    def only(self, rows: NDArray[np.intp]) -> _Bins:
        return _Bins(self.on[rows], self.off[rows], self.aim[rows], self.effort[rows])

    def look(self, v: Float) -> _Seen:
        """The top eigenvector at multipliers ``v (frequency,)``."""
        held = self.on + v[:, None, None] * (self.on - self.aim[:, None, None] * self.off)
        values, vectors = np.linalg.eigh(held)
        x = vectors[:, :, -1]
        near = np.einsum("fm,fmn,fn->f", x.conj(), self.on, x).real
        far = np.einsum("fm,fmn,fn->f", x.conj(), self.off, x).real
        near, far = np.maximum(near, 1e-300), np.maximum(far, 1e-300)
        return _Seen(near / far, 1.0 / near, values[:, -1], x)

    def excess(self, v: Float) -> Float:
        """Above 0 once the target is met or the effort spent, ``(frequency,)``: never falls with ``v``."""
        seen = self.look(v)
        return np.asarray(np.maximum(np.log(seen.ratio / self.aim), np.log(seen.spent / self.effort)))


def _crossing(bins: _Bins, low: Float, high: Float) -> Float:
    """Where each bin's excess crosses 0, over ``log v``: false position that halves a side which stays (Illinois)."""
    f_low, f_high = bins.excess(np.exp(low)), bins.excess(np.exp(high))
    out, last = high.copy(), np.zeros(len(low), dtype=int)
    out[f_low >= 0] = low[f_low >= 0]
    open_ = np.flatnonzero((f_low < 0) & (f_high > 0))
    for step in range(STEPS):
        if not len(open_):
            break
        a, b, fa, fb = low[open_], high[open_], f_low[open_], f_high[open_]
        share = np.clip(fa / (fa - fb), 0.02, 0.98) if step % 3 else np.full(len(a), 0.5)
        middle = a + share * (b - a)
        f = bins.only(open_).excess(np.exp(middle))
        below, side = f < 0, np.where(f < 0, -1, 1)
        again = side == last[open_]
        f_high[open_] = np.where(below, np.where(again, 0.5 * fb, fb), f)
        f_low[open_] = np.where(below, f, np.where(again, 0.5 * fa, fa))
        low[open_], high[open_] = np.where(below, middle, a), np.where(below, b, middle)
        last[open_], out[open_] = side, middle
        open_ = open_[(np.abs(f) > CLOSE) & (high[open_] - low[open_] > 1e-9)]
    return out


def _lowered(bins: _Bins) -> Float:
    """Multipliers below 0 that bring the ratio down to the target, by halving over ``log -v``."""
    return -bisected(lambda v: bins.look(-v).ratio <= bins.aim, len(bins.aim), RANGE, STEPS)


def _whitening(R: Complex | Float) -> Complex:
    """``L^-1`` of ``R = L L^H``, the diagonal raised by a trifle so that it exists."""
    n = R.shape[1]
    tiny = 1e-12 * np.trace(R, axis1=1, axis2=2).real / n
    return np.asarray(np.linalg.inv(np.linalg.cholesky(R + np.maximum(tiny, 1e-300)[:, None, None] * np.eye(n))))


def _adjoint(x: Complex) -> Complex:
    return np.conj(np.swapaxes(x, 1, 2))
