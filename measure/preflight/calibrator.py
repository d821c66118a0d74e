"""A calibrator's tone in a recording: frequency, level, drift and distortion, and the resulting sensitivity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Float, db, power_db, pressure

SKIP_S = 0.5
"""Skipped time at the start, s, for a calibrator just released."""

SECONDS = 4.0
BLOCK_S = 0.5
FREQUENCY_PERCENT = 2.0
DRIFT_DB = 0.1
DISTORTION_PERCENT = 3.0
SNR_DB = 30.0
FULL = 0.9999
CHANGE_DB = (0.3, 1.0)
"""Against the last accepted calibration: noted above the first, refused above the second."""

STANDARD_HPA = 1013.25
HIGHEST_HARMONIC = 9
COARSE = 64
"""Samples that are summed before a frequency is refined."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A measured calibrator tone.

    Parameters
    ----------
    rms
        Of the tone alone, full scale = 1.
    frequency_hz
        Found, not assumed.
    drift_db
        Largest less smallest level over half seconds.
    distortion_percent
        Root of the power of the harmonics 2 to 9 over that of the tone.
    noise_percent
        Root of the power of all else over that of the tone, 20 Hz and up.
    clipped
        Samples at full scale.
    """

    rms: float
    frequency_hz: float
    drift_db: float
    distortion_percent: float
    noise_percent: float
    clipped: int

    @property
    def snr_db(self) -> float:
        """Tone over noise."""
        return -float(db(self.noise_percent / 100.0))


def read(x: NDArray[np.float32], fs: int, near_hz: float) -> Reading:
    """Find the tone in ``x (samples,)``, full scale = 1.

    The frequency is the one whose sine explains most of the recording; levels are those of fitted sines, so noise and
    hum do not count as tone.
    """
    clipped = int(np.count_nonzero(np.abs(x) >= FULL))
    y = np.asarray(x[round(SKIP_S * fs) :], dtype=float)
    y = y - np.mean(y)
    f = _frequency(y, fs, near_hz)
    amplitudes = np.array([abs(_sine(piece, fs, f)) for piece in _blocks(y, fs)])
    tone = _explained(y, fs, [f])
    orders = [k * f for k in range(2, HIGHEST_HARMONIC + 1) if k * f < 0.45 * fs]
    harmonics = _explained(y - tone, fs, orders)
    rest = _above_20_hz(y - tone - harmonics, fs)
    level = max(float(np.sqrt(np.mean(tone**2))), 1e-15)
    return Reading(
        rms=level,
        frequency_hz=f,
        drift_db=float(np.ptp(db(np.maximum(amplitudes, 1e-15)))),
        distortion_percent=100.0 * float(np.sqrt(np.mean(harmonics**2))) / level,
        noise_percent=100.0 * float(np.sqrt(np.mean(rest**2))) / level,
        clipped=clipped,
    )


def _blocks(y: Float, fs: int) -> list[Float]:
    size = round(BLOCK_S * fs)
    return [y[i : i + size] for i in range(0, len(y) - size + 1, size)]


def _frequency(y: Float, fs: int, near_hz: float) -> float:
    """The strongest line between 20 Hz and 0.45 fs, refined to the best fit of a sine."""
    windowed = y * np.hanning(len(y))
    power = np.abs(fft.rfft(windowed))
    f = fft.rfftfreq(len(y), 1.0 / fs)
    power[(f < 20.0) | (f > 0.45 * fs)] = 0.0
    if not power.any():
        return near_hz
    from scipy import optimize  # slow to import

    coarse, step = float(f[int(np.argmax(power))]), float(f[1])
    turned = windowed * np.exp(-2j * np.pi * coarse / fs * np.arange(len(y)))
    pieces = turned[: len(y) // COARSE * COARSE].reshape(-1, COARSE).sum(axis=1)  # a slow wave now: summed in pieces
    n = COARSE * np.arange(len(pieces))
    found = optimize.minimize_scalar(
        lambda off: -abs(np.sum(pieces * np.exp(-2j * np.pi * off / fs * n))),
        bounds=(-step, step),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return coarse + float(found.x)


def _sine(y: Float, fs: int, f: float) -> complex:
    """Complex amplitude of a sine in ``y``, a Hann window over it so that neighbours do not leak."""
    window = np.hanning(len(y))
    n = np.arange(len(y))
    return complex(2.0 * np.sum(y * window * np.exp(-2j * np.pi * f * n / fs)) / np.sum(window))


def _explained(y: Float, fs: int, frequencies: list[float]) -> Float:
    """The sines at the given frequencies that fit ``y`` best, ``(samples,)``."""
    out = np.zeros_like(y)
    n = np.arange(len(y))
    for f in frequencies:
        basis = np.stack([np.cos(2.0 * np.pi * f * n / fs), np.sin(2.0 * np.pi * f * n / fs)])
        out += np.linalg.solve(basis @ basis.T, basis @ y) @ basis
    return out


def _above_20_hz(y: Float, fs: int) -> Float:
    spectrum = fft.rfft(y)
    spectrum[fft.rfftfreq(len(y), 1.0 / fs) < 20.0] = 0.0
    return np.asarray(fft.irfft(spectrum, len(y)))


def refused(reading: Reading, frequency_hz: float) -> list[str]:
    """Why a reading is no calibration; empty if it is one."""
    text = []
    if reading.clipped:
        text.append(f"it clips: {reading.clipped} samples at full scale; lower the preamplifier's gain")
    if reading.snr_db < 3.0:
        return [
            *text,
            f"no tone in the recording ({reading.snr_db:.0f} dB over the noise): is the calibrator switched on, and "
            "on this microphone?",
        ]
    off = 100.0 * (reading.frequency_hz / frequency_hz - 1.0)
    if abs(off) > FREQUENCY_PERCENT:
        text.append(
            f"the tone is at {reading.frequency_hz:.1f} Hz, {off:+.1f} % from {frequency_hz:g} Hz (limit "
            f"{FREQUENCY_PERCENT:g} %): another calibrator, or another --frequency?"
        )
    if reading.drift_db > DRIFT_DB:
        text.append(f"level drift {reading.drift_db:.2f} dB (limit {DRIFT_DB:g} dB): seat it firmly and keep it still")
    if reading.distortion_percent > DISTORTION_PERCENT:
        text.append(f"{reading.distortion_percent:.1f} % distortion (limit {DISTORTION_PERCENT:g} %): does it clip?")
    if reading.snr_db < SNR_DB:
        text.append(f"only {reading.snr_db:.0f} dB over the noise (limit {SNR_DB:g} dB): is it seated firmly?")
    return text


def sensitivity(
    reading: Reading, level_db_spl: float, full_scale_v: float, deviates: float = 1.0, hpa: float | None = None
) -> float:
    """The microphone's sensitivity, mV/Pa.

    Parameters
    ----------
    level_db_spl
        Its nominal level, dB re 20 uPa.
    full_scale_v
        Peak voltage of a full-scale sample.
    deviates
        The microphone's own magnitude at that frequency by its correction file (1 at 0 dB): the sensitivity is that of
        0 dB in the file.
    hpa
        Static pressure: a pistonphone's level follows it, ``20 log10(p / 1013.25)``. None for a calibrator that
        corrects itself.
    """
    rises = float(db(hpa / STANDARD_HPA)) if hpa is not None else 0.0
    return 1000.0 * reading.rms * full_scale_v / pressure(level_db_spl + rises) / deviates


def changed_db(now_mv: float, before_mv: float) -> float:
    """Change of a sensitivity, dB."""
    return float(power_db((now_mv / before_mv) ** 2))
