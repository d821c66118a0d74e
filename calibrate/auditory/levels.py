"""Loudness of the arms at the same driver ceiling, on programme material, and the largest level at the listener."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sweetspot.calibrate.auditory.arms import ARMS, Arm
from sweetspot.calibrate.auditory.loudness import gated_db, largest_spl_db, loudness_db, weighted
from sweetspot.calibrate.plant import PROGRAMMES, programme_of, upmixed_programme
from sweetspot.processor.dynamics import SplLimiter, limited
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.acoustics import SignalBlocks
from sweetspot.rigs.units import Float, Real, db

KEPT_S = 0.3
"""Length of a room's response that counts for loudness, s: the rest adds less than 0.1 dB."""


@dataclass(frozen=True, slots=True)
class Loudness:
    """Levels at the nominal listener.

    Parameters
    ----------
    re_plain_db
        Loudness (BS.1770) of every arm and programme over plain stereo at the same driver ceiling, dB; without the SPL
        limiter, which holds plain stereo alike.
    max_spl_db
        Largest sound pressure level of the calibrated unit (time weighting F, mean of both ears) with a full-scale
        programme, dB re 20 uPa, held by SPL limiter and guard; ``None`` if responses are not in pascal.
    insertion_db
        Loudness that the filters cost on music against plain stereo, dB.
    headroom_db
        From the loudest sample of that music at any driver to the ceiling, dB.
    """

    re_plain_db: dict[str, dict[str, float]]
    max_spl_db: float | None
    insertion_db: float
    headroom_db: float

    def to_dict(self) -> dict[str, float | None]:
        """The figures of the unit for JSON."""
        return {
            "max_spl_db": None if self.max_spl_db is None else round(self.max_spl_db, 2),
            "insertion_db": round(self.insertion_db, 2),
            "headroom_db": round(self.headroom_db, 2),
        }

    @property
    def text(self) -> str:
        """One line for people."""
        own = self.re_plain_db["calibrated"]
        return (
            f"loudness re plain stereo at the same driver ceiling: music {own['music']:+z.1f} dB, speech "
            f"{own['speech']:+z.1f} dB; {self.largest}; headroom of music {self.headroom_db:z.1f} dB"
        )

    @property
    def largest(self) -> str:
        """The largest level in words."""
        return "SPL unknown" if self.max_spl_db is None else f"at most {self.max_spl_db:z.1f} dB SPL at the listener"


@dataclass(frozen=True, slots=True)
class UnitLevels:
    """Levels of all that the unit itself plays, at the nominal listener.

    Parameters
    ----------
    loudness_db
        Loudness of each programme on the calibrated unit and on other arms, by the arm's name, dB re 20 uPa.
    max_spl_db, headroom_db
        See :class:`Loudness`.
    """

    loudness_db: dict[str, dict[str, float]]
    max_spl_db: float | None
    headroom_db: float

    def beside(self, others_db: dict[str, dict[str, float]]) -> Loudness:
        """The same over plain stereo, with the loudness of further arms."""
        loud = self.loudness_db | others_db
        over = {arm: {k: v - loud["plain"][k] for k, v in loud[arm].items()} for arm in ARMS if arm in loud}
        return Loudness(over, self.max_spl_db, -over["calibrated"]["music"], self.headroom_db)


def levels_of(arms: tuple[Arm, ...], filters: FilterSet, position: int) -> UnitLevels:
    """Loudness of arms at one position.

    Parameters
    ----------
    arms
        Among them ``"plain"`` and ``"calibrated"``.
    filters
        Of the calibrated unit; programmes go through its upmix and its guard, for the largest level also through its
        SPL limiter.
    position
        Index of the position that stands for the listener.
    """
    unit = next(arm for arm in arms if arm.name == "calibrated")
    others = tuple(arm for arm in arms if arm is not unit)
    loud = loudness_of(others, position, max(response_at(arm, position).shape[-1] for arm in arms))
    h, arrival = response_at(unit, position), float(unit.arrival[position])
    own, spl, headroom = {}, [], {}
    for name in PROGRAMMES:
        made = upmixed_programme(filters.upmix, filters.fs, name)
        heard, headroom[name] = guarded(filters, made, h, arrival)
        own[name] = loudness_db(heard, unit.fs)
        limiter = SplLimiter(filters.detectors[0], filters.fs)
        held = limiter.process(made)
        spl.append(largest_spl_db(guarded(filters, held, h, arrival)[0] if limiter.limiter[1] else heard, unit.fs))
    return UnitLevels(loud | {unit.name: own}, max(spl), headroom["music"])


def loudness_of(arms: tuple[Arm, ...], position: int, taps: int) -> dict[str, dict[str, float]]:
    """Loudness of each programme on arms without a guard, dB re 20 uPa; at most ``taps`` of each response count."""
    loud: dict[str, dict[str, float]] = {arm.name: {} for arm in arms}
    fs = arms[0].fs
    for name in PROGRAMMES:  # the weighting is a filter as well: programme has it before it plays, once for all
        samples, plain = programme_of(name, fs).shape[1], SignalBlocks(_weighted(name, fs, taps), taps)
        for arm in arms:
            h = response_at(arm, position)
            loud[arm.name][name] = gated_db(plain.filtered(h[:, :2])[:, : samples + h.shape[-1] - 1], fs)
    return loud


@lru_cache(maxsize=2)
def _weighted(name: str, fs: int, taps: int) -> Float:
    """A programme with the weighting, ``(2, samples + taps - 1)``; the last are kept."""
    return weighted(np.pad(programme_of(name, fs), ((0, 0), (0, taps - 1))), fs)


def response_at(arm: Arm, position: int) -> Float:
    """Responses ``(ear, program, tap)`` at one position from time zero on, as far as they count for loudness."""
    stop = min(arm.zero + round((float(arm.arrival[position]) + KEPT_S) * arm.fs), arm.h.shape[-1])
    return arm.h[position, ..., arm.zero : stop]


def guarded(filters: FilterSet, made: Real, h: Float, arrival_s: float) -> tuple[Float, float]:
    """Signals at the ears of programs through filters and guard, and the remaining headroom.

    The guard takes the same from all drivers in each band, so the level at the ears follows the drivers' gains: it is
    passed through the guard beside them, without a ceiling of its own.

    Parameters
    ----------
    made
        Left, right, centre ``(3, samples)``, behind the upmix.
    h
        Responses ``(ear, program, tap)`` at one position, see :func:`response_at`.
    arrival_s
        Of the direct sound there, s.

    Returns
    -------
    Ears' signals ``(2, samples)``, Pa, and the distance of the loudest driver sample to the ceiling, dB.
    """
    blocks = SignalBlocks(made.astype(np.float64), max(filters.length, h.shape[-1]))
    drivers = blocks.filtered(np.swapaxes(filters.taps, 0, 1))
    flight = max(round(arrival_s * filters.fs) - filters.delay_samples, 0)
    heard = blocks.filtered(h)[:, flight:]
    n = min(heard.shape[1], drivers.shape[1])
    together = np.concatenate([drivers[:, :n], heard[:, :n]])
    ceilings = np.array([filters.ceiling] * len(filters.drivers) + [np.inf, np.inf])
    held = limited(together, ceilings, filters.fs)
    return held[-2:], float(db(filters.ceiling) - db(np.max(np.abs(held[:-2]))))
