"""Left and right of one unit: reference drivers, wanted near-ear responses, cancelling weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.design import CrosstalkDesign, level_at, target_power
from sweetspot.calibrate.filters.sides import anchored, crossover, crosstalk, multiplier, ratio
from sweetspot.calibrate.filters.sides.effort import Cost, mean_over
from sweetspot.calibrate.plant import Plant, error_of
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.arrays import median
from sweetspot.rigs.units import Complex, Float, from_db, power_db

REFERENCE_BAND = (300.0, 5000.0)
"""Band in which the loudest driver at an ear is chosen, Hz."""

CORNER_HZ = 260.0
"""Width over which a corner of the target is rounded, about the resolution of least-squares filters of 512 taps, Hz."""


REWEIGHTED = 3
"""Iterations of reweighting the heads for the worst of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Design problem of one side, for all bins.

    Parameters
    ----------
    near
        Near-ear responses at the nominal head ``(frequency, driver)``.
    covariance
        Error-loaded far-ear covariance ``(frequency, driver, driver)``.
    wanted
        Near-ear response to be reached ``(frequency,)``.
    target
        Power ratio of near to far ear ``(frequency,)``.
    effort
        Largest cost over ``|wanted|^2`` ``(frequency,)``.
    alone
        Near-ear magnitude ``(frequency,)`` of what effort counts from.
    lead
        Weights ``(driver, frequency)`` of the reference driver, and of others below its band: see :mod:`.crossover`.
    bright
        Covariance ``(frequency, driver, driver)`` of what the target counts as near ear: the nominal head's, or that of
        all positions for a design from zone to zone.
    """

    near: Complex
    covariance: Complex
    wanted: Complex
    target: Float
    effort: Float
    alone: Float
    lead: Complex
    bright: Complex

    def expected_db(self, w: Complex) -> Float:
        """Cancellation ``(frequency,)`` of weights ``(frequency, driver)`` as the target counts it, dB.

        Power at the near ear over the power expected at the far ear, errors included: a design may look better than
        that at the positions it was made from, but not by its own doing.
        """
        near, far = (np.einsum("fm,fmn,fn->f", w.conj(), R, w).real for R in (self.bright, self.covariance))
        return power_db(np.maximum(near, 1e-300) / np.maximum(far, 1e-300))


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Both sides' designs, left first.

    Parameters
    ----------
    problems
        The request.
    w
        Weights ``(side, frequency, driver)``.
    mu
        Multiplier of each bin, smoothed, ``(side, frequency)``, in units of one over the mean eigenvalue of ``Q^-1 R``.
    limit
        What decided each bin ``(side, frequency)``, see :class:`.multiplier.Cancellation`.
    reference
        Reference driver of each side, counted from 0.
    """

    problems: tuple[Problem, Problem]
    w: Complex
    mu: Float
    limit: NDArray[np.str_]
    reference: tuple[int, int]


Pairs = Sequence[tuple[int, int]]


def loudest(near: Complex, f: Float, pairs: Pairs | None = None) -> tuple[int, int]:
    """The reference driver of each side, from responses ``(ear, driver, frequency)``: two different drivers.

    Of the given pairs, left first, or else of all, the one that is loudest together, one driver at its own ear each.
    The mirror pairs of the layout (:func:`rigs.layout.side_pairs`) keep both sides alike. One driver for both sides
    would leave nothing to compare the sides by.
    """
    band = (f >= REFERENCE_BAND[0]) & (f <= REFERENCE_BAND[1])
    level = power_db(np.mean(np.abs(near[:, :, band]) ** 2, axis=-1))
    together = level[0][:, None] + level[1][None, :]
    if pairs:
        return max(pairs, key=lambda p: float(together[p]))
    np.fill_diagonal(together, -np.inf)
    left, right = np.unravel_index(int(np.argmax(together)), together.shape)
    return int(left), int(right)


def problems(
    plant: Plant,
    nominal: int,
    wish: CrosstalkDesign,
    pairs: Pairs | None = None,
    effort_db: Float | None = None,
    weight: Float | None = None,
) -> tuple[tuple[Problem, Problem], tuple[int, int]]:
    """Design problems of left and right, and their reference drivers; the parameters are those of :func:`steer`."""
    f, near = plant.f, plant.h[nominal]
    reference = loudest(near, f, pairs)
    leads = crossover.shares(near, f, reference, plant.slope, plant.top)
    own = crossover.responses(near, leads)
    wanted = balanced(own[0], own[1], f)
    target = rounded(target_power(wish.target_db, f), f)
    asked = []
    for ear in (0, 1):
        error = far_error(plant, ear, wish, weight)
        power = np.abs(near[ear]) ** 2
        alone = power.mean(axis=0) if wish.effort_re == "mean" else np.abs(own[ear]) ** 2
        allowed = from_db(level_at(wish.effort_db, f) if effort_db is None else effort_db) ** 2
        effort = allowed / np.maximum(alone, 1e-30)
        R = crosstalk.far_covariance(plant.h[:, 1 - ear], error)
        bright = ratio.covariance(plant.h[:, ear] if wish.form == "ratio" else near[ear][None])
        asked.append(
            Problem(
                near[ear].T,
                R,
                wanted=wanted[ear],
                target=target,
                effort=effort,
                alone=np.sqrt(alone),
                lead=leads[ear],
                bright=bright,
            )
        )
    return (asked[0], asked[1]), reference


