"""Levels over the places of a set: their power average and how far places differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.share.timing import Table
from sweetspot.measure.smooth import band_means, smoothed, thirds_within
from sweetspot.rigs.names import named
from sweetspot.rigs.units import P_REF, Float, power_db


@dataclass(frozen=True, slots=True, eq=False)
class OverPlaces:
    """Mean and deviation over places.

    Parameters
    ----------
    f
        Frequencies, Hz.
    level
        Of the mean power, ``(mic, driver, frequency)``, dB re 20 uPa at full scale.
    deviation
        Standard deviation of levels between places, dB; NaN for one place.
    """

    f: Float
    level: Float
    deviation: Float


def over_places(ears: ImpulseResponse, octaves: float) -> OverPlaces:
    """Mean over the places, each smoothed in power over ``octaves`` first."""
    f = np.asarray(np.fft.rfftfreq(ears.h.shape[-1], 1.0 / ears.fs))
    power = _power(ears)
    return _averaged(f, smoothed(power, f, octaves) if octaves > 0.0 else power)


def table(ears: ImpulseResponse, played: Sequence[tuple[float, float]], band: tuple[float, float]) -> Table:
    """Mean and deviation in third octaves of every microphone and driver, and a line for each microphone.

    Those below the band in which a driver is ``played`` (Hz) are left out: they are noise.
    """
    centres = thirds_within(*band)
    f = np.asarray(np.fft.rfftfreq(ears.h.shape[-1], 1.0 / ears.fs))
    found = _averaged(centres, band_means(_power(ears), f, centres))
    there = np.array([centres >= low for low, _ in played])
    rows: list[dict[str, object]] = [
        {"mic": mic, "driver": driver, "hz": float(hz), "mean_db": round(float(level), 2), "sd_db": _rounded(deviation)}
        for i, mic in enumerate(ears.mics)
        for j, driver in enumerate(ears.drivers)
        for hz, level, deviation in zip(
            centres[there[j]], found.level[i, j, there[j]], found.deviation[i, j, there[j]], strict=True
        )
    ]
    lines = [
        f"{named(mic)}: standard deviation over {len(ears.positions)} places in third octaves, median "
        f"{np.median(found.deviation[i, there]):.1f} dB, at most {found.deviation[i, there].max():.1f} dB"
        for i, mic in enumerate(ears.mics)
        if len(ears.positions) > 1 and there.any()
    ]
    return rows, "\n".join(lines or ["one place: no deviation"])


def _power(ears: ImpulseResponse) -> Float:
    return np.asarray(np.abs(np.fft.rfft(ears.h, axis=-1)) ** 2 / 2.0 / P_REF**2)


def _averaged(f: Float, power: Float) -> OverPlaces:
    several = len(power) > 1
    deviation = np.std(power_db(power), axis=0, ddof=1) if several else np.full(power.shape[1:], np.nan)
    return OverPlaces(f, power_db(power.mean(axis=0)), deviation)


def _rounded(value: float) -> float | None:
    return round(float(value), 2) if np.isfinite(value) else None
