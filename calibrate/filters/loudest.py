"""The rig's SPL limit for programme: filters and the guard's ceiling are lowered where a listener would get more."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.judge import loudest_db, uncalibrated
from sweetspot.processor.dynamics import limited
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float, from_db

OVER_DB = 20.0
"""Programme is played so much above the ceiling: by then the guard holds its level."""

UNDER_LIMIT_DB = 0.8
"""Margin below the limit: other programme, and other places, are a little louder."""

SECONDS, SEED, LOWEST_HZ = 0.5, 7, 40.0
"""Length of the noise, its seed, and from where on it is pink."""


def within_limit(taps: Float, ir: ImpulseResponse, rig: Description) -> float:
    """Factor of at most 1, on filters and ceiling, with which programme keeps to the rig's SPL limit.

    Pink noise of each program, and of all at once, is played 20 dB above the ceiling through filters and guard; its
    level at the loudest measured place follows from the unit's responses. Filters, ceiling and level scale together. A
    lone tone at the ceiling, at a frequency at which all drivers agree there, may be louder.

    Parameters
    ----------
    taps
        ``(program, driver, tap)``.
    ir
        Responses in pascals; 1 where the levels of their microphones are not known.
    """
    mics = tuple(m for m in rig.mic if m.name in ir.mics)
    if ir.unit != "Pa/FS" or not mics or uncalibrated(rig, mics):
        return 1.0
    ceiling, place = rig.limits.ceiling, int(np.argmax(np.sum(ir.h**2, axis=(1, 2, 3))))
    n = _noise(ir.fs).shape[1] + taps.shape[-1] + ir.h.shape[-1]
    size = fft.next_fast_len(n, real=True)
    each = _noise_spectra(ir.fs, size)[:, None] * fft.rfft(np.asarray(taps, dtype=np.float64), size)
    drivers = np.concatenate([each, each.sum(axis=0, keepdims=True)])
    H, levels = fft.rfft(ir.h[place].astype(np.float64), size), []
    for y in fft.irfft(drivers, size):
        peak = float(np.max(np.abs(y)))
        if peak <= 0.0:
            continue
        held = limited(y * (ceiling * float(from_db(OVER_DB)) / peak), np.full(len(y), ceiling), ir.fs)
        heard = fft.irfft(np.einsum("mdf,df->mf", H, fft.rfft(held, size)), size)
        levels.append(loudest_db(heard, np.ones(len(heard)), ir.fs)[0])
    allowed = rig.limits.loudest_db_spl - UNDER_LIMIT_DB
    return float(min(1.0, from_db(allowed - max(levels, default=-np.inf))))


@lru_cache(maxsize=2)
def _noise_spectra(fs: int, size: int) -> Complex:
    """Spectra ``(3, frequency)`` of :func:`_noise`, the same for all units."""
    return frozen("spectra", fft.rfft(_noise(fs), size), ndim=2, dtype=np.complex128)


@lru_cache(maxsize=4)
def _noise(fs: int) -> Float:
    """Pink noise ``(3, samples)``, another for each program."""
    n = round(SECONDS * fs)
    f = np.maximum(fft.rfftfreq(n, 1.0 / fs), LOWEST_HZ)
    rng = np.random.default_rng(SEED)
    white = rng.standard_normal((3, n))
    return frozen("noise", fft.irfft(fft.rfft(white) / np.sqrt(f), n), ndim=2)