def far_error(plant: Plant, ear: int, wish: CrosstalkDesign, weight: Float | None) -> Float:
    """Expected squared relative error ``(position, driver, frequency)`` of the far ear's paths, tolerance included."""
    allowed = error_of(wish.tolerance_db)
    own = np.ones(plant.h.shape[2]) if weight is None else weight
    return np.asarray(plant.noise[:, 1 - ear] + allowed * own[:, None])


def rounded(target: Float, f: Float) -> Float:
    """A target ``(frequency,)`` with its upper corners rounded, so that short filters can follow it without passing it.

    It is never above the given one, and below it only near corners: the mean in dB over :data:`CORNER_HZ`.
    """
    level = power_db(target)
    total = np.concatenate([[0.0], np.cumsum(level)])
    low, high = (np.searchsorted(f, f + side * 0.5 * CORNER_HZ, side="left") for side in (-1.0, 1.0))
    mean = (total[high] - total[low]) / np.maximum(high - low, 1)
    return np.asarray(np.where(high > low, np.minimum(target, from_db(mean) ** 2), target))


def steer(
    plant: Plant,
    nominal: int,
    cost: Cost,
    wish: CrosstalkDesign,
    pairs: Pairs | None = None,
    *,
    effort_db: Float | None = None,
    worst_first: bool = False,
    weight: Float | None = None,
) -> Sides:
    """Design both sides: distortionless, held to the target, limited in effort.

    Parameters
    ----------
    plant
        Responses at the design positions.
    nominal
        The position whose near-ear response is kept.
    cost
        ``(frequency, driver)``, or a matrix ``(frequency, driver, driver)``.
    wish
        Target, effort limit, tolerance.
    pairs
        What the reference drivers are chosen from, see :func:`loudest`.
    effort_db
        Limit ``(frequency,)`` in the place of the design's one number.
    worst_first
        Reweight the heads by the level at each far ear (:func:`for_the_worst`); distortionless designs only.
    weight
        What the tolerance counts for on each driver ``(driver,)``, see :mod:`sharing`; without it 1.
    """
    asked, reference = problems(plant, nominal, wish, pairs, effort_db, weight)
    if worst_first and wish.form == "distortionless":
        first, second = (
            for_the_worst(p, plant, ear, cost, far_error(plant, ear, wish, weight)) for ear, p in enumerate(asked)
        )
        asked = first, second
    weights: list[Complex] = []
    multipliers, limits = [], []
    for ear, p in enumerate(asked):
        if wish.form == "ratio":
            w, mu, limit = _between_zones(p, cost, plant.f)
        elif wish.form == "anchored":
            w, mu, limit = _anchored(p, cost, plant.f)
        else:
            w, mu, limit = _distortionless(p, cost, plant.f)
        weights.append(w / levelled(w, plant, ear, p, wish.tolerance_db)[:, None])
        multipliers.append(mu)
        limits.append(limit)
    return Sides(asked, np.stack(weights), np.stack(multipliers), np.array(limits), reference)


def for_the_worst(p: Problem, plant: Plant, ear: int, cost: Cost, error: Float) -> Problem:
    """A side's problem with the heads weighted by the power at their far ears, in third octaves.

    Minimising the mean of squares leaves a few heads with little cancellation. Weights in proportion to what is left
    there, half of the way in each of :data:`REWEIGHTED` rounds, lead towards the least mean of squared powers, and
    raise the lowest tenth by more than the mean loses. ``error`` is that of :func:`far_error`.
    """
    h = plant.h[:, 1 - ear]
    loading = error * np.abs(h) ** 2
    share = np.full((len(h), len(plant.f)), 1.0 / len(h))
    diagonal = np.arange(h.shape[1])
    for _ in range(REWEIGHTED):
        w, _, _ = _distortionless(p, cost, plant.f)
        far = smoothed(np.abs(np.einsum("pdf,fd->pf", h, w)) ** 2, plant.f)
        share = 0.5 * (share + far / np.maximum(far.sum(axis=0), 1e-300))
        R = np.einsum("kf,kmf,knf->fmn", share, h.conj(), h, optimize=True)
        R[:, diagonal, diagonal] += np.einsum("kf,kmf->fm", share, loading)
        p = replace(p, covariance=R)
    return p


