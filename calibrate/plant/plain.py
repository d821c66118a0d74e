"""Plain stereo on a unit: the best pair of drivers, with others beside it for octaves that it does not play."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.layout import mirror_pairs, side_pairs
from sweetspot.rigs.rig_file import Driver
from sweetspot.rigs.units import Float, from_db

LISTENED_HZ = (200.0, 5000.0)
"""Band in which the loudest pair is chosen, Hz."""

WIDER = 1.5
"""Ratio by which a driver's band begins lower, or ends higher, than the pair's to play beside it."""

ABOVE_EDGE = 2.0
"""A crossover lies at most this ratio above the lower edge of the upper driver, within both drivers' bands."""

CROSSED_S = 0.005
"""Half of the length of a crossover's filters, s."""

MATCHED_DB = 12.0
"""Largest attenuation of louder drivers to the level of the faintest, dB."""

Way = tuple[int, int]
"""Drivers of left and right in one range of frequencies; the same twice where both sides share it."""


def best_pair(ears: ImpulseResponse, at: Float) -> Way:
    """The mirror pair that is loudest at its own ears, left of the listener first; see :func:`side_pairs`."""
    level = _listened_db(ears)
    return max(side_pairs(at), key=lambda p: level[0, p[0]] + level[1, p[1]])


@lru_cache(maxsize=4)
def _listened_db(ears: ImpulseResponse) -> Float:
    """Mean level ``(ear, driver)`` in that band, dB; those of the last sets are kept."""
    power, f = _power(ears)
    inside = (f >= LISTENED_HZ[0]) & (f <= LISTENED_HZ[1])
    return np.asarray(10.0 * np.log10(np.maximum(power[..., inside].mean(axis=(0, -1)), 1e-300)))


def plain_sides(ears: ImpulseResponse, drivers: Sequence[Driver], delay: int = 0) -> tuple[Float, int]:
    """Filters of left and right ``(side, driver, tap)`` that play plain stereo, at most full scale, and their delay.

    One driver a side, unless another's band begins lower or ends higher by :data:`WIDER`. Then the ranges are divided
    by linear-phase crossovers (windowed sinc, each the difference of two low-pass filters, so that all add up to a
    delay), with louder drivers attenuated, as a maker would do without any cancellation. A driver without a mirror
    image plays for both sides.

    Parameters
    ----------
    ears
        Measured responses; they give the best pair and the levels.
    delay
        Wanted delay, samples; that of crossovers is longer than :data:`CROSSED_S`.
    """
    ways, crossed = ways_of(best_pair(ears, np.array([d.at for d in drivers])), drivers)
    delay = max(delay, round(CROSSED_S * ears.fs)) if crossed else delay
    taps = np.zeros((2, len(drivers), (2 if crossed else 1) * delay + 1))
    unit = np.zeros(taps.shape[-1])
    unit[delay] = 1.0
    below = [np.zeros_like(unit), *(_low_pass(hz / ears.fs, delay) for hz in crossed), unit]
    for way, gain, low, high in zip(ways, _gains(ears, ways, crossed), below[:-1], below[1:], strict=True):
        for side, driver in enumerate(way):
            taps[side, driver] += gain * (high - low)
    return taps, delay


def ways_of(pair: Way, drivers: Sequence[Driver]) -> tuple[list[Way], list[float]]:
    """Ways from low to high frequencies, the given pair among them, and the frequencies between them, Hz."""
    pairs = mirror_pairs(np.array([d.at for d in drivers]))
    alone = [(d, d) for d in range(len(drivers)) if not any(d in p for p in [pair, *pairs])]
    low = {w: max(drivers[d].band_hz[0] for d in w) for w in [pair, *pairs, *alone]}
    high = {w: min(drivers[d].band_hz[1] for d in w) for w in [pair, *pairs]}
    ways = [pair]
    while lower := [w for w in [*pairs, *alone] if low[w] * WIDER < low[ways[0]]]:
        ways.insert(0, max(lower, key=lambda w: low[w]))
    while higher := [w for w in pairs if high[w] > WIDER * high[ways[-1]]]:  # none is shared: stereo is heard there
        ways.append(min(higher, key=lambda w: high[w]))
    crossed = []
    for below, above in pairwise(ways):
        edge, top = low[above], min(drivers[d].band_hz[1] for d in below)
        crossed.append(min(ABOVE_EDGE * edge, max(edge, (edge * top) ** 0.5)))
    return ways, crossed


def _low_pass(cycles: float, half: int) -> Float:
    """Linear-phase low-pass filter ``(2 half + 1,)`` with its corner at ``cycles`` per sample, 1 at frequency 0."""
    n = np.arange(-half, half + 1)
    taps = np.sinc(2.0 * cycles * n) * np.hanning(2 * half + 3)[1:-1]
    return np.asarray(taps / taps.sum())


def _gains(ears: ImpulseResponse, ways: list[Way], crossed: list[float]) -> Float:
    """Gains ``(way,)`` at which all are as loud at their own ears as the faintest, octaves weighted alike."""
    if not crossed:
        return np.ones(1)
    power, f = _power(ears)
    weight = np.where(f > 0.0, 1.0 / np.maximum(f, 1.0), 0.0)
    levels = []
    for way, low, high in zip(ways, [0.5 * crossed[0], *crossed], [*crossed, 2.0 * crossed[-1]], strict=True):
        inside = weight * ((f >= low) & (f < high))
        near = sum(power[:, side, driver].mean(axis=0) for side, driver in enumerate(way))
        levels.append(float(near @ inside / max(float(inside.sum()), 1e-30)))
    faintest = max(min(levels), 1e-300)
    return np.asarray(np.maximum(np.sqrt(faintest / np.maximum(levels, 1e-300)), from_db(-MATCHED_DB)))


def _power(ears: ImpulseResponse) -> tuple[Float, Float]:
    """Power spectra ``(position, ear, driver, frequency)`` and their frequencies, Hz."""
    power = np.abs(np.fft.rfft(ears.h[:, :2], axis=-1)) ** 2
    return np.asarray(power), np.asarray(np.fft.rfftfreq(ears.h.shape[-1], 1.0 / ears.fs), dtype=np.float64)
