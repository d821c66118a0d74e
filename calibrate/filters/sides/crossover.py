"""How a near ear hears a side beyond the band of its reference driver: from drivers that play there, as a crossover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import half_cosine
from sweetspot.rigs.units import Complex, Float, from_db

LOWER = 1.5
"""A driver whose band begins lower than the reference's by this ratio takes over below it; above, where it ends."""

FAINT = 0.1
"""A driver this far below the loudest one, as power, leaves the range below an edge to others."""

MATCHED_DB = 12.0
"""Largest gain by which a lower driver's level is matched to the reference's, dB."""


def shares(
    near: Complex, f: Float, reference: tuple[int, int], slope: Float | None, top: Float | None = None
) -> Complex:
    """Weights ``(ear, driver, frequency)`` of the drivers that together are the reference of a side.

    The reference driver alone, if its band begins and ends where the others' do. Else what its protection filter takes,
    ``1 - slope``, comes from the loudest driver below, with the reference's level an octave above the edge and its
    phase at the edge, and so on downwards: protection filters have no phase, so that both parts add up to one. At the
    upper end of its band it is faded over half an octave into the loudest driver above, and so on upwards.

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
    top
        Upper edge of each driver's band ``(driver,)``, Hz; ``None`` if they are not known.
    """
    x = np.zeros(near.shape, dtype=np.complex128)
    x[np.arange(2), list(reference)] = 1.0
    slope = np.ones(near.shape[1:]) if slope is None else slope
    _downwards(x, near, f, reference, slope)
    if top is not None:
        _upwards(x, near, f, reference, (slope, top))
    return x


def _downwards(x: Complex, near: Complex, f: Float, reference: tuple[int, int], slope: Float) -> None:
    """Add the drivers below the reference's band to weights ``x``; parameters as of :func:`shares`."""
    ears = np.arange(2)
    edges = np.array([_edge(s, f) for s in slope])
    covered, edge = slope[list(reference)].min(axis=0), float(edges[list(reference)].max())
    while (lower := np.flatnonzero(edges * LOWER < edge)).size:
        below, over = (f >= 0.5 * edge) & (f < 0.9 * edge), (f > 1.1 * edge) & (f < 2.0 * edge)
        at = (f >= edge) & (f < 1.3 * edge)
        if not (below.any() and over.any() and at.any()):  # beyond the grid
            break
        chosen = np.array([_next(p, edges[lower], lower) for p in _loudness(near, lower, below)])
        x[ears, chosen] += (1.0 - covered) * _matched(near, x, f, chosen, (over, below, at, 1.15 * edge))
        covered, edge = covered + (1.0 - covered) * slope[chosen].min(axis=0), float(edges[chosen].max())


def _upwards(x: Complex, near: Complex, f: Float, reference: tuple[int, int], limits: tuple[Float, Float]) -> None:
    """Fade weights ``x`` into drivers above the reference's band; ``limits`` are ``slope`` and ``top`` of
    :func:`shares`."""
    slope, top = limits
    ears, edge = np.arange(2), float(top[list(reference)].min())
    while (higher := np.flatnonzero(top > LOWER * edge)).size:
        below, over = (f >= 0.5 * edge) & (f < 0.9 * edge), (f > 1.1 * edge) & (f < 2.0 * edge)
        at = (f > 0.77 * edge) & (f <= edge)
        if not (below.any() and over.any() and at.any()):  # beyond the grid
            break
        chosen = np.array([_next(p, 1.0 / top[higher], higher) for p in _loudness(near, higher, over)])
        octaves = np.log2(np.maximum(f, 1e-3) / edge)
        rise = half_cosine.rise(1.0 + 2.0 * octaves) * slope[chosen].min(axis=0)
        added = rise * _matched(near, x, f, chosen, (below, over, at, 0.87 * edge))
        x *= 1.0 - rise
        x[ears, chosen] += added
        edge = float(top[chosen].min())


Bands = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_], float]
"""Where a reference is heard, where the driver beside it, where both; and the middle of that, Hz."""


def _matched(near: Complex, x: Complex, f: Float, chosen: NDArray[np.intp], bands: Bands) -> Complex:
    """Weights ``(ear, frequency)`` that give chosen drivers the level and the phase of the reference ``x``."""
    own, other, at, middle = bands
    now, there = responses(near, x), near[np.arange(2), chosen]
    gain = np.sqrt(_mean(now, own) / np.maximum(_mean(there, other), 1e-300))
    turn = float(np.angle(np.sum(now[:, at] * there[:, at].conj())))  # of both ears: their difference stays
    late = np.exp(1j * turn * f / middle)
    return np.asarray(np.clip(gain, from_db(-MATCHED_DB), from_db(MATCHED_DB)) * np.stack([late, late]))


def _loudness(near: Complex, drivers: NDArray[np.intp], rows: NDArray[np.bool_]) -> Float:
    """Mean power ``(ear, driver)`` of some drivers in a band."""
    return np.asarray(np.mean(np.abs(near[:, drivers][..., rows]) ** 2, axis=-1))


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
    """Of the drivers that play beyond an edge: among the loud ones with the nearest bands, the loudest.

    Bands are nearer the larger their ``edges`` are: lower ones in Hz, upper ones inverse.
    """
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
