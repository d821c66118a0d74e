"""How a near ear hears a side below the band of its reference driver: from drivers that begin lower, as a crossover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.units import Complex, Float, from_db

LOWER = 1.5
"""A driver whose band begins lower than the reference's by this ratio takes over below it."""

FAINT = 0.1
"""A driver this far below the loudest one, as power, leaves the range below an edge to others."""

MATCHED_DB = 12.0
"""Largest gain by which a lower driver's level is matched to the reference's, dB."""


def shares(near: Complex, f: Float, reference: tuple[int, int], slope: Float | None) -> Complex:
    """Weights ``(ear, driver, frequency)`` of the drivers that together are the reference of a side.

    The reference driver alone, if its band begins where the others' do. Else what its protection filter takes,
    ``1 - slope``, comes from the loudest driver below, with the reference's level an octave above the edge and its
    phase at the edge, and so on downwards: protection filters have no phase, so that both parts add up to one.

    Parameters
    ----------
    near
        Responses behind the protection filters ``(ear, driver, frequency)``.
    f
        Frequencies, Hz.
    reference
        Driver of each side.
    slope
        Gains of the protection filters ``(driver, frequency)``; ``None`` if there are none.
    """
    x = np.zeros(near.shape, dtype=np.complex128)
    ears = np.arange(2)
    x[ears, list(reference)] = 1.0
    if slope is None:
        return x
    edges = np.array([_edge(s, f) for s in slope])
    covered, edge = slope[list(reference)].min(axis=0), float(edges[list(reference)].max())
    while (lower := np.flatnonzero(edges * LOWER < edge)).size:
        below, over = (f >= 0.5 * edge) & (f < 0.9 * edge), (f > 1.1 * edge) & (f < 2.0 * edge)
        at = (f >= edge) & (f < 1.3 * edge)
        if not (below.any() and over.any() and at.any()):  # beyond the grid
            break
        power = np.mean(np.abs(near[:, lower][..., below]) ** 2, axis=-1)  # (ear, driver)
        chosen = np.array([_next(p, edges[lower], lower) for p in power])
        now, there = responses(near, x), near[ears, chosen]
        gain = np.sqrt(_mean(now, over) / np.maximum(_mean(there, below), 1e-300))
        turn = float(np.angle(np.sum(now[:, at] * there[:, at].conj())))  # of both ears: their difference stays
        late = np.exp(1j * turn * f / (1.15 * edge))
        x[ears, chosen] += np.clip(gain, from_db(-MATCHED_DB), from_db(MATCHED_DB)) * (1.0 - covered) * late
        covered, edge = covered + (1.0 - covered) * slope[chosen].min(axis=0), float(edges[chosen].max())
    return x


def crossed(slope: Float) -> list[int]:
    """Drivers whose bands begin so much higher than another's that it plays for them below."""
    rows = np.arange(slope.shape[1], dtype=float)
    edges = [_edge(s, rows) for s in slope]
    return [d for d, edge in enumerate(edges) if LOWER * min(edges) < edge]


def between_two(slope: Float) -> Float:
    """Share ``(frequency,)`` of the virtual far ear: none where one driver plays alone below the others' bands.

    With nothing to cancel it with, the far ear's signal would reach both ears, and a comb filter be all that is heard.
    It is 1 everywhere for units whose drivers' bands begin alike.
    """
    return np.sort(slope, axis=0)[-2] if crossed(slope) else np.ones(slope.shape[1])


def responses(near: Complex, x: Complex) -> Complex:
    """What arrives of each side's reference at its ear ``(ear, frequency)``, from responses and from weights of it
    ``(ear, driver, frequency)``."""
    return np.asarray((near * x).sum(axis=1))


def _next(power: Float, edges: Float, drivers: NDArray[np.intp]) -> int:
    """Of the drivers that play below an edge: among the loud ones with the highest bands, the loudest."""
    loud = power > FAINT * power.max()
    highest = loud & (edges * LOWER >= edges[loud].max())
    return int(drivers[np.argmax(np.where(highest, power, -1.0))])


def _edge(slope: Float, f: Float) -> float:
    """Frequency below which a protection filter takes more than half, Hz; 0 for one that takes nothing."""
    stopped = np.flatnonzero(slope < 0.5)
    return float(f[stopped[-1]]) if stopped.size else 0.0


def _mean(response: Complex, rows: NDArray[np.bool_]) -> Float:
    """Mean power of both ears in a band."""
    return np.asarray(np.mean(np.abs(response[:, rows]) ** 2))
