"""Programme loudness at the ears after ITU-R BS.1770-4: K weighting, blocks of 400 ms, two gates."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import P_REF, Complex, Float, power_db

BLOCK_S, OVERLAP = 0.4, 4
"""Length of a block, s, and number of overlapping blocks per length."""

ABSOLUTE_DB, RELATIVE_DB = 24.0, -10.0
"""Gates: 70 dB under a full-scale sine, here taken as 94 dB SPL, and 10 dB under the mean of the blocks above it."""

OFFSET_DB = -0.691

RINGS_S = 0.5
"""Time in which the high-pass of the K weighting (38 Hz, Q = 0.5) has decayed, s."""

FAST_S = 0.125
"""Time weighting F, s (IEC 61672-1)."""


def k_weighting(fs: float) -> Float:
    """Second-order sections ``(2, 6)`` of the K weighting at a sampling rate: a shelf of +4 dB and a high-pass.

    The standard gives coefficients at 48 kHz alone; these are the analogue prototypes behind them (Brecht De Man,
    Evaluation of implementations of the EBU R128 loudness measurement, AES 145, 2018), by the bilinear transform.
    """
    shelf = _shelf(1681.974450955533, 3.999843853973347, 0.7071752369554196, fs)
    high = _highpass(38.13547087602444, 0.5003270373238773, fs)
    return np.stack([shelf, high])


def _shelf(f0: float, gain_db: float, q: float, fs: float) -> Float:
    k = np.tan(np.pi * f0 / fs)
    v = 10.0 ** (gain_db / 20.0)
    vb = v**0.4996667741545416
    a0 = 1.0 + k / q + k * k
    b = np.array([v + vb * k / q + k * k, 2.0 * (k * k - v), v - vb * k / q + k * k]) / a0
    return np.concatenate([b, [1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0]])


def _highpass(f0: float, q: float, fs: float) -> Float:
    k = np.tan(np.pi * f0 / fs)
    a0 = 1.0 + k / q + k * k
    return np.array([1.0, -2.0, 1.0, 1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0])


def weighted(x: Float, fs: float) -> Float:
    """Signals after the K weighting: by their spectra, with :data:`RINGS_S` of room, in which it decays by 240 dB."""
    n = x.shape[-1]
    size = fft.next_fast_len(n + round(RINGS_S * fs), real=True)
    return np.asarray(fft.irfft(fft.rfft(x, size, axis=-1) * _response(size, fs), size, axis=-1)[..., :n])


@lru_cache(maxsize=4)
def _response(size: int, fs: float) -> Complex:
    """Response ``(bin,)`` of the K weighting on the bins of ``size`` samples."""
    late = fft.phases(-2.0 * np.pi / size, size // 2 + 1, np.dtype(np.complex128))
    one, other = ((s[0] + late * (s[1] + late * s[2])) / (s[3] + late * (s[4] + late * s[5])) for s in k_weighting(fs))
    return np.asarray(one * other)


def loudness_db(x: Float, fs: float) -> float:
    """Gated loudness of signals ``(channel, samples)`` in pascal, dB re 20 uPa; all channels weigh 1.

    1 Pa takes the place of full scale: the same samples re full scale have 94 dB less, in LUFS.

    Raises
    ------
    ValueError
        The signal is shorter than one block.
    """
    return gated_db(weighted(x, fs), fs)


def gated_db(x: NDArray[np.floating], fs: float) -> float:
    """:func:`loudness_db` of signals that have the K weighting already."""
    power, size = x**2, round(BLOCK_S * fs)
    if x.shape[-1] < size:
        raise ValueError(f"{x.shape[-1]} samples are not a block of {size}")
    total = np.concatenate([[0.0], np.cumsum(power.sum(axis=0))])
    starts = np.arange(0, x.shape[-1] - size + 1, max(size // OVERLAP, 1))
    blocks = (total[starts + size] - total[starts]) / size / P_REF**2
    level = OFFSET_DB + power_db(blocks)
    passed = blocks[level > ABSOLUTE_DB]
    if not len(passed):
        return float(OFFSET_DB + power_db(blocks.mean()))
    gate = OFFSET_DB + power_db(passed.mean()) + RELATIVE_DB
    kept = blocks[(level > ABSOLUTE_DB) & (level > gate)]
    return float(OFFSET_DB + power_db(kept.mean()))


def largest_spl_db(x: Float, fs: float) -> float:
    """Largest sound pressure level of signals ``(ear, samples)`` in pascal, time weighting F, mean of the ears, dB."""
    power = np.mean(x**2, axis=0)
    rate, piece = 1.0 / (FAST_S * fs), round(8.0 * FAST_S * fs)
    grown = np.exp(rate * np.arange(1, min(piece, len(power)) + 1))
    largest, level = 0.0, 0.0
    for start in range(0, len(power), piece):  # y[n] = d y[n-1] + (1 - d) x[n] is a sum, once d^n is taken out
        one = power[start : start + piece]
        rise = grown[: len(one)]
        average = (level + -np.expm1(-rate) * np.cumsum(one * rise)) / rise
        level, largest = float(average[-1]), max(largest, float(average.max()))
    return float(power_db(largest / P_REF**2))
