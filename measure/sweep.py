"""The stimulus: a synchronised exponential sweep, with fades in guard bands outside the judged band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float

LOWEST_HZ = 5.0
GUARD_BELOW, GUARD_ABOVE = 2.0, 1.1
"""The sweep starts at the judged band's lower edge divided by the first, ends at its upper edge times the second."""
RISE, RISE_CYCLES = 0.25, 2.0
"""The sweep rises within this share of the lower guard, but for cycles enough to keep it clean below its first
frequency: what it excites in the rest of the guard keeps the kept response from ringing."""


SHORTEST_CYCLES = 2
"""Of its first frequency, over ``ln(f2 / f1)``: the least that a sweep lasts."""


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """A sweep and its properties.

    Parameters
    ----------
    x
        ``(samples,)``, peak 1.
    fs
        Sampling rate, Hz.
    band
        Lower and upper edge of the judged band, Hz: full level within.
    swept
        First and last frequency, Hz.
    rate
        ``L`` in s: the instantaneous frequency is ``swept[0] * exp(t / L)``.
    """

    x: Float
    fs: int
    band: tuple[float, float]
    swept: tuple[float, float]
    rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", frozen("sweep", self.x, ndim=1))


def synchronised(band: tuple[float, float], seconds: float, fs: int) -> Sweep:
    """The sweep of Novak et al. (J. Audio Eng. Soc. 63, 786, 2015): ``x = sin(2 pi f1 L exp(t / L))``, ``f1 L`` whole.

    Parameters
    ----------
    band
        Lower and upper edge of the band that will be judged, Hz.
    seconds
        Wanted length; that ``f1 L`` is whole changes it by at most ``ln(f2 / f1)`` half periods of ``f1``.
    fs
        Sampling rate, Hz.

    Raises
    ------
    BadInput
        The band leaves no guard below half of ``fs``, or the sweep is too short for its lowest frequency.
    """
    f1, f2 = swept(band, fs)
    cycles, samples = whole(band, seconds, fs)
    rate = cycles / f1
    t = np.arange(samples) / fs
    x = np.sin(2.0 * np.pi * cycles * np.exp(t / rate))
    guard = rate * np.log(band[0] / f1)
    rising = np.clip(t / min(max(RISE * guard, RISE_CYCLES / f1), guard), 0.0, 1.0)
    falling = np.clip((rate * np.log(f2 / f1) - t) / (rate * np.log(f2 / band[1])), 0.0, 1.0)
    fades = np.sin(0.5 * np.pi * rising) ** 2 * np.sin(0.5 * np.pi * falling) ** 2
    return Sweep(x * fades, fs=fs, band=band, swept=(f1, f2), rate=rate)


def whole(band: tuple[float, float], seconds: float, fs: int) -> tuple[int, int]:
    """Whole cycles ``f1 L`` and samples of :func:`synchronised`, which lengths are rounded to."""
    f1, f2 = swept(band, fs)
    if not f1 < band[0] < band[1] < f2:
        raise BadInput(f"sweep.band_hz: {list(band)} needs {f1:g} Hz < lower < upper < {f2:g} Hz at fs = {fs} Hz")
    cycles = round(f1 * seconds / np.log(f2 / f1))
    if cycles < SHORTEST_CYCLES:
        need = SHORTEST_CYCLES * np.log(f2 / f1) / f1
        begins = f"a sweep that begins at {f1:g} Hz, below band_hz = {list(band)}"
        raise BadInput(f"sweep.seconds: {seconds:g} s is too short for {begins}; at least {need:.2f} s are needed")
    return cycles, int(np.floor(cycles / f1 * np.log(f2 / f1) * fs))


def swept(band: tuple[float, float], fs: int) -> tuple[float, float]:
    """First and last frequency of a sweep, Hz, for a band that will be judged."""
    return max(band[0] / GUARD_BELOW, LOWEST_HZ), min(band[1] * GUARD_ABOVE, 0.495 * fs)


def stimulus(sweep: Sweep, level: float, tail: int) -> NDArray[np.float32]:
    """The sweep at a peak of ``level`` (linear) followed by ``tail`` samples of silence, ``(samples,)``."""
    return np.concatenate([level * sweep.x, np.zeros(tail)]).astype(np.float32)
