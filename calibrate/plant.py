"""The plant: gated responses from every driver to every place, as spectra that keep the phase between drivers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from measure.impulse import ImpulseResponse
from rigs.arrays import frozen
from rigs.errors import BadInput
from rigs.units import Float

Complex = NDArray[np.complex128]

LEAD_S = 0.002
"""How much of a response ahead of the first arrival is kept."""

GRID = 4096
"""Length of the transform at 48 kHz; other rates use the power of two nearest above the same duration."""


@dataclass(frozen=True, slots=True, eq=False)
class Plant:
    """Gated spectra of one set.

    Parameters
    ----------
    h
        ``(position, mic, driver, frequency)``, Pa/FS.
    f
        Frequencies, Hz.
    lowest
        Lowest frequency that the gate resolves, Hz: ``1 / gate``.
    noise
        ``(position, mic, driver)``: expected squared error of each path over its own squared magnitude, from the SNR.
    """

    h: Complex
    f: Float
    lowest: float
    noise: Float

    def __post_init__(self) -> None:
        object.__setattr__(self, "h", frozen("plant", self.h, ndim=4, dtype=np.complex128))


def grid(fs: int) -> int:
    """Length of the transform that designs use at a sampling rate."""
    return GRID << max(round(math.log2(fs / 48000.0)), 0)


def gated(ir: ImpulseResponse, gate_s: float) -> Plant:
    """Gate a set and transform it.

    One gate serves all drivers and microphones of a position, so that nothing between them changes: from 2 ms ahead of
    the first arrival to ``gate_s`` after the last one, falling over its last half as half a Hann window.

    Raises
    ------
    BadInput
        A driver is silent at a position, by name.
    """
    first, last = _arrivals(ir)
    t = (np.arange(ir.h.shape[-1]) - ir.zero) / ir.fs
    rise = np.clip((t - (first[:, None] - LEAD_S)) / (0.5 * LEAD_S), 0.0, 1.0)
    fall = np.clip((last[:, None] + gate_s - t) / (0.5 * gate_s), 0.0, 1.0)
    window = np.sin(0.5 * np.pi * rise) ** 2 * np.sin(0.5 * np.pi * fall) ** 2
    n = grid(ir.fs)
    f: Float = np.asarray(np.fft.rfftfreq(n, 1.0 / ir.fs))
    spectra = transform(ir.h * window[:, None, None, :], n, ir.zero)
    return Plant(spectra, f, 1.0 / gate_s, 10.0 ** (-ir.snr_db / 10.0))


def transform(h: Float, n: int, zero: int) -> Complex:
    """Spectra on the grid of ``n`` samples of responses ``(..., tap)`` whose time zero is tap ``zero``."""
    folded = h.reshape(*h.shape[:-1], h.shape[-1])
    if h.shape[-1] > n:
        whole = -(-h.shape[-1] // n) * n
        padded = np.zeros((*h.shape[:-1], whole))
        padded[..., : h.shape[-1]] = h
        folded = padded.reshape(*h.shape[:-1], whole // n, n).sum(axis=-2)
    f = np.fft.rfftfreq(n)
    return np.asarray(np.fft.rfft(folded, n, axis=-1) * np.exp(2j * np.pi * f * zero))


def _arrivals(ir: ImpulseResponse) -> tuple[Float, Float]:
    """First and last arrival over microphones and drivers ``(position,)``, s: where a response passes a tenth."""
    level = np.abs(ir.h)
    peak = level.max(axis=-1, keepdims=True)
    if not (peak > 0).all():
        position, mic, driver = (int(i) for i in np.argwhere(peak[..., 0] <= 0)[0])
        raise BadInput(
            f"driver {ir.drivers[driver]!r} is silent at {ir.mics[mic]!r}, position {position + 1}: measure it again"
        )
    onset = (np.argmax(level >= 0.1 * peak, axis=-1) - ir.zero) / ir.fs
    return onset.min(axis=(1, 2)), onset.max(axis=(1, 2))
