"""Disturbing sounds: a slamming door, speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.lab.sound import drawn
from sweetspot.rigs.rig_file import Fault
from sweetspot.rigs.units import Float, from_db

FARTHEST_S = 0.004
"""Largest delay of a sound between microphones, s."""


def burst(fault: Fault, mics: int, fs: int, *key: object) -> NDArray[np.float32]:
    """Signal at every microphone, ``(mic, samples)``, full scale = 1; the loudest has the stated peak.

    Parameters
    ----------
    fault
        ``slam`` or ``speech``: its band (Hz), level (peak, dBFS) and duration (s).
    mics
        Number of microphones; random delay (up to 4 ms) and attenuation (up to 3 dB) of each re the first.
    fs
        Sampling rate, Hz.
    key
        What the draw depends on.
    """
    rng = drawn(fault.kind, *key)
    samples = max(round(float(fault.lasts or 0.4) * fs), 16)
    t = np.arange(samples) / fs
    noise = rng.standard_normal(samples)
    wave = noise * _slam(t, samples / fs) if fault.kind == "slam" else _speech(t, noise, rng) * _fade(samples, fs)
    wave = _banded(wave, fault.values["band"], fs)
    gains = from_db(-3.0 * np.append(0.0, rng.uniform(0, 1, mics - 1)))
    lates = (FARTHEST_S * fs * np.append(0.0, rng.uniform(0, 1, mics - 1))).astype(int)
    out = np.zeros((mics, samples + int(FARTHEST_S * fs) + 1))
    for row, gain, late in zip(out, gains, lates, strict=True):
        row[late : late + samples] = gain * wave
    return np.asarray(out / np.abs(out).max() * from_db(fault.values["db"]), dtype=np.float32)


def _slam(t: Float, seconds: float) -> Float:
    """A blow that dies away by 60 dB over its duration."""
    return np.asarray(np.minimum(t / 0.002, 1.0) * 10.0 ** (-3.0 * t / seconds))


def _speech(t: Float, noise: Float, rng: np.random.Generator) -> Float:
    """Voiced harmonics that fall by 12 dB an octave and a breath of noise, in four syllables a second."""
    turn = np.cumsum(118.0 + 9.0 * np.sin(2.0 * np.pi * 0.7 * t)) * (t[1] if len(t) > 1 else 0.0) * 2.0 * np.pi
    voice = sum(n**-1.2 * np.sin(n * turn + rng.uniform(0, 6.28)) for n in range(1, 40))
    syllables = np.maximum(np.sin(2.0 * np.pi * 2.0 * t + 0.4), 0.0) + np.maximum(-np.sin(2.0 * np.pi * 2.0 * t), 0.0)
    return np.asarray((voice + 0.15 * noise) * syllables)


def _fade(samples: int, fs: int) -> Float:
    edge = np.minimum(np.arange(samples), np.arange(samples)[::-1]) / (0.01 * fs)
    return np.asarray(np.minimum(edge, 1.0))


def _banded(wave: Float, band: tuple[float, float], fs: int) -> Float:
    """Band-pass filtered; its edges fall over a sixth of an octave."""
    spectrum = np.fft.rfft(wave)
    f = np.maximum(np.fft.rfftfreq(len(wave), 1.0 / fs), 1e-3)
    inside = np.clip(6.0 * np.minimum(np.log2(f / band[0]), np.log2(band[1] / f)) + 1.0, 0.0, 1.0)
    return np.asarray(np.fft.irfft(spectrum * inside, len(wave)))