def _distortionless(p: Problem, cost: Cost, f: Float) -> tuple[Complex, Float, NDArray[np.str_]]:
    """Weights, multipliers and limits that keep the nominal near ear."""
    return _steered(crosstalk.Distortionless.of(p.near, p.covariance, cost, p.wanted), p, f)


def _anchored(p: Problem, cost: Cost, f: Float) -> tuple[Complex, Float, NDArray[np.str_]]:
    """The same, with the reference driver unchanged as far as the target allows."""
    return _steered(anchored.Anchored.of(p.near, p.covariance, cost, p.wanted, p.lead.T), p, f)


def _steered(line: multiplier.DesignLine, p: Problem, f: Float) -> tuple[Complex, Float, NDArray[np.str_]]:
    """Target and effort met along a line of designs; multipliers are smoothed, weights never are."""
    found = multiplier.steer(line, p.target, p.effort)
    mu = np.minimum(np.exp(smoothed(np.log(found.mu), f)), found.most)
    return line.weights(mu), mu, found.limit


def _between_zones(p: Problem, cost: Cost, f: Float) -> tuple[Complex, Float, NDArray[np.str_]]:
    """The same from the near ear's zone to the far ear's, with no place that is kept.

    Stationary weights satisfy ``(Q + v T / l R) w = (1 + v) / l I w``: ``v T / l`` is what ``mu`` is to a design that
    keeps one place.
    """
    found = ratio.steer(p.bright, p.covariance, cost, p.target, p.effort)
    exact = np.maximum(found.multiplier, ratio.RANGE[0])
    v = np.exp(smoothed(np.log(exact), f))
    w, _ = ratio.shaped(p.bright, p.covariance, cost, found.aim, v)
    over = p.expected_db(w) > power_db(p.target) + multiplier.OVER_DB
    v = np.where(over, np.minimum(v, exact), v)
    w, value = ratio.shaped(p.bright, p.covariance, cost, found.aim, v)
    mu = v * found.aim / value * mean_over(p.covariance, cost)
    return ratio.anchored(w, p.near, p.bright, p.wanted), mu, found.limit


def levelled(w: Complex, plant: Plant, ear: int, asked: Problem, tolerance_db: float) -> Float:
    """Near-ear level ``(frequency,)`` re the target, in third octaves over all design positions.

    The condition ``g^T w = d`` holds for the measured ``g`` of one position; its errors, grown by the effort, would
    colour the near ear. Errors of several positions average out. What they add in power, ``sum error |h|^2 |w|^2``, is
    taken off first. On a head whose ears are directive the positions also differ in truth, and their mean is no better
    known than their scatter allows: it is followed by the share ``2 v / (2 v + s^2 / positions)``, with ``v`` the
    expected squared error of the nominal near ear and ``s^2`` the variance between positions.

    Parameters
    ----------
    w
        Weights ``(frequency, driver)``.
    ear
        The near ear, where the level of the reference is kept.
    """
    h = plant.h[:, ear]
    own = np.abs(np.einsum("pdf,df->pf", h, asked.lead))
    gain = np.abs(asked.wanted) / np.maximum(np.abs(np.einsum("fd,df->f", asked.near, asked.lead)), 1e-30)
    heard = np.abs(np.einsum("pdf,fd->pf", h, w)) ** 2
    error = plant.noise[:, ear] + error_of(tolerance_db)
    extra = np.einsum("pdf,pdf,fd->pf", error, np.abs(h) ** 2, np.abs(w) ** 2)
    wanted = np.maximum(own * gain, 1e-30) ** 2
    found = smoothed((heard - extra) / wanted, plant.f)
    doubt = 2.0 * smoothed(np.mean(extra / wanted, axis=0), plant.f)
    share = doubt / np.maximum(doubt + found.var(axis=0) / len(h), 1e-30)
    found = 1.0 + share * (found.mean(axis=0) - 1.0)
    return np.asarray(np.sqrt(np.clip(found, 0.25, 4.0)))


def balanced(left: Complex, right: Complex, f: Float) -> tuple[Complex, Complex]:
    """The reference drivers' responses made equal in smoothed level and phase, so that the image stays centred.

    What the drivers and the head's place leave between the ears in phase would be added to the delay of one virtual
    loudspeaker and taken from that of the other.
    """
    ratio = np.sqrt(smoothed(np.abs(right) ** 2, f) / np.maximum(smoothed(np.abs(left) ** 2, f), 1e-30))
    ratio = np.clip(ratio, 0.5, 2.0)
    crossed = right * left.conj()
    turn = np.unwrap(np.angle(smoothed(crossed.real, f) + 1j * smoothed(crossed.imag, f)))
    half = np.exp(0.5j * (turn - 2.0 * np.pi * np.round(median(turn) / (2.0 * np.pi))))
    return left * np.sqrt(ratio) * half, right / (np.sqrt(ratio) * half)
