"""Gain staging: maximum gain for programme with the guard, or for full-scale sines without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from sweetspot.calibrate.design import Design
from sweetspot.calibrate.filters import loudest
from sweetspot.calibrate.filters.protection import limits, rooms, staged, within_bands
from sweetspot.calibrate.plant import PROGRAMMES, upmixed_programme
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.dynamics import limited
from sweetspot.processor.filterset import FilterSet, UpmixSettings
from sweetspot.processor.plain import bypass
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.protection import Protection
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float, db, from_db

TAKEN_DB, SHARE = 6.0, 0.04
"""On full-scale music and speech the guard takes more than so much in at most this share of the time."""

STEPS, LARGEST_DB = 7, 18.0
"""Halvings of the gain's interval above the guard's threshold down to its resolution, and its width, dB."""

GUESS_S, GUESS_DB = 0.0107, 0.4
"""Length of the blocks whose peaks a first gain follows from, and what the guard takes beyond them, dB."""

AT_LIMIT_DB = 0.3
"""A driver this near to its limit holds the level; a smaller cost of the drivers' limits is not stated."""

BEGIN_S, SECONDS = 0.5, 2.0
"""The part of the programmes that is played: the upmix has settled."""


def staged_filters(
    taps: Float,
    ir: ImpulseResponse,
    rig: Description,
    design: Design,
    *,
    plain: Float,
    late: int,
    serial: str,
    source: str,
) -> FilterSet:
    """The filter set of fitted filters: within the drivers' bands and limits, with the gain of the design's staging.

    Where programme would pass the rig's SPL limit, filters and the guard's ceiling are lowered; its detectors are for
    filters and bypass (:mod:`loudest`).

    Parameters
    ----------
    taps
        ``(program, driver, tap)``: left, right, centre.
    ir
        Responses from which excursions follow if the rig file does not give them.
    plain
        Plain stereo of the bypass ``(side, driver, odd number of taps)``.
    late
        Largest delay by the alignment of the programs, samples.
    serial, source
        Serial number and the session's SHA-256.
    """
    held, ceiling = limits(rig, ir), rig.limits.ceiling
    taps, headroom_db = staged(within_bands(taps, rig), held)
    free = 1.0
    if design.filter.staging == "programme":
        free = max(programme_gain(taps, ir.fs, ceiling), 1.0)
        more = min(free, tight_room(taps, ceiling, held))
        taps, headroom_db, free = taps * more, headroom_db - float(db(more)), free / more
    held_db, held_by = _held_by(taps, free, ceiling, held)
    quiet = loudest.within_limit(taps, ir, rig)
    made = FilterSet(
        taps * quiet,
        fs=ir.fs,
        drivers=ir.drivers,
        ceiling=ceiling * quiet,
        delay_samples=design.filter.delay + late,
        headroom_db=headroom_db - float(db(quiet)),
        channels=tuple(d.channel for d in rig.driver),
        upmix=UpmixSettings.at_rate(ir.fs),
        source=source,
        unit_serial=serial,
        held_db=held_db,
        held_by=held_by,
    )
    forms = made.taps, bypass(made, plain, dict(enumerate(held))).taps
    detectors = loudest.detectors([[form] for form in forms], ir, rig)
    known = rig.limits.loudest_db_spl if detectors.size else np.inf
    return replace(made, detectors=detectors, loudest_db_spl=float(known))


def programme_gain(taps: Float, fs: int, ceiling: float) -> float:
    """Gain of filters ``(program, driver, tap)`` at which the guard takes more than :data:`TAKEN_DB` seldom enough.

    The reduction is computed by the guard itself, whose look-ahead gain holds the ceiling for any programme.
    """
    least = np.inf
    for y in _played(taps, fs):
        least = min(least, _loudest(y, fs, ceiling, least))
    return least


def _played(taps: Float, fs: int) -> Iterator[Float]:
    """Drivers' signals ``(driver, samples)`` of each programme through filters, single precision."""
    length = taps.shape[-1]
    size = 1 << (4 * length - 1).bit_length()
    H = fft.rfft(taps.astype(np.float32), size)  # not SciPy's, which take 1 ms less but 95 ms to load
    for name in PROGRAMMES:
        X = _spectra(fs, name, size, length)
        y = fft.irfft(sum(x * h[:, None] for x, h in zip(X, H, strict=True)), size)[..., length - 1 :]
        yield y.reshape(len(y), -1)[:, : _programme(fs, name).shape[1] - length]


def _programme(fs: int, name: str) -> Float:
    """The part of a programme that is played ``(program, samples)``, behind the upmix."""
    return upmixed_programme(UpmixSettings.at_rate(fs), fs, name, BEGIN_S + SECONDS)[:, round(BEGIN_S * fs) :]


