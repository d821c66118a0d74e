"""Loudness of the arms at the same driver ceiling, on programme material, and the largest level at the listener."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sweetspot.calibrate.auditory.arms import Arm
from sweetspot.calibrate.auditory.loudness import largest_spl_db, loudness_db
from sweetspot.calibrate.plant import PROGRAMMES, programme_of
from sweetspot.processor import render
from sweetspot.processor.filterset import FilterSet, UpmixSettings
from sweetspot.processor.guard import limited
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Float, db

KEPT_S = 0.3
"""Length of a room's response that counts for loudness, s: the rest adds less than 0.1 dB."""


@dataclass(frozen=True, slots=True)
class Loudness:
    """Levels at the nominal listener.

    Parameters
    ----------
    re_plain_db
        Loudness (BS.1770) of every arm and programme over plain stereo at the same driver ceiling, dB.
    max_spl_db
        Largest sound pressure level of the calibrated unit (time weighting F, mean of both ears) with a full-scale
        programme, dB re 20 uPa, the guard's gain reduction included.
    insertion_db
        Loudness that the filters cost on music against plain stereo, dB.
    headroom_db
        From the loudest sample of that music at any driver to the ceiling, dB.
    """

    re_plain_db: dict[str, dict[str, float]]
    max_spl_db: float
    insertion_db: float
    headroom_db: float

    def to_dict(self) -> dict[str, float]:
        """The figures of the unit for JSON."""
        return {
            "max_spl_db": round(self.max_spl_db, 2),
            "insertion_db": round(self.insertion_db, 2),
            "headroom_db": round(self.headroom_db, 2),
        }

    @property
    def text(self) -> str:
        """One line for people."""
        own = self.re_plain_db["calibrated"]
        return (
            f"loudness re plain stereo at the same driver ceiling: music {own['music']:+.1f} dB, speech "
            f"{own['speech']:+.1f} dB; at most {self.max_spl_db:.1f} dB SPL at the listener; music stays "
            f"{self.headroom_db:.1f} dB under the ceiling"
        )


def levels_of(arms: tuple[Arm, ...], filters: FilterSet, position: int) -> Loudness:
    """Loudness of every arm at one position.

    Parameters
    ----------
    arms
        Among them ``"plain"`` and ``"calibrated"``.
    filters
        Of the calibrated unit; programmes go through its upmix and its guard.
    position
        Index of the position that stands for the listener.
    """
    loud: dict[str, dict[str, float]] = {arm.name: {} for arm in arms}
    spl, headroom = [], {}
    for name in PROGRAMMES:
        x = programme_of(name, filters.fs)
        plain = np.concatenate([x, np.zeros_like(x[:1])])
        for arm in arms:
            if arm.name == "calibrated":
                heard, headroom[name] = guarded(arm, filters, name, position)
                spl.append(largest_spl_db(heard, arm.fs))
            else:
                heard = at_ears(arm, plain, position)
            loud[arm.name][name] = loudness_db(heard, arm.fs)
    base = loud["plain"]
    over = {arm: {k: v - base[k] for k, v in each.items()} for arm, each in loud.items()}
    return Loudness(over, max(spl), -over["calibrated"]["music"], headroom["music"])


def at_ears(arm: Arm, programs: Float, position: int) -> Float:
    """Signals at the ears ``(2, samples)``, Pa, of programs ``(3, samples)`` at one position."""
    stop = min(arm.zero + round((float(arm.arrival[position]) + KEPT_S) * arm.fs), arm.h.shape[-1])
    h = arm.h[position, ..., arm.zero : stop]
    n = programs.shape[-1] + h.shape[-1] - 1
    size = fft.next_fast_len(n, real=True)
    H, X = fft.rfft(h, size, axis=-1), fft.rfft(programs, size, axis=-1)
    return np.asarray(fft.irfft(np.einsum("ecf,cf->ef", H, X), size, axis=-1)[:, :n])


@lru_cache(maxsize=4)
def upmixed(settings: UpmixSettings, fs: int, name: str) -> Float:
    """Left, right and centre ``(3, samples)`` of a programme, without the upmix's delay."""
    return frozen("programme", render.upmixed(settings, fs, programme_of(name, fs)), ndim=2)


def guarded(arm: Arm, filters: FilterSet, name: str, position: int) -> tuple[Float, float]:
    """Signals at the ears of a programme through upmix, filters and guard, and the remaining headroom.

    The guard takes the same from all drivers in each band, so the level at the ears follows the drivers' gains: it is
    passed through the guard beside them, without a ceiling of its own.

    Returns
    -------
    Ears' signals ``(2, samples)``, Pa, and the distance of the loudest driver sample to the ceiling, dB.
    """
    made = upmixed(filters.upmix, filters.fs, name)
    size = fft.next_fast_len(made.shape[1] + filters.length - 1, real=True)
    W, X = fft.rfft(np.asarray(filters.taps, dtype=np.float64), size, axis=-1), fft.rfft(made, size, axis=-1)
    drivers = fft.irfft(np.einsum("cdf,cf->df", W, X), size, axis=-1)[:, : made.shape[1] + filters.length - 1]
    flight = max(round(float(arm.arrival[position]) * arm.fs) - filters.delay_samples, 0)
    heard = at_ears(arm, made, position)[:, flight:]
    n = min(heard.shape[1], drivers.shape[1])
    together = np.concatenate([drivers[:, :n], heard[:, :n]])
    ceilings = np.array([filters.ceiling] * len(filters.drivers) + [np.inf, np.inf])
    held = limited(together, ceilings, filters.fs)
    return held[-2:], float(db(filters.ceiling) - db(np.max(np.abs(held[:-2]))))
