"""Uncertainty of predicted and measured figures: errors of paths carried through filters, powers and ratios.

A response is ``p = sum_d w_d h_d``. Each path has an error of its own: noise, complex Gaussian with variance ``s_d^2``
in each bin, and a part ``r h_d`` that all bins of a band share (drift, a head put back elsewhere, a driver that aged).
With independent drivers the variance of ``p`` is ``s^2 = sum_d |w_d|^2 s_d^2`` and ``r^2 sum_d |w_d h_d|^2``.

For ``|p + e|^2`` with circular complex Gaussian ``e`` the variance is, in closed form, ``2 |p|^2 s^2 + s^4`` (the
second moment of a noncentral chi-square with two degrees of freedom). The mean over a band of ``B`` Hz behind a window
of ``T`` seconds holds ``B T`` independent values of noise, but one of what all bins share. Ratios add relative
variances. Figures of many cells (a mean, a percentile, the worst) are drawn: their spread has no closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant.metrics import at_nulls, near_and_far, unvirtualized
from sweetspot.measure.smooth import THIRD_OCTAVES, band_edges, band_means
from sweetspot.rigs.layout import nearest
from sweetspot.rigs.units import Complex, Float, power_db

DRAWS = 400
SEED = 20260301
"""Same input, same figures."""

NEPER = 10.0 / float(np.log(10.0))
"""dB in one unit of relative power."""

MOST_PUSHED = 0.1
"""Least share of a measured far ear's power that is taken as its own and not the noise's."""

NINETY = 1.6449
"""Standard deviations from the middle to the 5th and to the 95th percentile."""


@dataclass(frozen=True, slots=True, eq=False)
class UncertainResponse:
    """Responses with their uncertainty, all ``(..., frequency)``.

    Parameters
    ----------
    noise
        Variance of the part that differs between bins.
    shared
        Variance of the part that a whole band shares.
    """

    x: Complex
    noise: Float
    shared: Float

    def picked(self, pick: Callable[[Any], Any]) -> UncertainResponse:
        """Some of them, in another order."""
        return UncertainResponse(pick(self.x), pick(self.noise), pick(self.shared))

    def near_and_far(self) -> tuple[UncertainResponse, UncertainResponse]:
        """Of ``(position, ear, side, frequency)`` both sides at the near and at the far ear; see :mod:`metrics`."""
        return self.picked(lambda v: near_and_far(v)[0]), self.picked(lambda v: near_and_far(v)[1])


@dataclass(frozen=True, slots=True, eq=False)
class BandLevels:
    """Levels with their standard uncertainty, dB, all ``(..., band)``.

    Parameters
    ----------
    own
        Uncertainty that each cell has by itself.
    shared
        Uncertainty that a cell has in common with the other bands of its row. From position to position the phase
        between what is left at the far ear and a path's error differs, so that one driver's error, even the same
        everywhere, pushes some places up and others down: drawn on measured units, means over positions scatter as if
        positions were independent.
    pushed
        What the power of noise is expected to have added to ``db``: at a cancelled ear it is no small part.
    """

    db: Float
    own: Float
    shared: Float
    pushed: Float = field(default_factory=lambda: np.zeros(()))

    def picked(self, pick: Callable[[Float], Float]) -> BandLevels:
        """Some of them, in another order."""
        pushed = np.broadcast_to(self.pushed, self.db.shape)
        return BandLevels(pick(self.db), pick(self.own), pick(self.shared), pick(pushed))

    def __sub__(self, other: BandLevels) -> BandLevels:
        """Differences of levels whose errors are independent; noise has pushed them by no more than there is."""
        own, shared = np.hypot(self.own, other.own), np.hypot(self.shared, other.shared)
        db = self.db - other.db
        pushed = np.clip(self.pushed - other.pushed, np.minimum(db, 0.0), np.maximum(db, 0.0))
        return BandLevels(db, own, shared, pushed)

    @property
    def u(self) -> Float:
        """Standard uncertainty of each cell, dB."""
        return np.asarray(np.hypot(self.own, self.shared))


def through(w: Complex, h: Complex, noise: Float, relative: float | Float) -> tuple[Float, Float]:
    """Variances ``(position, ear, program, frequency)`` behind filters.

    Parameters
    ----------
    w
        Filters ``(program, driver, frequency)``.
    h, noise
        Paths and the variance of their noise ``(position, ear, driver, frequency)``.
    relative
        Squared relative error that all bins of a path share, of all paths or of each ``(position, ear, driver,
        frequency)``.
    """
    power = np.abs(w) ** 2
    own = np.einsum("cdf,pedf->pecf", power, noise, optimize=True)
    shared = np.einsum("cdf,pedf->pecf", power, relative * np.abs(h) ** 2, optimize=True)
    return np.asarray(own), np.asarray(shared)


def bare(known: UncertainResponse, far: Complex) -> UncertainResponse:
    """Cancellation alone, ``(position, ear, 2, frequency)``; see :func:`metrics.unvirtualized`.

    For responses whose left and right program were measured separately, so that their errors are independent.
    """
    scale = np.maximum(np.abs(1.0 - far**2) ** 2, 1e-12)

    def mixed(v: Float) -> Float:
        left, right, v2 = v[:, :, 0], v[:, :, 1], np.abs(far) ** 2
        return np.asarray(np.stack([left + v2 * right, right + v2 * left], axis=2) / scale)

    return UncertainResponse(unvirtualized(known.x, far), mixed(known.noise), mixed(known.shared))


def levels(known: UncertainResponse, f: Float, seconds: float, centres: Float = THIRD_OCTAVES) -> BandLevels:
    """Third-octave levels ``(..., band)`` of responses behind a window of ``seconds``."""
    power = np.abs(known.x) ** 2
    mean = np.maximum(band_means(power, f, centres), 1e-300)
    own, shared = (band_means(2.0 * power * v + v**2, f, centres) for v in (known.noise, known.shared))
    count = independent(f, seconds, centres)
    return BandLevels(power_db(mean), NEPER * np.sqrt(own / count) / mean, NEPER * np.sqrt(shared) / mean)


def cancellation(pair: UncertainResponse, f: Float, seconds: float) -> BandLevels:
    """Cancellation ``(position, side, third octave)``; see :func:`metrics.cancellation_db`."""
    near, far = pair.near_and_far()
    return _ratio(near, [far], f, seconds)


def contrast(
    around: UncertainResponse, azimuths: Float, f: Float, nulls: Float, width: float, seconds: float
) -> BandLevels:
    """On-axis over off-axis ``(third octave,)``; see :func:`sweetspot.calibrate.plant.metrics.contrast_db`."""
    on = nearest(azimuths)
    away = np.flatnonzero(at_nulls(azimuths, nulls, width))
    rows = [UncertainResponse(around.x[i], around.noise[i], around.shared[i]) for i in (on, *away)]
    return _ratio(rows[0], rows[1:], f, seconds)


def independent(f: Float, seconds: float, centres: Float = THIRD_OCTAVES) -> Float:
    """Number of independent noise values in each third octave, at least 1 ``(band,)``."""
    low, high = band_edges(centres)
    bins = np.array([np.count_nonzero((f >= a) & (f < b)) for a, b in zip(low, high, strict=True)])
    return np.asarray(np.maximum(np.minimum(bins, (high - low) * seconds), 1.0))


def spread(figure: Callable[[Float], Float], cells: BandLevels) -> float:
    """Standard uncertainty of a figure of many cells, by draws that are the same each time.

    By how much the figure scatters, and by how much errors push it to one side: the worst of many cells gets worse by
    noise alone, and noise at a cancelled ear takes from the cancellation.

    Parameters
    ----------
    figure
        From cells ``(draw, ..., band)`` to one number each, ``(draw,)``; from cells of one draw to a number.
    cells
        Their own errors are independent; the shared ones are the same in all bands (the last axis).
    """
    found, value = _draws(figure, cells), float(figure(cells.db))
    pushed = value - float(figure(cells.db - cells.pushed))
    return float(np.sqrt(np.var(found) + (np.mean(found) - value) ** 2 + pushed**2))


def by_noise_alone(figure: Callable[[Float], Float], gap: BandLevels, coverage: float) -> float:
    """Upper bound of a metric of differences due to errors only: mean plus ``coverage`` deviations."""
    found = _draws(figure, BandLevels(np.zeros_like(gap.db), gap.own, gap.shared))
    return float(np.mean(found) + coverage * np.std(found))


def _draws(figure: Callable[[Float], Float], cells: BandLevels) -> Float:
    """The metric of cells with newly drawn errors, ``(draw,)``: all draws at once take a fifth of the time."""
    shape = cells.db.shape
    own, shared = cells.db.size, cells.db.size // shape[-1]
    drawn = _normal(own + shared)
    each = drawn[:, :own].reshape(DRAWS, *shape), drawn[:, own:].reshape(DRAWS, *shape[:-1], 1)
    found = figure(cells.db + cells.own * each[0] + cells.shared * each[1])
    assert found.shape == (DRAWS,), "a figure keeps the axis of draws"
    return found


@lru_cache(maxsize=1)
def _normal(count: int) -> Float:
    """Normal numbers ``(draw, count)``, the same each time; the last are kept, 4 MB at most for a verdict."""
    rng = np.random.default_rng(SEED)
    drawn = rng.standard_normal((DRAWS, count))
    drawn.setflags(write=False)
    return drawn


def within(one: BandLevels, other: BandLevels, coverage: float) -> NDArray[np.bool_]:
    """Which cells agree: differ by no more than ``coverage`` times the uncertainty of both."""
    return np.asarray(np.abs(one.db - other.db) <= coverage * np.hypot(one.u, other.u))


def interval(db: Float, u: Float) -> tuple[Float, Float]:
    """5th and 95th percentile of a level, or of a ratio of levels, dB, whose power has the relative spread ``u``, dB.

    The power ``|p + e|^2`` is taken as log-normal. Its mean is ``|p|^2 + s^2``, and its median about ``|p|^2``: what an
    error adds on average is as much as the median lies below the mean, so that the interval lies around the figure
    itself, whether the uncertain power is above or below in a ratio.
    """
    s = np.sqrt(np.log1p((u / NEPER) ** 2)) * NEPER
    return np.asarray(db - NINETY * s), np.asarray(db + NINETY * s)


def _ratio(on: UncertainResponse, away: Sequence[UncertainResponse], f: Float, seconds: float) -> BandLevels:
    """Power of one over the mean power of others, each bin by itself before the mean over a band."""
    below = np.maximum(np.abs(on.x) ** 2, 1e-30)
    above = np.mean([np.abs(k.x) ** 2 for k in away], axis=0)
    leak = above / below

    def variance(name: str) -> Float:
        v = getattr(on, name)
        top = np.sum([_spread_of(k, name) for k in away], axis=0) / len(away) ** 2
        return np.asarray(top / below**2 + leak**2 * (2.0 * v / below + (v / below) ** 2))

    mean = np.maximum(band_means(leak, f), 1e-300)
    own, shared = (band_means(variance(name), f) for name in ("noise", "shared"))
    count = independent(f, seconds)
    added = band_means(np.mean([k.noise for k in away], axis=0) / below, f)
    pushed = power_db(np.maximum(mean - added, MOST_PUSHED * mean) / mean)
    return BandLevels(-power_db(mean), NEPER * np.sqrt(own / count) / mean, NEPER * np.sqrt(shared) / mean, pushed)


def _spread_of(known: UncertainResponse, name: str) -> Float:
    """Variance of the power of each bin."""
    v = getattr(known, name)
    return np.asarray(2.0 * np.abs(known.x) ** 2 * v + v**2)
