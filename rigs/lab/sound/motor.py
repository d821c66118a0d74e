"""Nonlinearity of a driver's motor: harmonic distortion, power compression, and a voice coil that rubs.

The voltage is first low-passed where a knee is given (excursion, not voltage, bends the springs), then passes a
polynomial of the third degree, then the driver's linear response: a Volterra series whose kernels of second and third
order are products of one-pole filters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.rig_file import DistortionTable, ThermalTable
from sweetspot.rigs.units import from_db

HALF = 32
"""Half the length of the filters between the two sampling rates, samples."""


class MotorDistortion:
    """A polynomial at twice the sampling rate, so that its products do not fold back into the band.

    ``u + c2 u^2 + c3 u^3`` with the coefficients that give a sine of peak ``at_dbfs`` the stated harmonics:
    ``c2 = 2 h2 / A`` and ``c3 = -4 h3 / A^2`` (it compresses). The linear part passes untouched.

    Parameters
    ----------
    table
        ``[lab.distortion]``.
    drivers
        How many channels.
    fs
        Sampling rate, Hz.
    """

    LAG = 2 * HALF
    """Samples by which everything comes out later."""

    def __init__(self, table: DistortionTable, drivers: int, fs: int) -> None:
        peak = float(from_db(table.at_dbfs))
        self.second = 2.0 * table.h2_percent / 100.0 / peak
        self.third = -4.0 * table.h3_percent / 100.0 / peak**2
        self._between = _between()
        self._up = np.zeros((drivers, 2 * HALF - 1), dtype=np.float32)
        self._down = np.zeros((drivers, 2 * HALF - 1), dtype=np.float32)
        self._past = np.zeros((drivers, self.LAG), dtype=np.float32)
        self._evens = np.zeros((drivers, HALF), dtype=np.float32)
        self._last = np.zeros((drivers, 1), dtype=np.float32)
        self._knee = None if table.knee_hz is None else np.exp(-np.pi * table.knee_hz / fs)
        self._pole = np.zeros((drivers, 1))

    def process(self, v: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next samples ``(driver, samples)``, later by :attr:`LAG`."""
        there = np.concatenate([self._past, v], axis=1)
        samples = v.shape[1]
        odd, self._up = _fir(self._between, v, self._up)
        even = there[:, self.LAG - HALF : self.LAG - HALF + samples]
        twice = np.empty((len(v), 2 * samples), dtype=np.float32)
        twice[:, 0::2], twice[:, 1::2] = even, odd
        if self._knee is not None:
            pole = float(self._knee)
            twice, self._pole = _recursive([1.0 - pole], [1.0, -pole], twice, self._pole)
        products = (np.square(twice) * (self.second + self.third * twice)).astype(np.float32)
        filtered, self._down = _fir(self._between, products[:, 1::2], self._down)
        down = np.concatenate([self._last, filtered[:, :-1]], axis=1)
        evens = np.concatenate([self._evens, products[:, 0::2]], axis=1)
        self._past, self._evens, self._last = there[:, samples:], evens[:, samples:], filtered[:, -1:]
        return np.asarray(there[:, :samples] + 0.5 * (evens[:, :samples] + down), dtype=np.float32)


def _between() -> NDArray[np.float32]:
    """Filter of ``2 HALF`` taps for the values half-way between samples, unit gain at 0 Hz."""
    t = np.arange(2 * HALF) - HALF + 0.5
    taps = np.sinc(t) * np.kaiser(2 * HALF, 8.0)
    return np.asarray(taps / taps.sum(), dtype=np.float32)


def _recursive(b: Any, a: Any, x: NDArray[Any], state: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A recursive filter along the last axis, and the state that it is left in."""
    from scipy.signal import lfilter  # slow to import

    y, after = lfilter(b, a, x, axis=-1, zi=state)
    return np.asarray(y), np.asarray(after)


def _fir(
    taps: NDArray[np.float32], x: NDArray[np.float32], state: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    y, after = _recursive(taps, np.ones(1, dtype=np.float32), x, state)
    return np.asarray(y, dtype=np.float32), np.asarray(after, dtype=np.float32)


class Rub:
    """A voice coil that rubs: a click each time that the excursion, the voltage low-passed at :data:`KNEE_HZ`, passes a
    limit outwards.

    Parameters
    ----------
    click
        Peak of a click re full scale, at the driver.
    limit
        Voltage of a low tone whose peak just reaches the limit, re full scale.
    fs
        Sampling rate, Hz.
    """

    KNEE_HZ, RINGS_HZ, RINGS_S, LASTS_S = 150.0, 3500.0, 0.0006, 0.01

    def __init__(self, click: float, limit: float, fs: int) -> None:
        t = np.arange(round(self.LASTS_S * fs)) / fs
        wave = np.exp(-t / self.RINGS_S) * np.sin(2.0 * np.pi * self.RINGS_HZ * t)
        self.wave = click * wave / np.abs(wave).max()
        self.limit = limit
        self._pole = float(np.exp(-2.0 * np.pi * self.KNEE_HZ / fs))
        self._states = np.zeros((2, 1))
        self._beyond = False
        self._rings = np.zeros(len(self.wave))

    def process(self, v: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next samples ``(samples,)``, with clicks."""
        x: NDArray[Any] = v
        for state in self._states:
            x, state[:] = _recursive([1.0 - self._pole], [1.0, -self._pole], x, state.copy())
        beyond = x > self.limit
        starts = np.flatnonzero(beyond & ~np.concatenate([[self._beyond], beyond[:-1]]))
        self._beyond = bool(beyond[-1])
        rings = np.concatenate([self._rings, np.zeros(len(v))])
        for at in starts:
            rings[at : at + len(self.wave)] += self.wave
        self._rings = rings[len(v) :]
        return np.asarray(v + rings[: len(v)], dtype=np.float32)


class Thermal:
    """Power compression: the level falls by ``drop_db`` for a steady sine of peak ``at_dbfs``.

    Heat follows the power that is played with a time constant; the fall in dB follows the heat. The state lasts for as
    long as the rig is open.

    Parameters
    ----------
    table
        ``[lab.thermal]``.
    drivers
        How many channels.
    fs
        Sampling rate, Hz.
    """

    def __init__(self, table: ThermalTable, drivers: int, fs: int) -> None:
        self.drop_db = table.drop_db
        self._reference = float(from_db(table.at_dbfs)) ** 2 / 2.0
        self._pole = float(np.exp(-1.0 / (table.seconds * fs)))
        self._state = np.zeros((drivers, 1))

    def process(self, v: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next samples ``(driver, samples)``."""
        power = np.square(v.astype(np.float64)) / self._reference
        heat, self._state = _recursive([1.0 - self._pole], [1.0, -self._pole], power, self._state)
        return np.asarray(v * 10.0 ** (-self.drop_db / 20.0 * heat), dtype=np.float32)
