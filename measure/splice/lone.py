"""A single disturbed capture that needs no other: its disturbance is outside all that is read, or far below it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.splice.frames import (
    FINER,
    band_centres,
    band_edges,
    banded,
    evened,
    fine_frames,
    fine_window,
    frame_size,
    frame_times,
)
from sweetspot.measure.splice.weighting import DISTURBED, Splice
from sweetspot.measure.sweep import Sweep
from sweetspot.rigs.units import Float

HARMONICS = range(1, 6)
"""Harmonics of the sweep whose cells are excluded from the noise estimate."""

TAIL_S, HARMONIC_TAIL_S = 0.2, 0.03
"""How long after the sweep and a harmonic their cells still hold a decay, s."""

LOBE_BINS = 4.0
"""Half of the width of the main lobe of :func:`.frames.fine_window`."""

BESIDE, AGO = (6, 12), (40, 100)
"""Bands and frames on each side that give the noise under the sweep; more if those contain the sweep."""

MARGIN, DOUBT = 2.0, 8.0
"""Safety factor on the noise power estimated from its surroundings, and the largest one."""

NEARER = 8.0
"""How far (power) the noise on both sides of the sweep may lie above that further off: where it does, the sweep itself
broke off."""

SPLATTER = 3e-8
"""Power of the sweep's own leakage outside its cells, re the sweep."""

UNKNOWN = 1e6
"""Default noise power re the loudest cell."""


def bands(fs: int) -> Float:
    """Centres of the bands of the noise estimate, Hz ``(band,)``."""
    size = frame_size(fs)
    return band_centres(band_edges(size, fs), size, fs)


def lone(x: NDArray[np.float32], sweep: Sweep, arrivals: Float) -> Splice:
    """A disturbed capture as a splice of itself, with the noise estimated from its cells beside the sweep.

    A disturbance from the room knows nothing of the sweep, so that at the time when the sweep passes a band, the bands
    beside it hold what the sweep hides. Beneath sweep and harmonics the noise is taken as the most of four means: over
    the bands below and above at the same time, and over the same band before and after.

    Parameters
    ----------
    x
        ``(channel, samples)``, the loopback last.
    arrivals
        When it reaches the microphones' time zero at :func:`bands`, samples ``(source, band)``.
    """
    fs, size = sweep.fs, frame_size(sweep.fs)
    edges = band_edges(size, fs)
    unit = 1.0 / float(np.sum(fine_window(size) ** 2))
    power = np.stack([unit * banded(np.abs(fine_frames(row, size)) ** 2, edges * FINER) for row in x[:-1]])
    times = frame_times(power.shape[1], size, fs)
    bare = _bare(times, arrivals, sweep, edges)
    noise = np.stack([_noise(row, bare) for row in power])
    heard = times * fs < x.shape[1]
    quiet = np.nanquantile(np.where(bare[heard], power[:, heard], np.nan), 0.25, axis=1)
    floor = np.where(np.isfinite(quiet), quiet, 0.0)
    unknown = UNKNOWN * float(power.max())
    noise = np.where(np.isfinite(noise), MARGIN * noise, unknown)
    resolved = np.diff(edges) * FINER > LOBE_BINS
    peaked = np.stack([_peaked(row, bare, low) for row, low in zip(power, floor, strict=True)]) & resolved
    worst = np.where(peaked, unknown, DOUBT / MARGIN * noise)
    return Splice(
        np.array(x), fs, f=band_centres(edges, size, fs), times=times,
        weights=np.ones((1, *noise.shape), dtype=np.float32), noise=noise, doubted=worst, floor=floor,
        left_out=np.zeros((1, *noise.shape[1:]), dtype=bool),
    )  # fmt: skip


def _bare(times: Float, arrivals: Float, sweep: Sweep, edges: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Cells ``(frame, band)`` that hold neither a sweep nor its harmonics."""
    frame_s, spacing = FINER * frame_size(sweep.fs) / sweep.fs, sweep.fs / frame_size(sweep.fs)
    low, high = (edges[:-1] - 0.5) * spacing, (edges[1:] - 0.5) * spacing
    centre, lobe = bands(sweep.fs), LOBE_BINS * spacing / FINER
    lead = 0.5 * frame_s + sweep.rate * np.log(centre / np.maximum(low - lobe, 1e-3 * centre))
    tail = 0.5 * frame_s + sweep.rate * np.log((high + lobe) / centre)
    bare = np.ones((len(times), arrivals.shape[1]), dtype=bool)
    for arrival in arrivals / sweep.fs:
        for order in HARMONICS:
            late = times[:, None] - (arrival - sweep.rate * float(np.log(order)))
            bare &= (late < -lead) | (late > tail + (TAIL_S if order == 1 else HARMONIC_TAIL_S))
    return bare


def _noise(power: Float, bare: NDArray[np.bool_]) -> Float:
    """Noise ``(frame, band)`` of one microphone; infinite where no surrounding cell gives it."""
    found = np.full_like(power, -1.0)
    for axis, reaches in ((1, BESIDE), (0, AGO)):
        for sign in (-1, 1):
            near, far = (_mean(power, bare, axis, *sorted((sign, sign * reach))) for reach in reaches)
            found = np.fmax(found, np.where(np.isnan(near), far, near))
    found = np.where(bare, np.maximum(found, evened(np.where(bare, power, 0.0))), found)
    return np.where(found < 0.0, np.inf, found)


def _peaked(power: Float, bare: NDArray[np.bool_], floor: Float) -> NDArray[np.bool_]:
    """Cells ``(frame, band)`` on whose both sides disturbed neighbours are far louder than those further off."""
    least = np.maximum(DISTURBED * floor, SPLATTER * power.max(axis=1, keepdims=True))
    found = np.ones(power.shape, dtype=bool)
    for sign in (-1, 1):
        near, far = (_mean(power, bare, 1, *sorted((sign * a, sign * b))) for a, b in ((1, 4), (7, 12)))
        found &= near > np.fmax(least, NEARER * far)
    return found


def _mean(power: Float, bare: NDArray[np.bool_], axis: int, first: int, last: int) -> Float:
    """Mean of the bare cells from ``first`` to ``last`` cells further on; not a number where there is none."""
    sums, counts = (_sum(np.where(bare, values, 0.0), axis, first, last) for values in (power, np.ones_like(power)))
    return np.where(counts > 0.5, sums / np.maximum(counts, 1.0), np.nan)


def _sum(values: Float, axis: int, first: int, last: int) -> Float:
    ends = np.insert(np.cumsum(values, axis=axis), 0, 0.0, axis=axis)
    count = values.shape[axis]
    at = np.arange(count)
    low, high = np.clip(at + first, 0, count), np.clip(at + last + 1, 0, count)
    return np.asarray(np.take(ends, high, axis=axis) - np.take(ends, low, axis=axis))
