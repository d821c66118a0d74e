"""Short filters by least squares, weighted with the cost of an error, instead of by a window.

With wanted weights ``w_f (driver)`` and taps ``q (driver, tap)`` whose response is ``F_f q``, minimise ::

    sum_f b_f (w_f - F_f q)^H A_f (w_f - F_f q),   A_f = (Q + mu_f R_f) / n_f + kappa g_f* g_f^T / |d_f|^2

``Q + mu R`` is the Hessian of the per-bin design, so that errors go where they cost neither leakage nor effort; ``n_f``
is its value at ``w_f``, which makes the measure relative; ``kappa`` weighs ripple at the near ear, and ``b_f = 1/f``
weights every octave equally. Where the wanted response has a notch, ``|d|`` is its third octave's level: ripple at
the bottom of a notch is inaudible. The normal equations are block-Toeplitz: conjugate gradients need two transforms a
driver and step (M. R. Hestenes and E. Stiefel, J. Res. NBS 49, 409, 1952; R. H. Chan and M. K. Ng, SIAM Review 38, 427,
1996).
"""

from __future__ import annotations

import numpy as np

from sweetspot.calibrate.design import FilterDesign
from sweetspot.calibrate.filters.fir import causal
from sweetspot.calibrate.filters.sides import Cost, Problem, Sides, crossover, matrix, mean_over
from sweetspot.calibrate.filters.systems import descended
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Complex, Float

STEPS = 80
RIPPLE = 10.0
"""``kappa``: weight of a relative error at the near ear re the same share of the design's cost."""

STOP, STOPPED = 3.0, 1e-3
"""Weight of an error below a driver's band re the largest within it; gain of its filter that marks the edge."""

LOWEST_HZ = 60.0
"""Beneath it all bins weigh the same."""

ENOUGH = 1e-6
"""The residual over that of the start at which the iteration ends."""


def side(both: Sides, which: int, W: Complex, f: Float, cost: Cost, wish: FilterDesign) -> Float:
    """Filters ``(driver, tap)`` of one side's wanted weights ``W (frequency, driver)``, already harmless outside.

    ``W`` may carry the virtual stereo and a delay: an error in it costs what it would cost in the bare design.
    """
    return fitted(W, side_weighing(both, which, f, cost, wish), wish.taps, wish.delay)


def side_weighing(
    both: Sides, which: int, f: Float, cost: Cost, wish: FilterDesign, *, slopes: Float | None = None
) -> Complex:
    """What an error of one side's weights costs ``(frequency, driver, driver)``, see :func:`side`."""
    A = hessian(both.problems[which], cost, both.mu[which], both.w[which], f)
    return stopped(confined(eased(A, slopes), f, *wish.band_hz), slopes)


def beam_weighing(weighing: Complex, f: Float, wish: FilterDesign, slopes: Float | None = None) -> Complex:
    """What an error of a beam's weights costs with every octave alike ``(frequency, driver, driver)``.

    ``weighing`` is that of :class:`sweetspot.calibrate.filters.beam.beamform.Beam`.
    """
    A = weighing / np.maximum(f, LOWEST_HZ)[:, None, None]
    return stopped(confined(eased(A, slopes), f, *wish.band_hz), slopes)


def stopped(A: Complex, slopes: Float | None) -> Complex:
    """Weighting matrices with :data:`STOP` times the weight where a driver must not be driven.

    Parameters
    ----------
    slopes
        Gain ``(driver, frequency)`` of the drivers' protection filters; ``None`` for none.
    """
    if slopes is None or not np.any(slopes < STOPPED):
        return A
    out = A.copy()
    level = np.trace(A, axis1=1, axis2=2).real / A.shape[1]
    for driver, slope in enumerate(slopes):
        where = slope < STOPPED
        out[where, driver, driver] += STOP * np.max(level[~where], initial=0.0)
    return out


def eased(A: Complex, slopes: Float | None) -> Complex:
    """Weighting matrices in which no driver weighs more below its band than within it, where others play there.

    Designs keep a tweeter still where a woofer plays by a cost of up to 1e12; at such contrasts the iteration would end
    long before the woofer's part is met.
    """
    crossed = [] if slopes is None else crossover.crossed(slopes)
    if slopes is None or not crossed:
        return A
    A = A.copy()
    for driver in crossed:
        out = slopes[driver] < 0.5
        own = A[:, driver, driver].real
        most = STOP * np.max(own[~out], initial=0.0)
        share = np.where(out & (own > most), np.sqrt(most / np.maximum(own, 1e-300)), 1.0)
        A[:, driver, :] *= share[:, None]
        A[:, :, driver] *= share[:, None]
    return A


