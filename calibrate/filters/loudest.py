"""The rig's SPL limit: filters and ceiling are lowered for programme, and detectors made that hold everything else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.judge import loudest_db, uncalibrated
from sweetspot.processor.dynamics import STEP, covering, limited
from sweetspot.processor.filterset import PROGRAMS
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import P_REF, Complex, Float, from_db

OVER_DB = 20.0
"""Programme is played so much above the ceiling: by then the guard holds its level."""

UNDER_LIMIT_DB = 0.8
"""Margin below the limit: other programme, and other places, are a little louder."""

ONSET_DB = 2.5
"""Margin of the detectors below the limit: a tone that begins passes it by at most so much over 125 ms."""

DETECTOR_S = 512.0 / 48000.0
"""Length of a detector, s."""

SECONDS, SEED, LOWEST_HZ = 0.5, 7, 40.0
"""Length of the noise, its seed, and from where on it is pink."""


def within_limit(taps: Float, ir: ImpulseResponse, rig: Description) -> float:
    """Factor of at most 1, on filters and ceiling, with which programme keeps to the rig's SPL limit.

    Pink noise of each program, and of all at once, is played 20 dB above the ceiling through filters and guard; its
    level at the loudest measured place follows from the unit's responses. Filters, ceiling and level scale together. A
    lone tone may be louder at the ceiling: :func:`detectors` are for the limiter that holds it.

    Parameters
    ----------
    taps
        ``(program, driver, tap)``.
    ir
        Responses in pascals; 1 where the levels of their microphones are not known.
    """
    if not _levels_known(ir, rig):
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


def detectors(forms: Sequence[Iterable[Float]], ir: ImpulseResponse, rig: Description) -> Float:
    """Filters ``(form, program, tap)`` for :class:`sweetspot.processor.dynamics.SplLimiter`.

    Each has at least the magnitude of the sound pressure that a program makes at the loudest of all measured places
    over the rig's SPL limit less :data:`ONSET_DB`.

    Parameters
    ----------
    forms
        Of what the processor may play: taps ``(program, driver, tap)`` of all filters that a form may have.
    ir
        Responses in pascals; without levels there are no taps.
    """
    if not _levels_known(ir, rig):
        return np.zeros((len(forms), len(PROGRAMS), 0))
    made, spectra, n = [], list[Complex](), 0
    allowed = P_REF * from_db(rig.limits.loudest_db_spl - ONSET_DB)
    for form in forms:
        power = np.zeros(0, dtype=np.float32)
        for taps in form:
            if not n:
                n = 1 << (ir.h.shape[-1] + taps.shape[-1] - 1).bit_length()
                spectra = [_spectrum(h, n) for h in ir.h.reshape(-1, *ir.h.shape[2:])]
            W = _spectrum(taps, n)
            power = power if power.size else np.zeros(W[:, 0].shape, dtype=np.float32)
            for H in spectra:
                heard = (W * H).sum(axis=1)
                np.maximum(power, heard.real**2 + heard.imag**2, out=power)
        made.append(covering(np.sqrt(power) / allowed, STEP * round(DETECTOR_S * ir.fs / STEP)))
    return np.asarray(np.stack(made).astype(np.float32), dtype=np.float64)


def _spectrum(x: Float, n: int) -> Complex:
    """In single precision, from a transform in double precision, which takes half of the time."""
    return np.asarray(fft.rfft(x.astype(np.float64), n).astype(np.complex64))


def _levels_known(ir: ImpulseResponse, rig: Description) -> bool:
    mics = tuple(m for m in rig.mic if m.name in ir.mics)
    return ir.unit == "Pa/FS" and bool(mics) and not uncalibrated(rig, mics)


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
