"""The figures that a unit is judged by, each defined once.

Responses of programs at ears are ``(position, ear, program, frequency)``: ears left, right; programs left, right,
centre. The near ear of the left program is the left one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from measure.smooth import THIRD_OCTAVES, band_means
from rigs.layout import wrapped
from rigs.units import Float, db, power_db

Complex = NDArray[np.complex128]

SCORED = (800.0, 6300.0)
"""Nominal centres between which cancellation is summed up, Hz."""

OCTAVES = ((400.0, 800.0), (800.0, 1600.0), (1600.0, 3200.0), (3200.0, 6400.0), (6400.0, 12000.0))
"""Bands of the comparison between designs, Hz."""


def unvirtualized(heard: Complex, far: Complex) -> Complex:
    """What the bare cancellation of left and right gives at the ears, ``(position, ear, 2, frequency)``.

    The left program is ``w_L + v w_R`` and the right one ``w_R + v w_L`` with the virtual far ear ``v``; solving for
    ``w_L`` and ``w_R`` at the ears is exact, since everything from program to ear is linear.

    Parameters
    ----------
    heard
        ``(position, ear, program, frequency)``, at least left and right.
    far
        ``v (frequency,)``.
    """
    left, right = heard[:, :, 0], heard[:, :, 1]
    determinant = 1.0 - far**2
    determinant = np.where(np.abs(determinant) < 1e-6, np.inf, determinant)
    return np.stack([left - far * right, right - far * left], axis=2) / determinant


def near_and_far(pair: Complex) -> tuple[Complex, Complex]:
    """Near-ear and far-ear responses ``(position, side, frequency)`` of ``(position, ear, side, frequency)``."""
    return np.stack([pair[:, 0, 0], pair[:, 1, 1]], axis=1), np.stack([pair[:, 1, 0], pair[:, 0, 1]], axis=1)


def cancellation_db(pair: Complex, f: Float) -> Float:
    """Cancellation ``(position, side, third octave)``, dB: power at the near ear over that at the far ear.

    Each bin is normalised by its own near-ear power before the mean over a band is taken, so that a loud bin does not
    decide the band.
    """
    near, far = near_and_far(pair)
    return -power_db(band_means(np.abs(far) ** 2 / np.maximum(np.abs(near) ** 2, 1e-30), f))


def banded_db(pair: Complex, f: Float, bands: tuple[tuple[float, float], ...] = OCTAVES) -> Float:
    """Cancellation ``(position, side, band)``, dB, as :func:`cancellation_db` in bands of one's own, Hz."""
    near, far = near_and_far(pair)
    leak = np.abs(far) ** 2 / np.maximum(np.abs(near) ** 2, 1e-30)
    return -power_db(np.stack([leak[..., (f >= a) & (f < b)].mean(axis=-1) for a, b in bands], axis=-1))


def effort_db(w: Complex, near: Complex, alone: Complex | Float) -> Float:
    """Array effort ``(frequency,)``, dB: sum of squared weights over that of one driver at the same near-ear level.

    Parameters
    ----------
    w, near
        Weights and near-ear responses ``(frequency, driver)``.
    alone
        Near-ear response of the one driver ``(frequency,)``.
    """
    heard = np.einsum("fd,fd->f", near, w)
    spent = np.sum(np.abs(w) ** 2, axis=1) * np.abs(alone) ** 2
    return power_db(spent / np.maximum(np.abs(heard) ** 2, 1e-30))


def ringing_db(taps: Float, fs: int, lead_s: float = 0.005) -> float:
    """Largest pre-ringing of any filter ``(..., tap)``: more than ``lead_s`` ahead of its peak, over that peak, dB."""
    level = np.abs(taps.reshape(-1, taps.shape[-1]))
    ahead = np.arange(level.shape[1])[None, :] < (np.argmax(level, axis=1) - lead_s * fs)[:, None]
    return float(db(np.max(np.where(ahead, level, 0.0).max(axis=1) / np.maximum(level.max(axis=1), 1e-30))))


def one_driver(h: Complex, drivers: tuple[int, int]) -> Complex:
    """One driver a side, unfiltered: ``(position, ear, 2, frequency)`` of ``h (position, ear, driver, frequency)``."""
    return h[:, :, list(drivers)]


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and 10th percentile of a figure over positions, sides and third octaves, dB."""

    mean: float
    p10: float


def scored(cancellation: Float, low: float = SCORED[0], high: float = SCORED[1]) -> Spread:
    """Sum up cancellation ``(position, side, third octave)`` between two nominal centres, Hz."""
    inside = (low * 0.99 <= THIRD_OCTAVES) & (high * 1.01 >= THIRD_OCTAVES)
    cells = cancellation[..., inside]
    return Spread(float(np.mean(cells)), float(np.percentile(cells, 10)))


def contrast_db(radiated: Complex, azimuths: Float, f: Float, nulls: Float, width: float) -> Float:
    """On-axis power over the mean power within ``width`` rad of the nulls, ``(third octave,)``, dB.

    Parameters
    ----------
    radiated
        ``(direction, frequency)``.
    azimuths, nulls
        rad.
    """
    on = np.abs(radiated[int(np.argmin(np.abs(wrapped(azimuths))))]) ** 2
    away = np.min([np.abs(wrapped(azimuths - n)) for n in nulls], axis=0) <= width + 1e-6
    off = np.mean(np.abs(radiated[away]) ** 2, axis=0)
    return -power_db(band_means(off / np.maximum(on, 1e-30), f))


def colouration_db(heard: Complex, wanted: Complex, f: Float) -> Float:
    """Level of a response over the wanted one in third octaves, its own mean taken out, dB, ``(..., third octave)``."""
    level = power_db(band_means(np.abs(heard) ** 2 / np.maximum(np.abs(wanted) ** 2, 1e-30), f))
    return np.asarray(level - level.mean(axis=-1, keepdims=True))


def interaural_delay_s(near: Complex, far: Complex, f: Float, top_hz: float = 1500.0) -> Float:
    """How much later the far ear hears, ``(...,)`` s: mean phase delay from 200 Hz to ``top_hz``."""
    inside = (f >= 200.0) & (f <= top_hz)
    phase = np.unwrap(np.angle(near[..., inside] * far[..., inside].conj()), axis=-1)
    return np.asarray(np.mean(phase / (2.0 * np.pi * f[inside]), axis=-1))