def hessian(asked: Problem, cost: Cost, mu: Float, w: Complex, f: Float) -> Complex:
    """The weighting matrices ``b_f A_f (frequency, driver, driver)``.

    Parameters
    ----------
    asked
        The requested response of the side.
    cost
        ``(frequency, driver)``, or a matrix ``(frequency, driver, driver)``.
    mu
        The multipliers that were used ``(frequency,)``, in units of one over the mean eigenvalue of ``Q^-1 R``.
    w
        The side's weights ``(frequency, driver)``.
    f
        Frequencies, Hz.
    """
    scale = np.maximum(mean_over(asked.covariance, cost), 1e-300)
    A = (mu / scale)[:, None, None] * asked.covariance + matrix(cost)
    spent = np.einsum("fm,fmn,fn->f", w.conj(), A, w).real
    A /= np.maximum(spent, 1e-30)[:, None, None]
    return np.asarray(A / np.maximum(f, LOWEST_HZ)[:, None, None] + kept(asked.near, asked.wanted, f))


def kept(near: Complex, wanted: Complex, f: Float) -> Complex:
    """Cost of ripple at a near ear ``(frequency, driver, driver)``; its responses are ``(frequency, driver)``."""
    level = np.sqrt(np.maximum(np.abs(wanted) ** 2, smoothed(np.abs(wanted) ** 2, f)))
    g = near / np.maximum(level, 1e-30)[:, None]
    return np.asarray(RIPPLE * g.conj()[:, :, None] * g[:, None, :] / np.maximum(f, LOWEST_HZ)[:, None, None])


def confined(A: Complex, f: Float, low: float, high: float) -> Complex:
    """Weighting matrices that fade outside ``low..high`` Hz, where there is no measurement."""
    inside = (f >= low) & (f <= high)
    first, last = np.flatnonzero(inside)[[0, -1]]
    out = A.copy()
    drivers = A.shape[1]
    for part, edge in ((np.arange(first), first), (np.arange(last + 1, len(f)), last)):
        level = np.trace(A[edge]).real / drivers
        out[part] = 0.3 * level * np.eye(drivers)
    return out


def fitted(W: Complex, A: Complex, taps: int, delay: int) -> Float:
    """FIR filters ``(..., driver, tap)`` of weights; several programs at once take two thirds of the time.

    Parameters
    ----------
    W
        Wanted weights ``(..., frequency, driver)`` on the grid of a real transform at least four times as long as
        ``taps``.
    A
        Weighting matrices ``(..., frequency, driver, driver)``, Hermitian and positive.
    taps, delay
        Length and modelling delay, samples.
    """
    bins = W.shape[-2]
    n = 2 * (bins - 1)
    w = np.swapaxes(W, -1, -2)
    later = w * np.exp(-2j * np.pi * np.arange(bins) * delay / n)
    At = np.ascontiguousarray(np.moveaxis(A, -3, -1))
    scale = 1.0 / np.sqrt(np.mean(np.einsum("...mmf->...mf", At).real, axis=-1, keepdims=True))
    wanted = scale * fft.irfft(np.einsum("...mnf,...nf->...mf", At, later), n, axis=-1)[..., :taps]
    short = 1 << (2 * taps - 1).bit_length()  # holds every lag between taps, and takes half the time or less
    At *= scale[..., None] * scale[..., None, :, :]
    lags, room = fft.irfft(At, n, axis=-1), np.zeros((*At.shape[:-1], short - 2 * taps + 1))
    operator = fft.rfft(np.concatenate([lags[..., :taps], room, lags[..., n - taps + 1 :]], axis=-1), axis=-1)
    start = causal(w, taps, delay) / scale
    given, first = (x.reshape(-1, *x.shape[-2:]) for x in (wanted, start))
    q = descended(operator.reshape(-1, *operator.shape[-3:]), given, first, STEPS, ENOUGH)
    return np.asarray(scale * q.reshape(start.shape))
