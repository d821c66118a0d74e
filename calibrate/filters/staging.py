"""Gain staging: maximum gain for programme with the guard, or for full-scale sines without it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweetspot.calibrate.design import Design
from sweetspot.calibrate.filters import loudest
from sweetspot.calibrate.filters.protection import limits, rooms, staged, within_bands
from sweetspot.calibrate.plant import PROGRAMMES, upmixed_programme
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.filterset import FilterSet, UpmixSettings
from sweetspot.processor.guard import limited
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.protection import Protection
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float, db, from_db

TAKEN_DB, SHARE = 6.0, 0.04
"""On full-scale music and speech the guard takes more than so much in at most this share of the time."""

STEPS, LARGEST_DB = 7, 18.0
"""Bisection steps of the gain, and the width of its interval above the guard's threshold, dB."""

BEGIN_S, SECONDS = 0.5, 2.0
"""The part of the programmes that is played: the upmix has settled."""


def staged_filters(
    taps: Float, ir: ImpulseResponse, rig: Description, design: Design, *, late: int, serial: str, source: str
) -> FilterSet:
    """The filter set of fitted filters: within the drivers' bands and limits, with the gain of the design's staging.

    Where programme would pass the rig's SPL limit, filters and the guard's ceiling are lowered (:mod:`loudest`).

    Parameters
    ----------
    taps
        ``(program, driver, tap)``: left, right, centre.
    ir
        Responses from which excursions follow if the rig file does not give them.
    late
        Largest delay by the alignment of the programs, samples.
    serial, source
        Serial number and the session's SHA-256.
    """
    held = limits(rig, ir)
    taps, headroom_db = staged(within_bands(taps, rig), held)
    if design.filter.staging == "programme":
        more = beside_sines(taps, ir.fs, rig.limits.ceiling, held)
        taps, headroom_db = taps * more, headroom_db - float(db(more))
    quiet = loudest.within_limit(taps, ir, rig)
    return FilterSet(
        taps * quiet,
        fs=ir.fs,
        drivers=ir.drivers,
        ceiling=rig.limits.ceiling * quiet,
        delay_samples=design.filter.delay + late,
        headroom_db=headroom_db - float(db(quiet)),
        channels=tuple(d.channel for d in rig.driver),
        source=source,
        unit_serial=serial,
    )


def programme_gain(taps: Float, fs: int, ceiling: float) -> float:
    """Gain of filters ``(program, driver, tap)`` at which the guard takes more than :data:`TAKEN_DB` seldom enough.

    The reduction is computed by the guard itself, whose look-ahead gain holds the ceiling for any programme.
    """
    least = np.inf
    for name in PROGRAMMES:
        least = min(least, _loudest(taps, fs, ceiling, name, least))
    return least


def _loudest(taps: Float, fs: int, ceiling: float, name: str, enough: float) -> float:
    """The gain for one programme, or one of at least ``enough``, beyond which nobody asks."""
    x = upmixed_programme(UpmixSettings(), fs, name, BEGIN_S + SECONDS)[:, round(BEGIN_S * fs) :]
    size = fft.next_fast_len(x.shape[1] + taps.shape[-1], real=True)
    X, H = fft.rfft(x, size), fft.rfft(taps.astype(np.float32), size)
    y = fft.irfft(np.einsum("cf,cdf->df", X, H), size)[:, taps.shape[-1] : x.shape[1]]
    fits = ceiling / max(float(np.max(np.abs(y))), 1e-30)
    gains = fits * from_db(LARGEST_DB * np.arange(2**STEPS) / 2**STEPS)
    last = int(np.searchsorted(gains, enough))  # the first gain that is enough: if it is taken well, no other matters
    if last == 0:
        return float(gains[0])
    low, high = 0, 2**STEPS
    if last < high:
        low, high = (last, last + 1) if _bears(y * np.float32(gains[last]), fs, ceiling) else (0, last)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _bears(y * np.float32(gains[middle]), fs, ceiling) else (low, middle)
    return float(gains[low])


def _bears(y: Float, fs: int, ceiling: float) -> bool:
    """Whether the guard takes more than :data:`TAKEN_DB` of drivers' signals seldom enough."""
    return bool(np.quantile(taken(y, fs, ceiling), SHARE) >= from_db(-TAKEN_DB))


def taken(y: Float, fs: int, ceiling: float) -> Float:
    """Gain ``(samples,)`` of the guard at low frequencies, of which all its bands take."""
    beside = np.concatenate([y, np.ones((1, y.shape[1]), dtype=y.dtype)])
    return np.asarray(limited(beside, np.array([*[ceiling] * len(y), np.inf]), fs)[-1])


def beside_sines(taps: Float, fs: int, ceiling: float, shapes: Sequence[Protection]) -> float:
    """Gain from filters made for full-scale sines (:func:`protection.staged`) to filters for programme, at least 1.

    The guard holds the ceiling; a driver whose own voltage or power allows less than that stays within it for sines,
    and one whose excursion is stated within that for any programme.
    """
    gain = max(programme_gain(taps, fs, ceiling), 1.0)
    room = rooms(taps, shapes)
    tight = np.array([p.sine < 0.999 * ceiling or p.excursion is not None for p in shapes])
    return float(min(gain, *room[tight], np.inf))
