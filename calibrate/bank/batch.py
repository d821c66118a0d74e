"""The sides of many places at once: places are one more axis of bins, then of the short filters' transforms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.design import CrosstalkDesign, Design
from sweetspot.calibrate.filters import causal, leastsquares, protection
from sweetspot.calibrate.filters.sides import Cost, crossover, crosstalk, multiplier, pair
from sweetspot.calibrate.plant import Plant
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.units import Complex, Float

Single = NDArray[np.complex64]

HALVINGS = 17
"""Of the bisection for the multipliers: to 3e-4 of a neper."""

STEPS = 48
"""Of the conjugate gradients; single filters take 80 and end sooner or later by their residual."""

ENOUGH = 1e-5
"""The residual over that of the start at which they end."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Parameters common to all places.

    Parameters
    ----------
    f
        Frequencies, Hz.
    lowest
        Lowest frequency that the gate resolves, Hz.
    cost
        What the sides spend, ``(frequency, driver)`` or ``(frequency, driver, driver)``.
    wish
        Target and tolerance of the sides.
    effort_db
        Limit of what they spend ``(frequency,)``.
    reference
        Reference drivers of left and right.
    slopes
        Gain of the protection filters ``(driver, frequency)``.
    tops
        Upper edge of each driver's band ``(driver,)``, Hz.
    listeners
        How many are served at once: the heads of a place are theirs in turn, equally many each.
    weight
        What the tolerance counts for on each driver ``(driver,)``, see :mod:`calibrate.filters.sides.sharing`.
    phantom
        Power of a real pair's phantom ``(frequency,)``, see :func:`calibrate.filters.beam.centre.to_phantom`.
    late
        The room's late energy ``(frequency, driver, driver)``, where the room is live.
    """

    f: Float
    lowest: float
    cost: Cost
    wish: CrosstalkDesign
    effort_db: Float
    reference: tuple[int, int]
    slopes: Float
    tops: Float
    design: Design
    listeners: int = 1
    weight: Float | None = None
    phantom: Float | None = None
    late: Complex | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Steered:
    """Sides of some places.

    Parameters
    ----------
    w
        Bare weights ``(place, side, frequency, driver)``.
    weighing
        What errors of the short filters cost ``(place, side, frequency, driver, driver)``.
    """

    w: Complex
    weighing: Single


def sides(cloud: Complex, error: Float, asked: Asked) -> Steered:
    """Both sides of some places, all bins of all places in one decomposition each.

    Parameters
    ----------
    cloud
        Responses behind the protection filters ``(place, head, ear, driver, frequency)``; the first head is the
        nominal one of the place, or of each listener.
    error
        Squared relative error of the paths ``(place, driver, frequency)``.
    """
    wish, count = asked.wish, len(cloud)
    noise = np.broadcast_to(error[:, None, None], cloud.shape)
    plants = [Plant(h, asked.f, asked.lowest, e, asked.slopes, asked.tops) for h, e in zip(cloud, noise, strict=True)]
    problems = [pair.problems(p, 0, wish, [asked.reference], asked.effort_db, asked.weight)[0] for p in plants]
    w = np.empty((count, 2, len(asked.f), cloud.shape[3]), dtype=np.complex128)
    weighing = np.empty((*w.shape, cloud.shape[3]), dtype=np.complex64)
    cost = np.concatenate([asked.cost] * count)
    for ear in (0, 1):
        each = [p[ear] for p in problems]
        near, R, wanted, target, effort = (
            np.concatenate([getattr(p, name) for p in each])
            for name in ("near", "covariance", "wanted", "target", "effort")
        )
        others = [_others(p, ear, asked) for p in plants]
        G, d = (np.concatenate([o[k] for o in others], axis=1) for k in (0, 1))
        G, d = np.concatenate([near[None], G]), np.concatenate([wanted[None], d])
        found, mu = _steered(G, R, d, target, effort, cost=cost, f=asked.f)
        for i, (plant, one) in enumerate(zip(plants, each, strict=True)):
            rows = slice(i * len(asked.f), (i + 1) * len(asked.f))
            level = pair.levelled(found[rows], plant, ear, one, wish.tolerance_db)
            w[i, ear] = found[rows] / level[:, None]
            A = leastsquares.hessian(one, asked.cost, mu[rows], w[i, ear], asked.f)
            for g, wish_there in zip(G[1:, rows], d[1:, rows], strict=True):
                A += leastsquares.kept(g, wish_there, asked.f)
            A = leastsquares.confined(leastsquares.eased(A, asked.slopes), asked.f, *asked.design.filter.band_hz)
            weighing[i, ear] = leastsquares.stopped(A, asked.slopes)
    return Steered(w, weighing)


def _others(plant: Plant, ear: int, asked: Asked) -> tuple[Complex, Complex]:
    """Near-ear responses ``(listener, frequency, driver)`` of the other listeners, and their targets.

    Each receives its side from the reference driver, at that driver's own level and time.
    """
    heads = len(plant.h) // asked.listeners
    firsts = plant.h[heads::heads]
    leads = [crossover.shares(h, plant.f, asked.reference, plant.slope, plant.top) for h in firsts]
    own = [crossover.responses(h, x) for h, x in zip(firsts, leads, strict=True)]
    wanted = [pair.balanced(o[0], o[1], plant.f)[ear] for o in own]
    return np.swapaxes(firsts[:, ear], 1, 2), np.reshape(wanted, (len(firsts), len(plant.f)))


def _steered(
    G: Complex, R: Complex, wanted: Complex, target: Float, effort: Float, *, cost: Cost, f: Float
) -> tuple[Complex, Float]:
    """Weights and smoothed multipliers of the bins of all places, see :mod:`calibrate.filters.sides.crosstalk`."""
    line: multiplier.DesignLine
    if len(G) == 1:
        line = crosstalk.Distortionless.of(G[0], R, cost, wanted[0])
    else:
        line = crosstalk.SeveralListeners.of(G, R, cost, wanted)
    found = multiplier.steer(line, target, effort, HALVINGS)
    mu = np.log(found.mu).reshape(-1, len(f))
    smooth = np.minimum(np.exp(smoothed(mu, f)).ravel(), found.most)
    return line.weights(smooth), smooth


def short(W: Complex, weighing: Single, taps: int, delay: int) -> NDArray[np.float32]:
    """Short filters ``(set, driver, tap)`` of wanted weights ``(set, frequency, driver)``, single precision.

    The method of :func:`sweetspot.calibrate.filters.leastsquares.fitted`, for all sets at once.
    """
    from scipy import fft  # slow to import; transforms many rows of single precision at once

    n = 2 * (W.shape[1] - 1)
    A = np.ascontiguousarray(np.moveaxis(weighing, 1, 3))  # (set, m, n, f)
    later = (np.swapaxes(W, 1, 2) * np.exp(-2j * np.pi * np.arange(W.shape[1]) * delay / n)).astype(np.complex64)
    scale = 1.0 / np.sqrt(np.mean(np.einsum("smmf->smf", A).real, axis=2, keepdims=True))

    def weighed(spectrum: Single) -> NDArray[np.float32]:
        both = np.sum(A * spectrum[:, None], axis=2)
        return np.asarray(scale * fft.irfft(both, n, axis=-1)[..., :taps])

    def applied(q: NDArray[np.float32]) -> NDArray[np.float32]:
        return weighed(fft.rfft(scale * q, n, axis=-1))

    q = causal(np.swapaxes(W, 1, 2), taps, delay).astype(np.float32) / scale
    r = weighed(later) - applied(q)
    p, power = r.copy(), _power(r)
    enough = ENOUGH**2 * np.maximum(power, 1e-30)
    for _ in range(STEPS):
        going = power > enough
        if not going.any():
            break
        Ap = applied(p)
        step = np.where(going, power / np.maximum(np.sum(p * Ap, axis=(1, 2)), 1e-30), 0.0)[:, None, None]
        q, r = (q + step * p).astype(np.float32), (r - step * Ap).astype(np.float32)
        before, power = power, np.where(going, _power(r), power)
        p = (r + (power / np.maximum(before, 1e-30))[:, None, None] * p).astype(np.float32)
    return np.asarray(scale * q, dtype=np.float32)


def _power(r: NDArray[np.float32]) -> Float:
    return np.asarray(np.sum(r.astype(np.float64) ** 2, axis=(1, 2)))


def protected(h: Complex, slopes: Float) -> Complex:
    """Responses ``(..., driver, frequency)`` of drivers behind their protection filters."""
    return np.asarray(h * np.maximum(slopes, protection.FLOOR))