@lru_cache(maxsize=2 * len(PROGRAMMES))
def _spectra(fs: int, name: str, size: int, length: int) -> Complex:
    """Transforms ``(program, block, frequency)`` of its blocks for filters of a length, the same for all units; the
    first block begins so that its first whole sample behind the filters is theirs of number ``length``."""
    x, hop = _programme(fs, name)[:, 1:], size - length + 1
    blocks = -(-(x.shape[1] + 1 - length) // hop)
    padded = np.pad(x, [(0, 0), (0, max((blocks - 1) * hop + size - x.shape[1], 0))])
    framed = np.stack([padded[:, i * hop : i * hop + size] for i in range(blocks)], axis=1)
    return frozen("spectra", np.fft.rfft(framed), ndim=3, dtype=np.complex64)


def _loudest(y: Float, fs: int, ceiling: float, enough: float) -> float:
    """The gain for drivers' signals of a programme, or one of at least ``enough``, beyond which nobody asks."""
    fits = ceiling / max(float(np.max(np.abs(y))), 1e-30)
    gains = fits * from_db(LARGEST_DB * np.arange(2**STEPS) / 2**STEPS)
    last = int(np.searchsorted(gains, enough))  # the first gain that is enough: if it is taken well, no other matters
    if last == 0:
        return float(gains[0])
    low, high = 0, 2**STEPS
    at = last if last < high else int(np.clip(_guess(y, fs, ceiling / fits), 1, high - 1))
    while high - low > 1:
        left = _left(y * np.float32(gains[at]), fs, ceiling)
        if left >= from_db(-TAKEN_DB):
            if at == last:
                return float(gains[last])
            low = at
        else:
            high = at
        # The guard takes about as much more as the gain is raised by: two or three of its runs do instead of seven.
        over = (float(db(left)) + TAKEN_DB) / LARGEST_DB * 2**STEPS
        at = int(np.clip(at + np.floor(over), low + 1, high - 1))
    return float(gains[low])


def _guess(y: Float, fs: int, peak: float) -> int:
    """The gain's number at which :data:`SHARE` of blocks of drivers' signals pass the ceiling by :data:`TAKEN_DB`.

    That of the guard, which recovers slowly, is within two of it.
    """
    block = round(GUESS_S * fs)
    size = y.shape[1] // block
    peaks = np.max(np.abs(y[:, : size * block]).reshape(len(y), size, block), axis=(0, 2))
    over_db = float(db(peak / max(float(np.quantile(peaks, 1.0 - SHARE)), 1e-30))) + TAKEN_DB - GUESS_DB
    return int(over_db / LARGEST_DB * 2**STEPS)


def _left(y: Float, fs: int, ceiling: float) -> float:
    """Gain of the guard on drivers' signals that it falls below in :data:`SHARE` of the time."""
    return float(np.quantile(taken(y, fs, ceiling), SHARE))


def taken(y: Float, fs: int, ceiling: float) -> Float:
    """Gain ``(samples,)`` of the guard at low frequencies, of which all its bands take."""
    beside = np.concatenate([y, np.ones((1, y.shape[1]), dtype=y.dtype)])
    return np.asarray(limited(beside, np.array([*[ceiling] * len(y), np.inf]), fs)[-1])


def beside_sines(taps: Float, fs: int, ceiling: float, shapes: Sequence[Protection]) -> float:
    """Gain from filters made for full-scale sines (:func:`protection.staged`) to filters for programme, at least 1.

    The guard holds the ceiling; a driver whose own voltage or power allows less than that stays within it for sines,
    and one whose excursion is stated within that for any programme.
    """
    return min(max(programme_gain(taps, fs, ceiling), 1.0), tight_room(taps, ceiling, shapes))


def _tight(shape: Protection, ceiling: float) -> bool:
    """Whether a driver's own limits allow less than the ceiling."""
    return shape.sine < 0.999 * ceiling or shape.excursion is not None


def tight_room(taps: Float, ceiling: float, shapes: Sequence[Protection]) -> float:
    """Gain up to which all drivers whose own limits are below the ceiling stay within them; infinite without any."""
    tight = np.array([_tight(p, ceiling) for p in shapes])
    return float(min(rooms(taps, shapes)[tight], default=np.inf)) if tight.any() else float(np.inf)


def _held_by(taps: Float, free: float, ceiling: float, shapes: Sequence[Protection]) -> tuple[float, tuple[str, ...]]:
    """Level that the drivers' own limits cost, dB, and the limits: each with its driver, by the key of the rig file.

    Parameters
    ----------
    taps
        Staged filters ``(program, driver, tap)``.
    free
        Gain that programme would allow them if no driver had limits of its own; 1 where they are made for sines.
    """
    if not any(_tight(p, ceiling) for p in shapes):
        return 0.0, ()
    unlimited = [replace(p, peak=ceiling, rms=np.inf, excursion=None) for p in shapes]
    lost_db = float(db(max(free, float(np.min(rooms(taps, unlimited))))))
    room = db(rooms(taps, shapes))
    named = [d for d, p in enumerate(shapes) if _tight(p, ceiling) and room[d] < AT_LIMIT_DB]
    if lost_db < AT_LIMIT_DB or not named:
        return 0.0, ()
    return lost_db, tuple(f"{shapes[d].binding(taps[:, d], shapes[d].fs)} of {shapes[d].name!r}" for d in named)
