"""Interaural cues in ERB bands: delay, level difference and coherence of two ears' spectra."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sweetspot.calibrate.auditory.bands import Bands
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Complex, Float, power_db

LAG_S = 1e-3
"""Largest interaural delay considered, s."""

STEPS = 16
"""Lags per period of a band's highest frequency; the maximum between them is found by a parabola."""


@dataclass(frozen=True, slots=True, eq=False)
class Cues:
    """Cues of any number of binaural responses.

    Parameters
    ----------
    itd_s
        Interaural time difference ``(..., band)``, s; positive where the left ear leads: a source on the left.
    ild_db
        Interaural level difference ``(..., band)``, left over right, dB.
    iacc
        Largest normalised cross-correlation within 1 ms ``(..., band)``.
    level_db
        Power of both ears together ``(..., band)``, dB.
    """

    itd_s: Float
    ild_db: Float
    iacc: Float
    level_db: Float

    def __post_init__(self) -> None:
        for name in ("itd_s", "ild_db", "iacc", "level_db"):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=np.ndim(getattr(self, name))))


def interaural_cues(ears: Complex, bands: Bands, top: float = np.inf) -> Cues:
    """Cues of binaural spectra.

    In each band ``c(tau) = Re sum_f G(f) L(f) R*(f) exp(-2 pi i f tau)``; the delay is the lag of its maximum, the
    coherence ``max c / sqrt(P_L P_R)``, the level difference ``10 lg(P_L / P_R)``.

    Parameters
    ----------
    ears
        ``(..., 2, frequency)``, left ear first, on the grid of ``bands``.
    top
        Delays and coherence of bands centred above it are not computed (0), Hz: they cost most and count least.
    """
    left, right = ears[..., 0, :], ears[..., 1, :]
    cross = left * right.conj()
    powers = [(x.real**2 + x.imag**2) @ bands.power.T for x in (left, right)]
    itd, peak = np.zeros(powers[0].shape), np.zeros(powers[0].shape)
    for b in np.flatnonzero(bands.centre <= top):
        itd[..., b], peak[..., b] = _maximum(cross, bands, int(b))
    left_power, right_power = (np.maximum(p, 1e-300) for p in powers)
    return Cues(
        itd,
        power_db(left_power / right_power),
        np.clip(peak / np.sqrt(left_power * right_power), -1.0, 1.0),
        power_db(left_power + right_power),
    )


@lru_cache(maxsize=64)
def _waves(bands: Bands, b: int) -> tuple[slice, Float, float, Float, Float]:
    """The bins of a band, its lags (s) and their step, and weighted cosine and sine ``(frequency, lag)``."""
    used = bands.used(b)
    f = bands.f[used]
    count, step = int(np.ceil(LAG_S * STEPS * f[-1])), 1.0 / (STEPS * float(f[-1]))
    lags = np.arange(-count - 1, count + 2) * step
    turn, weight = 2.0 * np.pi * np.outer(f, lags), bands.power[b, used, None]
    return used, np.asarray(lags), step, weight * np.cos(turn), weight * np.sin(turn)


def _maximum(cross: Complex, bands: Bands, b: int) -> tuple[Float, Float]:
    """Lag (s) and value ``(...,)`` of the largest cross-correlation in a band of cross spectra ``(..., frequency)``."""
    used, lags, step, cosine, sine = _waves(bands, b)
    c = cross.real[..., used] @ cosine + cross.imag[..., used] @ sine
    at = 1 + np.argmax(c[..., 1:-1], axis=-1)
    below, here, above = (np.take_along_axis(c, (at + d)[..., None], axis=-1)[..., 0] for d in (-1, 0, 1))
    bend = below - 2.0 * here + above
    shift = np.where(bend < 0.0, 0.5 * (below - above) / np.where(bend < 0.0, bend, -1.0), 0.0)
    shift = np.clip(shift, -0.5, 0.5)
    lag = lags[at] + shift * step
    return np.clip(lag, -LAG_S, LAG_S), here - 0.25 * (below - above) * shift
